"""Runs of a study as processes on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import IO

from polyroots.errors import FileError, InputError
from polyroots.files import cannot_write, make_directory
from polyroots.study.directory import StudyDirectory
from polyroots.study.forks import Fork, Forker, can_fork, start_worker
from polyroots.study.progress import STOPPED, Phase, Runner, last_lines_of, size_of
from polyroots.text import count_of
from polyroots.threads import usable_cores
from polyroots.training import SIGNALS

# A run saves at the end of its step.
_SECONDS_TO_STOP = 60.0


class LocalRunner(Runner):
    """Runs as processes, a fixed number of them at once.

    Cores, and CUDA devices, are divided among the processes; where there are more processes than devices, several
    processes share one. Several runs on a CPU are forked from one process, so that torch is imported once.

    Parameters
    ----------
    directory : StudyDirectory
    names : sequence of str
        The runs, in the order in which they begin.
    jobs : int, optional
        Number of runs at once; by default one for each `devices_per_job` CUDA devices, or one.
    devices_per_job : int
        CUDA devices of each run; 0 leaves all of them visible to all.

    Raises
    ------
    InputError
        If there are fewer devices than a run needs.
    """

    def __init__(
        self, directory: StudyDirectory, names: Sequence[str], *, jobs: int | None = None, devices_per_job: int = 0
    ) -> None:
        self.directory = directory
        self._phases = dict.fromkeys(names, Phase.WAITING)
        self._devices_per_job = devices_per_job
        self._visible = _visible_devices() if devices_per_job else []
        if devices_per_job > len(self._visible):
            raise InputError(
                f"expected {count_of(devices_per_job, 'GPU')} for each run, found {len(self._visible)}; ask for fewer, "
                "or train on the CPU",
                fields=["devices_per_job", "device"],
            )
        if jobs is None:
            jobs = len(self._visible) // devices_per_job if devices_per_job else 1
        self._slots: list[str | None] = [None] * jobs
        self._log_sizes: dict[str, int] = {}
        self._running: dict[str, tuple[subprocess.Popen[bytes] | Fork, IO[bytes]]] = {}
        # CUDA can't be used in a forked process if anything has asked for the devices before.
        self._forks = len(names) > 1 and can_fork() and not (self._visible or _visible_devices())
        self._forker: Forker | None = None

    @property
    def phases(self) -> dict[str, Phase]:
        """Phase of each run."""
        return dict(self._phases)

    def advance(self) -> None:
        """Record the runs that have ended, and start others in their slots."""
        for slot, name in enumerate(self._slots):
            if name is not None and (status := self._running[name][0].poll()) is not None:
                self._finish(name, status)
                self._slots[slot] = None
        for slot, running in enumerate(self._slots):
            if running is None and (name := self._next()) is not None:
                self._start(name, slot)
        if not any(self._slots):
            self._close()

    def stop(self) -> None:
        """Send SIGTERM to the runs, which save and end; kill those that have not ended after a minute."""
        deadline = time.monotonic() + _SECONDS_TO_STOP
        for process, _ in self._running.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        statuses = {name: _status_of(process, deadline) for name, (process, _) in self._running.items()}
        self._slots = [None] * len(self._slots)
        self._close()
        # A log that can't be written is an error, which comes when no run is left.
        for name, status in statuses.items():
            self._finish(name, status)

    def last_lines(self, name: str) -> list[str]:
        """Return the last lines that a run has printed since this runner started it."""
        return last_lines_of(self.directory.log(name), start=self._log_sizes[name])

    def _next(self) -> str | None:
        return next((name for name, phase in self._phases.items() if phase is Phase.WAITING), None)

    def _start(self, name: str, slot: int) -> None:
        log = self.directory.log(name)
        make_directory(log.parent)
        self._log_sizes[name] = size_of(log)
        try:
            output = log.open("ab")
        except OSError as error:
            raise cannot_write(log, error) from error
        try:
            process = self._worker(name, slot, output)
        except OSError as error:
            output.close()
            raise FileError(f"cannot start {sys.executable}: {error.strerror or error}") from error
        self._running[name] = process, output
        self._slots[slot], self._phases[name] = name, Phase.RUNNING

    def _close(self) -> None:
        """End the process that forks."""
        if self._forker is not None:
            self._forker.close()
            self._forker = None

    def _worker(self, name: str, slot: int, output: IO[bytes]) -> subprocess.Popen[bytes] | Fork:
        """Start the process of a run."""
        if not self._forks:
            arguments = [str(self.directory.path), name, str(os.getpid())]
            return start_worker(arguments, subprocess.DEVNULL, output, subprocess.STDOUT, self._environment(slot))
        if self._forker is None or not self._forker.is_running:
            self._forker = Forker(self.directory.path, output, self._environment(slot))
        return self._forker.fork(name, self.directory.log(name))

    def _finish(self, name: str, status: int) -> None:
        _, output = self._running.pop(name)
        is_stopped = status in (STOPPED, *(-number for number in SIGNALS))
        if self.directory.run(name).result.exists():
            self._phases[name] = Phase.DONE
        else:
            self._phases[name] = Phase.STOPPED if is_stopped else Phase.FAILED
        try:
            with output:
                if status < 0:  # a process that was ended by a signal has printed no reason
                    kind = "Stopped" if is_stopped else "Error"
                    output.write(f"{kind}: ended by the signal {signal.Signals(-status).name}\n".encode())
        except OSError as error:
            raise cannot_write(self.directory.log(name), error) from error

    def _environment(self, slot: int) -> dict[str, str]:
        """Environment of the process in a slot, with its share of the machine: threads and devices."""
        # The log may hold any letter, whatever the machine's locale. The safe path: files in the current directory are
        # not imported, neither by the worker nor by the processes that it starts.
        environment = {**os.environ, "PYTHONUTF8": "1", "PYTHONSAFEPATH": "1"}
        # On a cluster that doesn't bind processes to cores, all cores of the node look usable.
        cores = os.environ.get("SLURM_CPUS_PER_TASK") or os.environ.get("SLURM_CPUS_ON_NODE") or usable_cores()
        processes = len(self._slots) * max(1, self._devices_per_job)
        environment.setdefault("OMP_NUM_THREADS", str(max(1, int(cores) // processes)))
        if self._visible:
            first = slot * self._devices_per_job
            chosen = [self._visible[(first + i) % len(self._visible)] for i in range(self._devices_per_job)]
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(chosen)
        return environment


def _status_of(process: subprocess.Popen[bytes] | Fork, deadline: float) -> int:
    """Return the exit status of a run, which is killed if it has not ended by then."""
    try:
        return process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        # The whole session: a run on several devices has a process for each.
        os.killpg(process.pid, signal.SIGKILL)
        return process.wait()


def _visible_devices() -> list[str]:
    """CUDA devices that this process may use, by number or identifier."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [device.strip() for device in named.split(",") if device.strip()]
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]
