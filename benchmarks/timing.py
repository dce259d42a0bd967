"""How the benchmarks measure and write times."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

K = TypeVar("K")


def seconds_of(function: Callable[[], object], runs: int) -> list[float]:
    """Time several calls."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return times


def spread(times: list[float]) -> str:
    """Write the median and, in brackets, max - min."""
    return f"{statistics.median(times):.2f} ({max(times) - min(times):.2f})"


def in_turns(functions: Mapping[K, Callable[[], object]], runs: int) -> dict[K, list[float]]:
    """Time functions in turns, so that a slow moment of the machine hits all of them; the first turn doesn't count."""
    times: dict[K, list[float]] = {name: [] for name in functions}
    for _ in range(runs + 1):
        for name, function in functions.items():
            times[name] += seconds_of(function, 1)
    return {name: seconds[1:] for name, seconds in times.items()}
