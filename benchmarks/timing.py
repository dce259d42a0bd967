"""Measuring and printing times."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

K = TypeVar("K")


def seconds_of(function: Callable[[], object], runs: int) -> list[float]:
    """Return the seconds of each of several calls."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return times


def spread(times: list[float]) -> str:
    """Return the median and, in brackets, max - min as text."""
    return f"{statistics.median(times):.2f} ({max(times) - min(times):.2f})"


def in_turns(functions: Mapping[K, Callable[[], object]], runs: int) -> dict[K, list[float]]:
    """Return the seconds of functions called in turns, so that a slow moment affects all; the first turn is dropped."""
    times: dict[K, list[float]] = {name: [] for name in functions}
    for _ in range(runs + 1):
        for name, function in functions.items():
            times[name] += seconds_of(function, 1)
    return {name: seconds[1:] for name, seconds in times.items()}


def both_in_turns(functions: Mapping[K, Callable[[], object]], runs: int) -> dict[K, list[tuple[float, float]]]:
    """Return (seconds, processor seconds of all threads) of functions called in turns; the first turn is dropped."""
    times: dict[K, list[tuple[float, float]]] = {name: [] for name in functions}
    for _ in range(runs + 1):
        for name, function in functions.items():
            start, work = time.perf_counter(), time.process_time()
            function()
            times[name].append((time.perf_counter() - start, time.process_time() - work))
    return {name: pairs[1:] for name, pairs in times.items()}
