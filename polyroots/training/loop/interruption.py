"""Signals that request a run to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from polyroots.processes import SIGNALS


class Interruption:
    """Handler of SIGINT (Ctrl-C), SIGTERM, SIGHUP and SIGUSR1.

    Within `listening` a signal raises KeyboardInterrupt. Within `deferred` it sets `requested`, which the training loop
    reads after each step; only a second Ctrl-C raises KeyboardInterrupt there.

    Attributes
    ----------
    requested : bool
        Whether a signal has arrived within `deferred`.
    """

    def __init__(self) -> None:
        self.requested = False
        self._is_deferring = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle the signals within the block, in the main thread only: Python delivers no signals to others."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before: dict[signal.Signals, Any] = {number: signal.getsignal(number) for number in SIGNALS}
        # Ignored signals, such as those of background jobs, stay ignored. None is a handler that Python didn't set.
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
        """Let signals set `requested` within the block instead of raising."""
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
