"""Time of all eigenvalues of the paper's four levels: polyroots against the plain way, in the same run.

The plain way: FFT of the kernel on the whole grid, numpy.linalg.eigvals on the full stack, default threads.
Writes a table in Markdown. Run: python benchmarks/spectrum.py [--runs 5]
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable

import numpy as np

import polyroots as pr

LEVELS = ((64, 32), (128, 16), (256, 8), (256, 4))


def plain(K: np.ndarray, n: int) -> np.ndarray:
    """Eigenvalues on the full grid; rolled so that the kernel's centre is at the origin."""
    c = K.shape[0]
    padded = np.zeros((c, c, n, n))
    padded[:, :, :3, :3] = K
    symbols = np.fft.fft2(np.roll(padded, (-1, -1), axis=(2, 3)))
    return np.linalg.eigvals(symbols.transpose(2, 3, 0, 1)).ravel()


def median_time(function: Callable[[], object], runs: int) -> tuple[float, float]:
    """Median and spread (max - min) of the seconds of several calls."""
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), max(seconds) - min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    rng = np.random.default_rng(20260722)
    print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}")
    print(f"polyroots {pr.__version__}, median of {runs} runs (spread: max - min)\n")
    print("| level | plain s | polyroots s | ratio |\n| --- | --- | --- | --- |")
    totals = np.zeros(2)
    for c, n in LEVELS:
        K = rng.uniform(-1, 1, (c, c, 3, 3)) / np.sqrt(9 * c)
        # Both are to do the same work: moduli agree (conjugates come in another order).
        np.testing.assert_allclose(
            np.sort(abs(plain(K, n))), np.sort(abs(pr.eigenvalues(K, n).values)), rtol=1e-9, atol=1e-12
        )
        theirs, their_spread = median_time(lambda K=K, n=n: plain(K, n), runs)
        ours, our_spread = median_time(lambda K=K, n=n: pr.eigenvalues(K, n), runs)
        totals += (theirs, ours)
        print(
            f"| {c} at {n}x{n} | {theirs:.2f} ({their_spread:.2f}) | {ours:.2f} ({our_spread:.2f}) "
            f"| {theirs / ours:.1f} |"
        )
    print(f"| total | {totals[0]:.2f} | {totals[1]:.2f} | {totals[0] / totals[1]:.1f} |")


if __name__ == "__main__":
    main()
