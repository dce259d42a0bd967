"""Signals that ask a run to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

#: Ctrl-C; what a scheduler sends before the time is up; a terminal that is gone.
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Interruption:
    """SIGINT (Ctrl-C), SIGTERM and SIGHUP while a run goes on.

    They raise KeyboardInterrupt; within `deferred` they wait for the step's end, where `requested` tells of them. A
    second Ctrl-C doesn't wait.
    """

    def __init__(self) -> None:
        self.requested = False
        self._is_deferring = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the signals; they belong to the main thread, and a run in another one isn't told of them."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before: dict[signal.Signals, Any] = {number: signal.getsignal(number) for number in SIGNALS}
        # What the caller ignores, as a shell does for its background jobs, stays ignored. None: no handler of Python's.
        taken = [number for number in SIGNALS if before[number] not in (signal.SIG_IGN, None)]
        for number in taken:
            signal.signal(number, self._handle)
        try:
            yield
        finally:
            for number in taken:
                signal.signal(number, before[number])

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Let signals wait."""
        self._is_deferring = True
        try:
            yield
        finally:
            self._is_deferring = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del frame
        is_impatient = self.requested and number == signal.SIGINT
        if not self._is_deferring or is_impatient:
            raise KeyboardInterrupt
        self.requested = True
