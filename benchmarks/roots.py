"""Minimax roots by exchange of points, against one cone program with all points, in the same run.

*Plain* is one cone program with every distinct eigenvalue of the upper half-plane. The exchange begins with a few and
adds those with the largest |q|.
"""

from __future__ import annotations

import argparse
import platform
import statistics

import clarabel
import numpy as np
from timing import seconds_of, spread

import polyroots as pr
from polyroots.polynomials.arnoldi import arnoldi
from polyroots.polynomials.cone_program import least_maximum
from polyroots.polynomials.minimax import minimax
from polyroots.polynomials.target import Target
from polyroots.threads import usable_cores


def target(channels: int, size: int) -> Target:
    """Return the spectrum of a level whose eigenvalues lie in the right half-plane."""
    K = np.random.default_rng(20261122).standard_normal((channels, channels, 3, 3)) / (6 * np.sqrt(channels))
    K[range(channels), range(channels), 1, 1] += 1.5
    return Target.of(pr.eigenvalues(K, size))


def plain(points: Target, count: int) -> float:
    """Return max |q| from one cone program with all points, in the same basis."""
    shares = np.sqrt(points.weights)
    krylov = arnoldi(lambda x: points.points * x, shares.astype(complex), count)
    Q, _ = np.linalg.qr(krylov.H)
    Phi = krylov.V @ Q / shares[:, None]
    c, _ = least_maximum(*(np.stack([z.real, z.imag], axis=1) for z in (np.ones(len(Phi), dtype=complex), Phi)))
    return float(np.abs(1 - Phi @ c).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    print(
        f"{usable_cores()} cores, Python {platform.python_version()}, numpy {np.__version__}, "
        f"clarabel {clarabel.__version__}, polyroots {pr.__version__}; medians of {runs} runs (spread)"
    )
    print("| eigenvalues | roots | plain s | exchange s | ratio | values differ by |")
    print("| --- | --- | --- | --- | --- | --- |")
    for channels, size in ((16, 16), (64, 32)):
        points = target(channels, size)
        for count in (4, 8, 16):
            results = []
            slow = seconds_of(lambda: results.append(plain(points, count)), runs)  # noqa: B023
            fast = seconds_of(lambda: results.append(minimax(points, count).value), runs)  # noqa: B023
            ratio = statistics.median(slow) / statistics.median(fast)
            difference = abs(results[0] - results[-1]) / results[-1]
            print(
                f"| {points.count:,} | {count} | {spread(slow)} | {spread(fast)} | {ratio:.1f} | {difference:.0e} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
