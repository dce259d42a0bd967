"""What the process that forks runs, and the runs, do in tests: in a module that a forked process can import."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from polyroots.processes import stop_without
from polyroots.study import forks
from polyroots.study.progress import STOPPED


def serve(requests: str, answers: str, work: Callable[[str, str, str], int]) -> None:
    """Serve requests from one named pipe, and answer through another."""
    for path, number, flags in ((requests, 0, os.O_RDONLY), (answers, 1, os.O_WRONLY)):
        os.dup2(os.open(path, flags), number)
    sys.exit(forks.serve(work))


def work(study: str, run: str, parent: str) -> int:
    """Do what a run's name says."""
    assert os.getppid() == int(parent)
    stop_without(int(parent))
    if run == "show":
        numbers = random.random(), np.random.rand()  # noqa: NPY002
        print(os.getpid(), os.getpgid(0), Path.cwd(), *numbers, sys.argv[1:], flush=True)
        print("and an error", file=sys.stderr, flush=True)
        return 3
    if run == "change":
        os.environ["LEFT"] = np.__name__ = "behind"
        return int("LEFT" not in os.environ)
    if run == "look":
        return 1 if "LEFT" in os.environ or np.__name__ != "numpy" else 0
    if run == "fail":
        raise RuntimeError("unexpected")
    if run == "stop":
        signal.signal(signal.SIGTERM, lambda *_: os._exit(STOPPED))
    print("waits", flush=True)
    time.sleep(600)
    return 0
