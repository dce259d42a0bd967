"""Runs whose processes are forked from one that has imported torch: each is a process of its own all the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import forked
import pytest
import served
from small_studies import wait_for

from polyroots.study import forks
from polyroots.study.forks import Fork, Forker
from polyroots.study.progress import STOPPED

pytestmark = pytest.mark.xdist_group("forked")


class Served:
    """A process that serves, with the interface of `subprocess.Popen`; it has no imports to wait for."""

    def __init__(self, directory: Path) -> None:
        paths = [directory / name for name in ("requests", "answers")]
        for path in paths:
            os.mkfifo(path)
        self.process = forked.start(served.serve, *map(str, paths), served.work)
        self.pid = self.process.pid
        # Opened for both directions, which waits for no process at the other end: it may have failed to start.
        self.stdin, self.stdout = (path.open("r+b", buffering=0) for path in paths)

    def poll(self) -> int | None:
        return self.process.exitcode

    def wait(self) -> int:
        return forked.status_of(self.process)


@pytest.fixture
def forker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Forker]:
    """Return a process that forks `served.work`."""
    monkeypatch.setattr(forks, "start_worker", lambda *_: Served(tmp_path))
    made = Forker(tmp_path, sys.stderr.buffer, {})
    yield made
    made.close()


def fork(forker: Forker, name: str, tmp_path: Path) -> tuple[Fork, Path]:
    """Fork a run, and return it with its log."""
    return forker.fork(name, tmp_path / f"{name}.log"), tmp_path / f"{name}.log"


def waits(log: Path) -> bool:
    return log.exists() and "waits" in log.read_text()


def test_a_fork_is_a_process_of_its_own(forker: Forker, tmp_path: Path) -> None:
    logs = []
    for name in ("one", "two"):
        log = tmp_path / name
        log.write_text("before\n")
        run = forker.fork("show", log)
        assert run.wait(60) == 3
        before, shown, error = log.read_text().splitlines()
        assert (before, error) == ("before", "and an error")
        pid, group, directory, *random_numbers = shown.split(" ")
        assert int(pid) == int(group) == run.pid
        assert directory == str(Path.cwd())
        assert shown.endswith(str([str(tmp_path), "show", str(forker._process.pid)]))
        logs.append(random_numbers[:2])
    assert logs[0][0] != logs[1][0]
    assert logs[0][1] != logs[1][1]


def test_what_a_run_changes_ends_with_it(forker: Forker, tmp_path: Path) -> None:
    assert [fork(forker, name, tmp_path)[0].wait(60) for name in ("look", "change", "look")] == [0, 0, 0]


def test_a_run_that_dies_takes_no_other_along(forker: Forker, tmp_path: Path) -> None:
    """Neither by a signal nor by an exception; a signal that comes before the fork is kept for it."""
    stays, log = fork(forker, "stay", tmp_path)
    early, _ = fork(forker, "sleep", tmp_path)
    early.send_signal(signal.SIGTERM)
    assert early.wait(60) == -signal.SIGTERM
    killed, _ = fork(forker, "again", tmp_path)
    with pytest.raises(subprocess.TimeoutExpired):
        killed.wait(0.01)
    killed.kill()
    assert killed.wait(60) == -signal.SIGKILL
    failed, said = fork(forker, "fail", tmp_path)
    assert failed.wait(60) == 1
    assert said.read_text().endswith("RuntimeError: unexpected\n")
    wait_for(lambda: waits(log))
    assert stays.poll() is None
    assert forker.is_running
    stays.kill()
    killed.kill()  # one that has ended receives nothing
    assert stays.wait(60) == -signal.SIGKILL


def test_runs_stop_when_the_process_that_forked_them_ends(forker: Forker, tmp_path: Path) -> None:
    stops, log = fork(forker, "stop", tmp_path)
    wait_for(lambda: waits(log))
    assert stops.poll() is None
    os.kill(forker._process.pid, signal.SIGKILL)
    assert stops.wait(60) == STOPPED
    late, _ = fork(forker, "look", tmp_path)
    assert late.wait(60) == -signal.SIGKILL
    assert not forker.is_running


def test_a_closed_input_ends_it_and_its_runs(forker: Forker, tmp_path: Path) -> None:
    stops, log = fork(forker, "stop", tmp_path)
    wait_for(lambda: waits(log))
    stops.poll()
    handle = os.pidfd_open(stops.pid)
    forker._process.stdin.close()
    assert forker._process.wait() == 0
    wait_for(lambda: bool(forks.select.select([handle], [], [], 0)[0]), 60)
    os.close(handle)
    assert stops.poll() == STOPPED
