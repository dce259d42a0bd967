"""Spectra against a plain implementation in the same run: times, exponents, memory, and the solver's share of the time.

*Plain* is the formula as it stands: the kernel's FFT on the whole grid, then numpy's eigenvalues of the full stack with
default threads. Both are called in turns, and the ratios are medians over the turns: of the times, and of the processor
seconds of all threads, which other programs disturb less. ``--large`` adds 512 channels at 56x56, which takes a quarter
of an hour on two cores.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from timing import both_in_turns, seconds_of, spread

import polyroots as pr
import polyroots.spectra.spectrum
from polyroots.spectra import eigvals
from polyroots.threads import usable_cores

# (channels, kernel, image, how often) of the paper's levels and of the square convolutions with stride 1 in a
# ResNet-50 that sees images of 224x224.
PAPER = ((64, 3, 32, 1), (128, 3, 16, 1), (256, 3, 8, 1), (256, 3, 4, 1))
RESNET50 = ((64, 1, 56, 1), (64, 3, 56, 3), (128, 3, 28, 3), (256, 3, 14, 5), (512, 3, 7, 2))

PEAK = """
import sys, numpy as np, polyroots as pr
def peak():
    return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1])
pr.eigenvalues(np.ones((2, 2, 3, 3)), 4)  # everything is imported, the pool has run
before = peak()
c, k, n = (int(x) for x in sys.argv[1:])
K = np.random.default_rng(5).uniform(-1, 1, (c, c, k, k)) / np.sqrt(k * k * c)
pr.eigenvalues(K, n)
print((peak() - before) / 1024)
"""


def kernel(c: int, k: int) -> np.ndarray:
    return np.random.default_rng(20260722).uniform(-1, 1, (c, c, k, k)) / np.sqrt(k * k * c)


def plain_symbols(K: np.ndarray, n: int) -> np.ndarray:
    """Return the symbol on the full grid, with the kernel's centre rolled to the origin."""
    c, k = K.shape[0], K.shape[2]
    padded = np.zeros((c, c, n, n))
    padded[:, :, :k, :k] = K
    symbols = np.fft.fft2(np.roll(padded, (-(k // 2), -(k // 2)), axis=(2, 3)))
    return symbols.transpose(2, 3, 0, 1)


def plain(K: np.ndarray, n: int) -> np.ndarray:
    return np.linalg.eigvals(plain_symbols(K, n)).ravel()


def plain_singular(K: np.ndarray, n: int) -> np.ndarray:
    return np.linalg.svd(plain_symbols(K, n), compute_uv=False).ravel()


def solver_share(K: np.ndarray, n: int, runs: int) -> float:
    """Return the median share of the threads' time inside the solver."""
    inside, lock, shares = 0.0, threading.Lock(), []

    def timed(stack: np.ndarray) -> np.ndarray:
        nonlocal inside
        start = time.perf_counter()
        result = eigvals(stack)
        with lock:
            inside += time.perf_counter() - start
        return result

    module: Any = polyroots.spectra.spectrum
    module.eigvals = timed
    try:
        for _ in range(runs):
            inside = 0.0
            (wall,) = seconds_of(lambda: pr.eigenvalues(K, n), 1)
            shares.append(inside / (wall * usable_cores()))
    finally:
        module.eigvals = eigvals
    return statistics.median(shares)


def against_plain(title: str, layers: tuple[tuple[int, int, int, int], ...], runs: int) -> None:
    print(f"\n### {title}\n\n| layer | times | plain s | polyroots s | ratio | plain CPU s | polyroots CPU s ", end="")
    print("| ratio | in the solver |\n" + "| --- " * 9 + "|", flush=True)
    totals = np.zeros(4)
    for c, k, n, count in layers:
        K = kernel(c, k)
        found: dict[str, np.ndarray] = {}
        ways = {
            "plain": lambda: found.update(plain=plain(K, n)),  # noqa: B023
            "ours": lambda: found.update(ours=pr.eigenvalues(K, n).values),  # noqa: B023
        }
        times = both_in_turns(ways, runs)
        # Both compute the same eigenvalues. Moduli are compared because conjugates come in another order.
        np.testing.assert_allclose(np.sort(abs(found["plain"])), np.sort(abs(found["ours"])), rtol=1e-9, atol=1e-12)
        cells = []
        for i in (0, 1):
            theirs, ours = ([pair[i] for pair in times[way]] for way in ways)
            totals[2 * i : 2 * i + 2] += count * np.array([statistics.median(theirs), statistics.median(ours)])
            ratios = [a / b for a, b in zip(theirs, ours, strict=True)]
            cells += [spread(theirs), spread(ours), f"{statistics.median(ratios):.1f}"]
        share = f"{solver_share(K, n, 1):.0%}" if k > 1 else "one matrix"
        print(f"| {c}x{c}x{k}x{k} at {n}x{n} | {count} | {' | '.join(cells)} | {share} |", flush=True)
    wall, cpu = (f"{a:.2f} | {b:.2f} | {a / b:.1f}" for a, b in (totals[:2], totals[2:]))
    print(f"| total | | {wall} | {cpu} | |")


def singular(runs: int) -> None:
    print("\n### Singular values\n\n| layer | plain s | polyroots s | ratio |\n| --- | --- | --- | --- |")
    for c, n in ((64, 32), (256, 8)):
        K = kernel(c, 3)
        theirs = seconds_of(partial(plain_singular, K, n), runs)
        ours = seconds_of(partial(pr.singular_values, K, n), runs)
        ratio = statistics.median(theirs) / statistics.median(ours)
        print(f"| {c}x{c}x3x3 at {n}x{n} | {spread(theirs)} | {spread(ours)} | {ratio:.1f} |", flush=True)


def threads(runs: int) -> None:
    print("\n### Threads\n\n| layer | 1 thread s | all cores s | ratio |\n| --- | --- | --- | --- |")
    for c, n in ((64, 32), (256, 8)):
        K = kernel(c, 3)
        one = seconds_of(partial(pr.eigenvalues, K, n, workers=1), runs)
        every = seconds_of(partial(pr.eigenvalues, K, n), runs)
        ratio = statistics.median(one) / statistics.median(every)
        print(f"| {c}x{c}x3x3 at {n}x{n} | {spread(one)} | {spread(every)} | {ratio:.2f} |", flush=True)


def exponents(runs: int) -> None:
    print("\n### Growth\n\n| what | CPU seconds | exponent |\n| --- | --- | --- |")
    for what, layers in (
        ("image n, 64 channels", [(64, n) for n in (16, 32, 64, 128)]),
        ("channels c, 8x8", [(c, 8) for c in (64, 128, 256, 512)]),
    ):
        times = both_in_turns({(c, n): partial(pr.eigenvalues, kernel(c, 3), n) for c, n in layers}, runs)
        medians = [statistics.median(cpu for _, cpu in times[layer]) for layer in layers]
        sizes = [n if what.startswith("image") else c for c, n in layers]
        slope = np.polyfit(np.log(sizes), np.log(medians), 1)[0]
        numbers = ", ".join(f"{size}: {seconds:.2f}" for size, seconds in zip(sizes, medians, strict=True))
        print(f"| {what} | {numbers} | {slope:.2f} |", flush=True)


def extremes(runs: int) -> None:
    print("\n### Extremes, 64 channels\n\n| image | all eigenvalues, CPU s | extremes, CPU s |\n| --- | --- | --- |")
    K = kernel(64, 3)
    for n in (112, 224, 1024):
        ways: dict[str, Callable[[], object]] = {"few": partial(pr.extreme_eigenvalues, K, n, 6)}
        if n <= 224:
            ways["all"] = partial(pr.eigenvalues, K, n)
        times = both_in_turns(ways, runs)
        cells = [spread([cpu for _, cpu in times[way]]) if way in times else "not run" for way in ("all", "few")]
        print(f"| {n}x{n} | {' | '.join(cells)} |", flush=True)


def memory(layers: list[tuple[int, int, int]]) -> None:
    print("\n### Peak memory above the interpreter with its libraries\n\n| layer | MiB |\n| --- | --- |")
    for c, k, n in layers:
        result = subprocess.run(
            [sys.executable, "-c", PEAK, str(c), str(k), str(n)], capture_output=True, text=True, check=True
        )
        print(f"| {c}x{c}x{k}x{k} at {n}x{n} | {float(result.stdout):.0f} |", flush=True)


PARTS: dict[str, Callable[[int], None]] = {
    "paper": partial(against_plain, "The paper's levels", PAPER),
    "resnet50": partial(against_plain, "A ResNet-50's square convolutions, images of 224x224", RESNET50),
    "singular": singular,
    "threads": threads,
    "growth": exponents,
    "extremes": extremes,
    "memory": lambda runs: memory([(64, 3, 32), (64, 3, 224), (256, 3, 14), (512, 3, 7)]),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--large", action="store_true", help="also the memory of 512 channels at 56x56")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="parts of the benchmark")
    options = parser.parse_args()
    runs = options.runs
    print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}")
    print(f"polyroots {pr.__version__}, median of {runs} runs (spread: max - min); load {os.getloadavg()[0]:.1f}")
    for part in options.only:
        PARTS[part](runs)
    if options.large:
        memory([(512, 3, 56)])


if __name__ == "__main__":
    main()
