"""How the benchmarks measure and write times."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


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
