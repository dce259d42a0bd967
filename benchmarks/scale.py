"""Spectra of the largest convolutions in use: time from part of the frequencies, memory of the whole process.

Each layer is a process of its own, which draws frequencies as ``polyroots spectrum --sample`` does, in two threads. The
processor time of a matrix is that of its thread; *all* is fitted from it: one matrix for each pair of frequencies and
one for each that is its own conjugate. *Whole grid* is the memory of the symbol at all frequencies, which the plain way
keeps.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np

import polyroots as pr
import polyroots.spectra.sample

# (channels, kernel, image): the widest convolutions of a diffusion UNet, at the size of its first level, and as many
# channels as the last stage of a ResNet-50 ends with.
LAYERS = ((1280, 3, 64), (2048, 3, 7))


def measure(c: int, k: int, n: int, count: int) -> None:
    """Print the row of a layer."""
    K = np.random.default_rng(20261129).standard_normal((c, c, k, k)).astype(np.float32) / np.float32(k * np.sqrt(c))
    module: Any = polyroots.spectra.sample
    solve = module.eigenvalues_at
    seconds: dict[bool, list[float]] = {False: [], True: []}

    def timed(operator: Any, ky: Any, kx: Any, is_real: bool) -> Any:
        start = time.thread_time()
        result = solve(operator, ky, kx, is_real)
        seconds[is_real] += [(time.thread_time() - start) / len(ky)] * len(ky)
        return result

    module.eigenvalues_at = timed
    sample = pr.sample_eigenvalues(K, n, count, workers=2)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    each = {is_real: statistics.median(times) for is_real, times in seconds.items()}
    spread = max(seconds[False]) - min(seconds[False])
    hours = (each[False] * sample.pairs + each[True] * len(sample.alone)) / 3600
    median = sample.quantiles([0.5])[0]
    print(
        f"| {c}x{c}x{k}x{k} at {n}x{n} | {sample.total * c:,} | {count} of {sample.pairs:,} | {each[False]:.1f} "
        f"({spread:.1f}) | {each[True]:.1f} | {hours:.1f} | {peak:.1f} | {16 * c * c * n * n / 2**30:.0f} "
        f"| {median.estimate:.3f} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=8, help="number of pairs of frequencies that are drawn")
    parser.add_argument("--layer", type=int, nargs=3, metavar=("C", "K", "N"), help="this layer, in this process")
    options = parser.parse_args()
    if options.layer:
        c, k, n = options.layer
        measure(c, k, n, options.count)
        return
    print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, numpy {np.__version__},")
    print(f"polyroots {pr.__version__}; load {os.getloadavg()[0]:.1f}\n")
    print("| layer | eigenvalues | pairs drawn | CPU s a pair | a real matrix | all, CPU h | peak GiB ", end="")
    print("| whole grid GiB | median modulus |\n" + "| --- " * 9 + "|", flush=True)
    for layer in LAYERS:
        words = ["--count", str(options.count), "--layer", *map(str, layer)]
        subprocess.run([sys.executable, __file__, *words], check=True)


if __name__ == "__main__":
    main()
