"""Eigenvalues of the symbols: torch on a GPU against polyroots on the CPU's cores beside it, in the same run.

Run on a machine with a GPU, it prints a table. `polyroots.eigenvalues` solves on the CPU: general eigenvalues of many
small matrices are known to be slow on GPUs. This benchmark checks whether that still holds.
"""

from __future__ import annotations

import argparse
import platform
import statistics
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from timing import seconds_of, spread

import polyroots as pr
from polyroots.spectra.convolution import Convolution
from polyroots.threads import usable_cores

# (channels, image): about half of n^2 complex matrices of c x c.
SIZES = ((16, 32), (64, 32), (128, 16), (256, 8), (512, 8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="where torch computes")
    parser.add_argument("--smallest", action="store_true", help="only the smallest layer")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no CUDA device here: run this on a machine with a GPU")
    device = torch.cuda.get_device_name() if options.device == "cuda" else "torch on the CPU"
    versions = f"Python {platform.python_version()}, numpy {np.__version__}, torch {torch.__version__}"
    print(f"{device}, {usable_cores()} cores, {versions}; median of {options.runs} runs (spread: max - min)\n")
    print("| layer | matrices | polyroots s | torch s | torch faster by |\n| --- | --- | --- | --- | --- |")
    for c, n in SIZES[: 1 if options.smallest else None]:
        K = np.random.default_rng(20260722).uniform(-1, 1, (c, c, 3, 3)) / np.sqrt(9 * c)
        operator = Convolution.of(K, n)
        ky, kx, partner = operator.one_period()
        half = np.arange(len(partner)) <= partner
        stack = operator.symbol_at(ky[half], kx[half])
        cpu = seconds_of(partial(pr.eigenvalues, K, n), options.runs)
        torch_eigenvalues(stack, options.device)  # the first call loads libraries
        gpu = seconds_of(partial(torch_eigenvalues, stack, options.device), options.runs)
        medians = statistics.median(cpu), statistics.median(gpu)
        print(
            f"| {c}x{c}x3x3 at {n}x{n} | {len(stack)} | {spread(cpu)} | {spread(gpu)} "
            f"| {medians[0] / medians[1]:.2f} |",
            flush=True,
        )


def torch_eigenvalues(stack: NDArray[np.complex128], device: str) -> NDArray[np.complex128]:
    """Eigenvalues of a stack of matrices by torch on a device."""
    return torch.linalg.eigvals(torch.from_numpy(np.ascontiguousarray(stack)).to(device)).cpu().numpy()


if __name__ == "__main__":
    main()
