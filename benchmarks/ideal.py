"""Ideal GMRES polynomials and numerical ranges of the paper's levels: CPU seconds and gaps to the proven bounds.

The operators are A = I + N with the eigenvalues in a disc around 1, as ``--a-init shifted`` draws them, and the same
with a block triangular N, which is far from normal.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable

import clarabel
import numpy as np
from jaxtyping import Float64

import polyroots as pr
from polyroots.polynomials import RangePolygon, ideal
from polyroots.spectra import OperatorBlocks
from polyroots.threads import usable_cores

LEVELS = ((64, 32), (128, 16), (256, 8), (256, 4))


def kernel(channels: int, is_triangular: bool) -> Float64[np.ndarray, "c c 3 3"]:
    """Return the kernel of a level."""
    K = np.random.default_rng(20261128).standard_normal((channels, channels, 3, 3)) / (6 * np.sqrt(channels))
    if is_triangular:
        K *= 2 * np.triu(np.ones((channels, channels)))[:, :, None, None]
    K[range(channels), range(channels), 1, 1] += 1
    return K


def cpu_seconds(function: Callable[[], object], runs: int) -> list[float]:
    """Return the CPU seconds of all threads for each of several calls."""
    times = []
    for _ in range(runs):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return times


def shown(times: list[float]) -> str:
    return f"{statistics.median(times):.1f} ({max(times) - min(times):.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--counts", type=int, nargs="+", default=[4, 8])
    arguments = parser.parse_args()
    print(
        f"{usable_cores()} cores, Python {platform.python_version()}, numpy {np.__version__}, "
        f"clarabel {clarabel.__version__}, polyroots {pr.__version__}; medians of {arguments.runs} runs (spread)"
    )
    print("| level | N | roots | norm of q(A) | gap to the bound | ideal CPU s | range CPU s |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for channels, size in LEVELS:
        for is_triangular in (False, True):
            operator = pr.Convolution.of(kernel(channels, is_triangular), size)
            around = cpu_seconds(
                lambda: RangePolygon.of(OperatorBlocks(operator, is_regular=True)),  # noqa: B023
                arguments.runs,
            )
            for count in arguments.counts:
                results = []
                times = cpu_seconds(
                    lambda: results.append(ideal(OperatorBlocks(operator, is_regular=True), count)),  # noqa: B023
                    arguments.runs,
                )
                best = results[-1]
                print(
                    f"| {channels}x{channels}x3x3 at {size}x{size} | {'triangular' if is_triangular else 'full'} | "
                    f"{count} | {best.value:.4g} | {(best.value - best.bound) / best.value:.0e} | {shown(times)} | "
                    f"{shown(around)} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
