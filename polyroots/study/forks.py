"""Processes forked from one that has imported what a run needs, which takes longer than a small run trains.

Each run still has a process of its own: it ends alone, its memory is given back, and it begins in the state after the
imports. The process that forks trains nothing. Its requests are lines of JSON on its standard input, its answers lines
of JSON on its standard output. It ends when its input is closed, and its runs stop when it has ended.

The fork server of `multiprocessing` doesn't do this: it is one for all of a program, with its environment and standard
error instead of those of a study, and when it is killed the runs that go on are taken for ended.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import IO, Any

import numpy as np

from polyroots.study.progress import STOPPED

_SECONDS_BETWEEN_LOOKS = 0.05
_MOST_BYTES = 2**16


class Forker:
    """A process of Python that forks the processes of runs.

    Parameters
    ----------
    study : Path
        Directory of the study.
    errors : file
        Receives what the process prints while it imports.
    environment : mapping of str to str
        Of the process, and so of the runs.

    Raises
    ------
    OSError
        If the process can't be started.
    """

    def __init__(self, study: Path, errors: IO[bytes], environment: Mapping[str, str]) -> None:
        self._study = study
        self._process = start_worker([str(study)], subprocess.PIPE, subprocess.PIPE, errors, environment)
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        self._forks: list[Fork] = []
        self._rest = b""

    @property
    def is_running(self) -> bool:
        """Whether it can fork."""
        return self._process.poll() is None

    def fork(self, name: str, log: Path) -> Fork:
        """Fork the process of a run; its output is appended to a log."""
        self._forks.append(Fork(self, len(self._forks), self._process.pid))
        self.ask(run=name, study=str(self._study), log=str(log), directory=str(Path.cwd()))
        return self._forks[-1]

    def ask(self, **request: Any) -> None:
        """Send a request, unless the process has ended."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            os.write(self._process.stdin.fileno(), json.dumps(request).encode() + b"\n")

    def listen(self) -> int | None:
        """Hand the answers to the forks, and return the exit status of the process if it has ended."""
        status = self._process.poll()
        assert self._process.stdout is not None
        with suppress(BlockingIOError):
            while more := os.read(self._process.stdout.fileno(), _MOST_BYTES):
                self._rest += more
        *lines, self._rest = self._rest.split(b"\n")
        for answer in map(json.loads, lines):
            self._forks[answer.pop("fork")].hear(**answer)
        return status

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


class Fork:
    """The process of a run, with what `LocalRunner` calls of `subprocess.Popen`.

    Attributes
    ----------
    pid : int
        The group of processes that is killed; until the run is forked it is that of the `Forker`.
    """

    def __init__(self, forker: Forker, number: int, pid: int) -> None:
        self.pid = pid
        self._forker, self._number = forker, number
        self._handle: int | None = None
        self._status: int | None = None

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal, or None while the run goes on."""
        forker_status = self._forker.listen() if self._status is None else None
        if self._status is None and forker_status is not None:
            # A run that has lost its parent saves and stops, and its status can't be known.
            if self._handle is None:
                self._end(forker_status or 1)
            elif select.select([self._handle], [], [], 0)[0]:
                self._end(STOPPED)
        return self._status

    def wait(self, timeout: float = np.inf) -> int:
        """Wait for the exit status; raise TimeoutExpired after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while (status := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("worker", timeout)
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal to the run, as soon as it is forked."""
        self._forker.ask(fork=self._number, signal=number)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def hear(self, pid: int | None = None, status: int | None = None) -> None:
        """Take the answers about this run: the process that was forked, and its exit status."""
        if pid is not None:
            self.pid = pid
            with suppress(OSError):
                self._handle = os.pidfd_open(pid)
        if status is not None:
            self._end(status)

    def _end(self, status: int) -> None:
        self._status = status
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def start_worker(
    arguments: list[str], stdin: int, stdout: int | IO[bytes], stderr: int | IO[bytes], environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start `polyroots.study.worker`, in a session of its own: Ctrl-C reaches it only through the runner."""
    return subprocess.Popen(
        [sys.executable, "-m", "polyroots.study.worker", *arguments],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        env=environment,
        preexec_fn=_ignore_time_limit,
        start_new_session=True,
    )


def _ignore_time_limit() -> None:
    """Ignore SIGUSR2, which SLURM sends to all processes of a job before its time is up and the job itself handles."""
    if hasattr(signal, "SIGUSR2"):
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)


def can_fork() -> bool:
    """Whether a process that has imported torch can be forked here."""
    return sys.platform == "linux"


def serve(train: Callable[[str, str, str], int]) -> int:
    """Fork a process for each request, until the standard input is closed, and return the exit status of this process.

    Parameters
    ----------
    train : callable
        Called in a forked process with the study, the run and the number of the parent's process; returns the exit
        status.

    Returns
    -------
    int
        It returns in the forked processes too, with their status.
    """
    requests, answers = os.dup(0), os.dup(1)
    _replace(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    ended, sign = socket.socketpair()
    sign.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(sign.fileno(), warn_on_full_buffer=False)
    # What has been imported stays, and its pages are shared as long as nobody writes to them.
    gc.collect()
    gc.freeze()
    running: dict[int, int] = {}
    numbers = count()
    rest = b""
    while True:
        ready, _, _ = select.select([requests, ended.fileno()], [], [])
        if ended.fileno() in ready:
            ended.recv(_MOST_BYTES)
            for number, status in _ended(running):
                del running[number]
                _answer(answers, fork=number, status=status)
        if requests not in ready:
            continue
        more = os.read(requests, _MOST_BYTES)
        if not more:
            return 0
        *lines, rest = (rest + more).split(b"\n")
        for request in map(json.loads, lines):
            if "signal" in request:
                _send(request["signal"], running.get(request["fork"]))
                continue
            parent, pid = os.getpid(), os.fork()
            if pid == 0:
                for opened in (requests, answers, ended.detach(), sign.detach()):
                    os.close(opened)
                return _run(request, parent, train)
            number = next(numbers)
            running[number] = pid
            _answer(answers, fork=number, pid=pid)


def _run(request: Mapping[str, str], parent: int, train: Callable[[str, str, str], int]) -> int:
    """Train a run in a forked process as in one that was started for it."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.chdir(request["directory"])
    log = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.dup2(log, 1)
    _replace(log, 2)
    # torch and random begin as in a new process, numpy with the state of its parent.
    np.random.seed()  # noqa: NPY002
    # The command of config.json, and of the other processes of a run on several devices.
    sys.argv[1:] = [request["study"], request["run"], str(parent)]
    return train(request["study"], request["run"], str(parent))


def _ended(running: Mapping[int, int]) -> list[tuple[int, int]]:
    """Return (number, exit status) of the runs that have ended."""
    found = [(number, os.waitpid(pid, os.WNOHANG)) for number, pid in running.items()]
    return [(number, os.waitstatus_to_exitcode(status)) for number, (pid, status) in found if pid]


def _send(number: int, pid: int | None) -> None:
    """Send a signal to a run that has not ended."""
    if pid is not None:
        os.kill(pid, number)


def _answer(answers: int, **answer: int) -> None:
    os.write(answers, json.dumps(answer).encode() + b"\n")


def _replace(opened: int, number: int) -> None:
    """Let a number stand for an open file."""
    os.dup2(opened, number)
    os.close(opened)
