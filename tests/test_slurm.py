"""Studies on SLURM: one on a cluster of this machine, which `.ci/run` starts, and the parts that need no cluster."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import fails, run
from small_runs import require_same
from small_studies import FOUR, Ended, command, epochs_done, four, wait_for

from polyroots.errors import FileError, InputError, PolyrootsError
from polyroots.study import LocalRunner, Phase, Resources, StudyDirectory, cluster, make_plan, minutes_of
from polyroots.study.progress import STOPPED, last_lines_of
from polyroots.training import load_run, open_data, train

# These tests share a cluster.
pytestmark = pytest.mark.xdist_group("slurm")

NAMES = [f"q2_seed-{seed}" for seed in (11, 23, 31)]
THREE = FOUR.replace("[11, 23]", "[11, 23, 31]").replace(', "mgnet-ab"', "")
SLURM = ("--cluster", "slurm", "--device", "cpu", "--time", "10")


def _why_not() -> str:
    """Return why there is no SLURM here; empty if there is."""
    if shutil.which("sbatch") is None:
        return "no SLURM (slurm-wlm and munge)"
    if "SLURM_CONF" not in os.environ:
        # A cluster that this machine belongs to is not used for tests.
        return "no cluster for tests: see .ci/slurm"
    try:
        subprocess.run(["sinfo"], capture_output=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return "the SLURM controller does not answer"
    return ""


needs_slurm = pytest.mark.skipif(bool(_why_not()), reason=_why_not() or "-")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read the queue of a cluster of one machine often."""
    monkeypatch.setattr(cluster, "SECONDS_BETWEEN_QUESTIONS", 0.5)
    monkeypatch.setattr(cluster, "PATIENCE", 3.0)


def _job_of(out: Path, name: str) -> str:
    return json.loads((out / "slurm" / "jobs.json").read_text())[name]["job"]


def _states(array: str) -> dict[str, str]:
    """Return the state of each element of an array in the queue."""
    words = ["squeue", "--noheader", "--array", "--format=%i %T"]
    lines = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    return dict(line.split() for line in lines if line.startswith(f"{array}_"))


def _signal_time_limit(job: str) -> subprocess.Popen[bytes]:
    """Start a process that sends SIGUSR2, as SLURM does before a job's time is up, until it is killed."""
    # Sent to the job's number, since scancel repeats a signal to an array's element after a restart.
    raw = subprocess.run(["squeue", "--noheader", f"--jobs={job}", "--format=%A"], capture_output=True, text=True)
    return subprocess.Popen(["scancel", "--signal=USR2", raw.stdout.strip()])


@needs_slurm
@pytest.mark.slow
def test_an_array_with_its_time_up_and_a_job_cancelled(tmp_path: Path) -> None:
    """Of two jobs, one at a time, one has two runs and returns to the queue, and the other is cancelled."""
    path, out = four(tmp_path, epochs=150, text=THREE), tmp_path / "out"
    words = ("study", "run", path, "--out", out, *SLURM, "--runs-per-job", 2)
    runs, logs = [out / "runs" / name for name in NAMES], [out / "logs" / f"{name}.log" for name in NAMES]
    first = command(*words[2:], "--jobs", 1, preexec_fn=_take_ctrl_c)
    wait_for(lambda: all(epochs_done(path) >= 2 for path in runs[:2]))
    jobs = [_job_of(out, name) for name in NAMES]
    array = jobs[0].split("_")[0]
    assert jobs == [f"{array}_0", f"{array}_0", f"{array}_1"]
    assert _states(array) == {f"{array}_0": "RUNNING", f"{array}_1": "PENDING"}
    signalling = _signal_time_limit(jobs[0])
    wait_for(lambda: all("Stopped: interrupted" in log.read_text() for log in logs[:2]))
    signalling.kill()
    signalling.wait()

    interrupted = []

    def cancel_and_interrupt() -> None:
        wait_for(lambda: epochs_done(runs[2]) >= 2)
        subprocess.run(["scancel", jobs[2]], check=True)
        first.send_signal(signal.SIGINT)
        interrupted.append(first.communicate(timeout=100)[0].splitlines()[-1])

    # Meanwhile another command shows the same jobs.
    typing = threading.Thread(target=cancel_and_interrupt)
    typing.start()
    result = run(*words, exit_code=1)
    typing.join()
    assert interrupted == ["Error: interrupted; the jobs go on; the same command watches them"]
    assert first.returncode == 1
    assert "2 done, 1 stopped" in result.stdout
    assert "Stopped: interrupted in epoch" in result.stderr
    assert f"(job {jobs[2]} is no longer in the queue)" in result.stderr
    assert 2 <= epochs_done(runs[2]) < 150
    output = run(*words).stdout
    assert "3 runs, 2 of them done before" in output
    assert f"{NAMES[2]} done" in output
    again = [_job_of(out, name) for name in NAMES]
    assert again[:2] == jobs[:2]
    assert again[2].split("_")[0] != array
    assert [len(load_run(path).run.read_config()["resumed"]) for path in runs] == [1, 1, 1]
    # One run of each job is bitwise equal to the same run in this process.
    for planned, path in list(zip(StudyDirectory(out).read().runs, runs, strict=True))[1:]:
        train(planned.config, open_data("digits"), tmp_path / planned.name)
        require_same(tmp_path / planned.name, path)


