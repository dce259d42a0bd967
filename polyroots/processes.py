"""Processes that work for another one."""

from __future__ import annotations

import os
import signal
import threading
import time

_SECONDS_BETWEEN_LOOKS = 1.0


def stop_without(parent: int) -> None:
    """Send SIGTERM to this process as soon as its parent has ended, at once if it has already."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
