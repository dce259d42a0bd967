"""Processes that work for another one."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

#: Signals of Ctrl-C, of a scheduler before its time limit (SIGTERM, and SIGUSR1 by SLURM's ``--signal=USR1``), and of a
#: terminal that is closed.
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, name)]

_SECONDS_BETWEEN_LOOKS = 1.0


def stop_without(parent: int) -> None:
    """Send SIGTERM to this process as soon as its parent has ended, at once if it has already."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


# macOS has no sigwaitinfo: there a signal to the group ends the workers, and with them the training.
_KNOWS_SENDERS = hasattr(signal, "sigwaitinfo")


@contextmanager
def blocked_signals() -> Iterator[None]:
    """Block the requests to stop within the block; processes that are started there begin with them blocked."""
    if not _KNOWS_SENDERS:
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave_signals_to_parent(_: int) -> None:
    """Take requests to stop from the parent alone: the `worker_init_fn` of a DataLoader, started in `blocked_signals`.

    timeout, systemd and scancel signal all processes of a group, and torch's handler ends a worker by the signal: the
    training would fail for want of images instead of saving at the end of its step.
    """
    if not _KNOWS_SENDERS:
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)

    def watch() -> None:
        while signal.sigwaitinfo([signal.SIGTERM]).si_pid != os.getppid():
            pass
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()
