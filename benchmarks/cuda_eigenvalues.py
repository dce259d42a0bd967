"""Eigenvalues of the symbols: a GPU against the CPU's cores beside it, in the same run.

Run on a machine with a GPU, it prints a table and, with ``--write``, replaces this
device's rows in ``polyroots/cuda_eigenvalues.json``, by which `polyroots.eigenvalues` decides where to solve.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
from pathlib import Path

import numpy as np
import torch
from timing import seconds_of, spread

import polyroots as pr
from polyroots.eigensolver import torch_eigenvalues
from polyroots.operators import Operator
from polyroots.pool import usable_cores

TABLE = Path(__file__).resolve().parent.parent / "polyroots" / "cuda_eigenvalues.json"
# (channels, image): about half of n^2 complex matrices of c x c.
SIZES = ((16, 32), (64, 32), (128, 16), (256, 8), (512, 8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="replace this device's rows in the committed table")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("no CUDA device here: run this on a machine with a GPU")
    device = torch.cuda.get_device_name()
    versions = f"Python {platform.python_version()}, numpy {np.__version__}, torch {torch.__version__}"
    print(f"{device}, {usable_cores()} cores, {versions}; median of {options.runs} runs (spread: max - min)\n")
    print("| layer | matrices | CPU s | GPU s | GPU faster by |\n| --- | --- | --- | --- | --- |")
    rows = []
    for c, n in SIZES:
        K = np.random.default_rng(20260722).uniform(-1, 1, (c, c, 3, 3)) / np.sqrt(9 * c)
        operator = Operator.of(K, n)
        ky, kx, partner = operator.one_period()
        half = np.arange(len(partner)) <= partner
        stack = operator.symbol_at(ky[half], kx[half])
        cpu = seconds_of(lambda K=K, n=n: pr.eigenvalues(K, n), options.runs)
        torch_eigenvalues(stack, "cuda")  # the first call loads libraries
        gpu = seconds_of(lambda stack=stack: torch_eigenvalues(stack, "cuda"), options.runs)
        medians = statistics.median(cpu), statistics.median(gpu)
        print(
            f"| {c}x{c}x3x3 at {n}x{n} | {len(stack)} | {spread(cpu)} | {spread(gpu)} "
            f"| {medians[0] / medians[1]:.2f} |",
            flush=True,
        )
        rows.append(
            {
                "device": device,
                "channels": c,
                "matrices": len(stack),
                "cpu_seconds": medians[0],
                "gpu_seconds": medians[1],
                "cores": usable_cores(),
                "runs": options.runs,
                "versions": versions,
            }
        )
    if options.write:
        document = json.loads(TABLE.read_text())
        document["rows"] = [row for row in document["rows"] if row["device"] != device] + rows
        TABLE.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