@needs_slurm
@pytest.mark.slow
def test_what_slurm_refuses_is_said(tmp_path: Path) -> None:
    line = fails("study", "run", four(tmp_path), "--out", tmp_path / "out", *SLURM, "--partition", "none")
    assert line.startswith("Error: sbatch refuses the jobs: ")
    assert "partition" in line.lower()
    line = fails("study", "run", four(tmp_path), "--out", tmp_path / "out", *SLURM, "--sbatch", "no-such=1")
    assert "no-such" in line
    assert not (tmp_path / "out" / "slurm" / "jobs.json").exists()


def _take_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_without_slurm_there_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    line = fails("study", "run", four(tmp_path), "--out", tmp_path / "out", *SLURM)
    assert line == (
        "Error: there is no SLURM on this machine (no sbatch and squeue); log in to a node of the cluster, or run the "
        "study on this machine (--cluster)"
    )


def test_without_submitit_there_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster.shutil, "which", lambda name: name)
    monkeypatch.setitem(sys.modules, "submitit", None)
    line = fails("study", "run", four(tmp_path), "--out", tmp_path / "out", *SLURM)
    assert line == (
        'Error: SLURM jobs need submitit, which is not installed: type pip install -e ".[slurm]" in polyroots\' '
        "directory, or run the study on this machine (--cluster)"
    )


class _Worker(Ended):
    """A worker that runs until it is told to stop, and sends its job a signal when it is first polled."""

    def __init__(self, number: int | None) -> None:
        super().__init__(None)
        self.number = number

    def poll(self) -> int | None:
        if self.number is not None:
            self.number = os.kill(os.getpid(), self.number)
        return self.status

    def send_signal(self, number: int) -> None:
        assert number == signal.SIGTERM
        self.status = STOPPED


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., list[int]]]:
    """Return a function that runs a job with given workers, and returns the signals that submitit received."""
    path = four(tmp_path, text=THREE)
    plan, description = make_plan(path)
    directory = StudyDirectory(tmp_path / "out")
    directory.write(plan, description.text)
    monkeypatch.setattr(cluster.time, "sleep", lambda seconds: None)
    before = signal.getsignal(signal.SIGUSR2)

    def call(*workers: Ended) -> list[int]:
        left, requeued = list(workers), []
        monkeypatch.setattr(LocalRunner, "_worker", lambda *_: left.pop(0))
        signal.signal(signal.SIGUSR2, lambda *caught: requeued.append(caught[0]))
        cluster._Job(directory.path, tuple(NAMES[: len(workers)]))()
        return requeued

    yield call
    signal.signal(signal.SIGUSR2, before)


def test_a_job_whose_time_is_up_stops_its_runs_and_goes_back_into_the_queue(job: Callable[..., list[int]]) -> None:
    workers = _Worker(signal.SIGUSR2), _Worker(None)
    assert job(*workers) == [signal.SIGUSR2]
    assert [worker.status for worker in workers] == [STOPPED, STOPPED]


def test_a_job_fails_with_its_runs(job: Callable[..., list[int]]) -> None:
    with pytest.raises(PolyrootsError, match=r"^q2_seed-11 failed, q2_seed-23 failed$"):
        job(Ended(1), Ended(-signal.SIGKILL))


