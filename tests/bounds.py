"""Bounds on the time and the memory that something takes."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

# The system counts in kibibytes on Linux, and in bytes on macOS.
_UNIT = 1024 if sys.platform == "linux" else 1


@contextmanager
def within(seconds: float, mebibytes: float | None = None) -> Iterator[None]:
    """Check that the block takes less of a processor's time, and of memory at once, than is given."""
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    yield
    assert time.process_time() - start < seconds
    if mebibytes is not None:
        assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * _UNIT < mebibytes * 2**20
