"""The kernel for stacks of eigenvalue problems against LAPACK, on one core: times, and with ``--check N`` its errors.

*numpy* is `numpy.linalg.eigvals` (LAPACK's zgeev), *scipy, single* is cgeev. All solve the same random matrices, in
turns.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from scipy.linalg.lapack import cgeev
from threadpoolctl import threadpool_limits
from timing import in_turns

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from test_batched_qr import KINDS, available, balanced, matrices, smallest_singular_values

import polyroots as pr
from polyroots.spectra.batched_qr import in_lanes

ORDERS = (8, 16, 32, 64, 128, 256, 512)


def by_cgeev(stack: np.ndarray) -> np.ndarray:
    return np.stack([cgeev(A, compute_vl=0, compute_vr=0)[0] for A in stack])


def times(runs: int) -> None:
    names = ("numpy", "scipy, single", *(f"{name}, {kind}" for kind in ("double", "single") for name in available()))
    print(f"| order | matrices | {' | '.join(names)} |\n{'| --- ' * (len(names) + 2)}|")
    for n in ORDERS:
        count = min(512, max(16, 2**20 // n**2))
        stack = matrices("random", count, n, np.random.default_rng(20261128))
        single = stack.astype(np.complex64)
        calls: dict[str, Callable[[], object]] = {
            "numpy": partial(np.linalg.eigvals, stack),
            "scipy, single": partial(by_cgeev, single),
        }
        for name in available():
            calls[f"{name}, double"] = partial(in_lanes, stack, name)
            calls[f"{name}, single"] = partial(in_lanes, single, name)
        seconds = in_turns(calls, runs)
        least = statistics.median(seconds["numpy"])
        cells = []
        for way in names:
            median = statistics.median(seconds[way])
            cells.append(f"{1e3 * median / count:.3g} ms" + (f" ({least / median:.1f})" if way != "numpy" else ""))
        print(f"| {n} | {count} | {' | '.join(cells)} |", flush=True)


def check(total: int) -> None:
    """Print the largest backward errors over all kinds of matrices of order 2 to 32, in ulps of the norm."""
    print("\n| kind | matrices | left to LAPACK | kernel: largest, mean | LAPACK: largest, mean |")
    print("| --- | --- | --- | --- | --- |")
    rng = np.random.default_rng(20261129)
    eps = np.finfo(float).eps
    for kind in KINDS:
        ours: list[Any] = []
        theirs: list[Any] = []
        done = left = 0
        while done < total // len(KINDS):
            stack = matrices(kind, 64, int(rng.integers(2, 33)), rng)
            values, is_left = in_lanes(stack)
            A = balanced(stack) if kind in {"scaled", "graded"} else stack
            norm = np.linalg.norm(A, 2, axis=(-2, -1))[:, None]
            ours.append((smallest_singular_values(A, values) / norm)[~is_left].max(axis=1))
            theirs.append((smallest_singular_values(A, np.linalg.eigvals(stack)) / norm).max(axis=1))
            done, left = done + len(stack), left + is_left.sum()
        worst = [f"{np.concatenate(e).max() / eps:.1f}, {np.concatenate(e).mean() / eps:.2f}" for e in (ours, theirs)]
        print(f"| {kind} | {done:,} | {left} | {worst[0]} | {worst[1]} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="of each time; 0 for none")
    parser.add_argument("--check", type=int, default=0, help="also the backward errors of so many matrices")
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, numpy {np.__version__},")
    print(f"scipy {scipy.__version__}, polyroots {pr.__version__}, median of {options.runs} runs (ratio to numpy)\n")
    with threadpool_limits(1):
        if options.runs:
            times(options.runs)
        if options.check:
            check(options.check)


if __name__ == "__main__":
    main()