def test_a_job_whose_runs_were_stopped_waits_to_be_ended(
    job: Callable[..., list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SLURM requeues a job that it preempts, but not one that ends by itself, so the job waits."""
    now = iter(range(0, 10_000, 100))
    monkeypatch.setattr(cluster.time, "monotonic", lambda: next(now))
    with pytest.raises(PolyrootsError, match="q2_seed-11 stopped"):
        job(Ended(STOPPED))
    assert next(now) > cluster._SECONDS_TO_BE_ENDED


def test_options_of_jobs(tmp_path: Path) -> None:
    path, out = four(tmp_path), tmp_path / "out"
    for words, said in [
        (("--time", "soon"), "expected a time such as 90 (minutes), 4:00:00 or 1-12"),
        (("--time", "0"), "expected a time of at least a minute"),
        (("--sbatch", "=1"), "expected --sbatch KEY=VALUE, got '=1'"),
        (("--sbatch", "array=1-5"), "sbatch's array is set by polyroots itself; leave it out (--sbatch)"),
    ]:
        line = fails("study", "run", path, "--out", out, *SLURM[:4], *words, exit_code=2)
        assert said in line
    shared = ("--cluster", "slurm", "--gpus-per-job", "2", "--runs-per-job", "2")
    assert "share one GPU, got 2" in fails("study", "run", path, "--out", out, *shared, exit_code=2)
    with pytest.raises(InputError, match="share one GPU"):
        Resources(gpus=4, runs_per_job=2)


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("1", 1), ("0:30", 1), ("1:00", 1), ("1:00:00", 60), ("0:59:59", 60), ("2-0", 2880), ("1-1:1:1", 1502)],
)
def test_times_are_those_of_slurm(text: str, minutes: int) -> None:
    assert minutes_of(text) == minutes


@pytest.mark.parametrize("text", ["", "1:2:3:4", "-1", "1-", "x", "1.5", "1-2-3"])
def test_other_times_are_none(text: str) -> None:
    with pytest.raises(InputError, match="expected a time"):
        minutes_of(text)


def test_jobs_are_followed_through_the_queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The phase of a run follows from the job's state in the queue (pending, running, gone) and from its files."""
    queue = {"9_0": "PENDING", "9_1": "RUNNING", "9_2": "COMPLETING"}
    monkeypatch.setattr(cluster, "queued", lambda: dict(queue))
    monkeypatch.setattr(cluster.shutil, "which", lambda name: name)
    directory = StudyDirectory(tmp_path)
    directory.jobs.mkdir()
    (directory.path / "logs").mkdir()
    directory.log("c").write_text("Stopped: interrupted, before\n")
    numbers = {"a": "9_0", "b": "9_1", "c": "9_2", "other": "8"}
    document: dict[str, Any] = {name: {"job": job, "log_size": 0} for name, job in numbers.items()}
    document["c"]["log_size"] = directory.log("c").stat().st_size
    (directory.jobs / "jobs.json").write_text(json.dumps(document))
    now = 100.0
    monkeypatch.setattr(cluster.time, "monotonic", lambda: now)
    jobs = cluster.SlurmRunner(directory, ["a", "b", "c"], Resources())
    jobs.advance()
    assert jobs.phases == {"a": Phase.WAITING, "b": Phase.RUNNING, "c": Phase.RUNNING}
    queue.clear()
    now += 1
    jobs.advance()
    # On a shared file system the result may become visible later.
    assert jobs.phases == {"a": Phase.WAITING, "b": Phase.RUNNING, "c": Phase.RUNNING}
    directory.log("b").write_text("epoch 1\nStopped: interrupted\n")
    directory.run("a").path.mkdir(parents=True)
    directory.run("a").result.write_text("{}")
    now += 10
    jobs.advance()
    # The last run has printed nothing since it was submitted; its log has older lines.
    assert jobs.phases == {"a": Phase.DONE, "b": Phase.STOPPED, "c": Phase.FAILED}
    assert jobs.last_lines("c") == ["(job 9_2 is no longer in the queue)"]

    def silent() -> None:
        raise InputError("SLURM doesn't answer")

    (directory.jobs / "jobs.json").write_text('{"a": "9_0"}')
    with pytest.raises(FileError, match="is damaged"):
        cluster.SlurmRunner(directory, ["a"], Resources())
    (directory.jobs / "jobs.json").write_text(json.dumps(document))
    queue["9_0"] = "RUNNING"
    jobs = cluster.SlurmRunner(directory, ["a"], Resources())
    monkeypatch.setattr(cluster, "queued", silent)
    now += 10
    jobs.advance()
    assert jobs.phases == {"a": Phase.DONE}
    assert last_lines_of(tmp_path / "none") == []
