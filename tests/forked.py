"""Processes forked from one that has imported torch and polyroots, since imports take longer than small runs.

They are separate processes of the system, which can be killed, receive signals, and train together.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        *("polyroots.training.loop.train", "polyroots.study", "polyroots_cli.main", "polyroots_cli.reporter"),
        *("forked", "killed", "small_runs", "victims"),
    ]
)


def start(function: Callable[..., None], *arguments: Any) -> ForkServerProcess:
    """Start a process that calls a function of a module."""
    process = _CONTEXT.Process(target=_call, args=(function, arguments))
    process.start()
    return process


def status_of(process: ForkServerProcess, timeout: float = 120) -> int:
    """Wait for a process and return its exit status; negative for the signal that ended it.

    The error for one that hangs has its threads; where Python is in each of them is on its standard error.
    """
    process.join(timeout)
    status = process.exitcode
    if status is None:
        assert process.pid is not None
        threads = _threads_of(process.pid)
        os.kill(process.pid, signal.SIGABRT)
        process.join(5)
        process.kill()
        raise AssertionError(f"not done after {timeout} seconds: {threads}")
    return status


def _threads_of(pid: int) -> list[str]:
    """Return the name of each thread of a process, its state, ticks of a processor and what it waits for."""
    threads = []
    for task in Path(f"/proc/{pid}/task").glob("*"):
        name, _, fields = (task / "stat").read_text().partition(" (")[2].rpartition(") ")
        state, *numbers = fields.split()
        threads.append(f"{name} {state} {numbers[10]}+{numbers[11]} {(task / 'wchan').read_text()}")
    return threads


def command(words: Sequence[object], out: Path, error: Path, **environment: str) -> ForkServerProcess:
    """Start polyroots with the words of a command line, and append its output to two files."""
    return start(_command, [str(word) for word in words], str(out), str(error), environment)


def on_a_terminal(columns: int, words: Sequence[object]) -> str:
    """Return what polyroots prints on a pseudo-terminal, with its escape sequences."""
    reading, writing = os.openpty()
    terminal = Path(os.ttyname(writing))
    process = command(words, terminal, terminal, COLUMNS=str(columns), TERM="xterm-256color")
    printed = b""
    while process.is_alive() or select.select([reading], [], [], 0)[0]:
        if select.select([reading], [], [], 0.05)[0]:
            printed += os.read(reading, 2**16)
    assert status_of(process) == 0
    for end in (reading, writing):
        os.close(end)
    return printed.decode().replace("\r", "")


def _call(function: Callable[..., None], arguments: Sequence[Any]) -> None:
    import torch

    faulthandler.enable()
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
        signal.signal(number, handler)
    torch.set_num_threads(1)
    function(*arguments)


def _command(words: list[str], out: str, error: str, environment: dict[str, str]) -> None:
    for path, number in ((out, 1), (error, 2)):
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.dup2(handle, number)
    os.environ.update(environment)
    sys.argv = ["polyroots", *words]
    from polyroots_cli.main import main

    main(words)


class _Done:
    """A finished process, in place of one that computes a snapshot."""

    returncode = 0

    def __init__(self, command: Sequence[str], **options: Any) -> None:
        from polyroots.training.runs.tracking import work

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "nice", lambda increment: 0)
            work(command[-1])

    def poll(self) -> int:
        return 0

    def terminate(self) -> None: ...

    def communicate(self) -> tuple[None, bytes]:
        return None, b""


@contextmanager
def snapshots_without_processes() -> Iterator[None]:
    """Compute tracked spectra in this process, at the time when their own process would start."""
    with pytest.MonkeyPatch.context() as patch:
        names = SimpleNamespace(Popen=_Done, PIPE=subprocess.PIPE, DEVNULL=subprocess.DEVNULL)
        patch.setattr("polyroots.training.runs.tracking.subprocess", names)
        yield
