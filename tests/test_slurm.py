"""Studies on a real SLURM cluster; `.ci/run` starts one of this machine alone where it can."""

import json
import os
import shutil
import signal
import subprocess

import pytest
from commands import fails, run
from small_runs import require_same
from small_studies import FOUR, command, epochs_done, four, wait_for

from polyroots.errors import FileError, InputError
from polyroots.study import Phase, Resources, StudyDirectory, cluster, minutes_of
from polyroots.study.progress import last_lines_of
from polyroots.training import load_run, open_data, train

# They share a cluster.
pytestmark = pytest.mark.xdist_group("slurm")

NAMES = ["q2_seed-11", "mgnet-ab_seed-11", "q2_seed-23", "mgnet-ab_seed-23"]
SLURM = ("--cluster", "slurm", "--device", "cpu", "--time", "10")


def _why_not():
    """Why there is no SLURM here; nothing if there is."""
    if shutil.which("sbatch") is None:
        return "no SLURM (slurm-wlm and munge)"
    if "SLURM_CONF" not in os.environ:
        # The cluster that this machine may be part of is for other work.
        return "no cluster for tests: see .ci/slurm"
    try:
        subprocess.run(["sinfo"], capture_output=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return "the SLURM controller does not answer"
    return ""


needs_slurm = pytest.mark.skipif(bool(_why_not()), reason=_why_not() or "-")


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """A cluster of one may be asked often; the number of threads decides the last bits."""
    monkeypatch.setattr(cluster, "_SECONDS_BETWEEN_QUESTIONS", 0.5)
    monkeypatch.setattr(cluster, "_PATIENCE", 3.0)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def _states():
    words = ["squeue", "--noheader", "--array", "--format=%i %T"]
    lines = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    return dict(line.split() for line in lines)


def _job_of(out, name):
    return json.loads((out / "slurm" / "jobs.json").read_text())[name]["job"]


def _require_as_here(out, tmp_path):
    """Require that runs are, to the last bit, those of this process."""
    for planned in StudyDirectory(out).read().runs:
        train(planned.config, open_data("digits"), tmp_path / planned.name)
        require_same(tmp_path / planned.name, out / "runs" / planned.name)


@needs_slurm
def test_an_array_of_four_with_one_cancelled_in_the_middle_and_resumed(tmp_path):
    path, out = four(tmp_path, epochs=120), tmp_path / "out"
    process = command(path, "--out", out, *SLURM)
    first = out / "runs" / NAMES[0]
    wait_for(lambda: epochs_done(first) >= 2)
    jobs = [_job_of(out, name) for name in NAMES]
    assert len({job.split("_")[0] for job in jobs}) == 1  # one array
    assert [job.split("_")[1] for job in jobs] == ["0", "1", "2", "3"]
    subprocess.run(["scancel", jobs[0]], check=True)
    output = process.communicate(timeout=200)[0]
    assert process.returncode == 1
    assert "3 done, 1 stopped" in output
    assert "Stopped: interrupted in epoch" in output
    assert f"(job {jobs[0]} is no longer in the queue)" in output
    assert 2 <= epochs_done(first) < 120
    output = run("study", "run", path, "--out", out, *SLURM).stdout
    assert "4 runs, 3 of them done before" in output
    assert f"{NAMES[0]} done" in output
    assert len(load_run(first).run.read_config()["resumed"]) == 1
    _require_as_here(out, tmp_path)


@needs_slurm
def test_a_job_whose_time_is_up_goes_back_into_the_queue_and_on(tmp_path):
    """Two runs share the job; SLURM sends SIGUSR2 before the time is up."""
    path, out = four(tmp_path, epochs=400, text=FOUR.replace("[11, 23]", "[11]")), tmp_path / "out"
    process = command(path, "--out", out, *SLURM, "--runs-per-job", 2)
    runs = [out / "runs" / name for name in NAMES[:2]]
    wait_for(lambda: all(epochs_done(path) >= 2 for path in runs))
    job = _job_of(out, NAMES[0])
    assert job == _job_of(out, NAMES[1])
    # By the signal alone: to the array's element scancel sends it again and again, also when it has begun anew.
    raw = subprocess.run(["squeue", "--noheader", f"--jobs={job}", "--format=%A"], capture_output=True, text=True)
    signalling = subprocess.Popen(["scancel", "--signal=USR2", raw.stdout.strip()])
    logs = [out / "logs" / f"{name}.log" for name in NAMES[:2]]
    wait_for(lambda: all("Stopped: interrupted" in log.read_text() for log in logs))
    signalling.kill()
    signalling.wait()
    # Somebody else who looks waits for the same job.
    other = command(path, "--out", out, *SLURM, "--runs-per-job", 2)
    for waiting in (process, other):
        output = waiting.communicate(timeout=200)[0]
        assert waiting.returncode == 0, output
        assert "2 done" in output
    assert _job_of(out, NAMES[0]) == job
    for path in runs:
        assert len(load_run(path).run.read_config()["resumed"]) == 1
    _require_as_here(out, tmp_path)


@needs_slurm
def test_what_slurm_refuses_is_said(tmp_path):
    before = _states().keys()
    line = fails("study", "run", four(tmp_path), "--out", tmp_path / "out", *SLURM, "--partition", "none")
    assert line.startswith("Error: SLURM refuses the jobs: ")
    assert "partition" in line.lower()
    line = fails("study", "run", four(tmp_path), "--out", tmp_path / "out", *SLURM, "--sbatch", "no-such=1")
    assert "no-such" in line
    assert _states().keys() <= before  # a job of the test before may be about to end


@needs_slurm
def test_whoever_is_interrupted_leaves_the_jobs_to_slurm(tmp_path):
    path, out = four(tmp_path, epochs=150), tmp_path / "out"
    process = command(path, "--out", out, *SLURM, "--jobs", 1, preexec_fn=_take_ctrl_c)
    wait_for(lambda: epochs_done(out / "runs" / NAMES[0]) >= 1)
    # One at a time.
    array = _job_of(out, NAMES[0]).split("_")[0]
    states = [state for job, state in _states().items() if job.startswith(f"{array}_")]
    assert sorted(states) == ["PENDING"] * 3 + ["RUNNING"]
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=60)[0]
    assert output.splitlines()[-1] == "Error: interrupted; the jobs go on; look at them with the same command"
    jobs = {name: _job_of(out, name) for name in NAMES}
    subprocess.run(["scancel", *(jobs[name] for name in NAMES[2:])], check=True)
    output = run("study", "run", path, "--out", out, *SLURM, "--jobs", 1).stdout
    assert "4 done" in output
    # The jobs that were there are waited for, and those that were gone are submitted again.
    again = {name: _job_of(out, name) for name in NAMES}
    assert [again[name] == jobs[name] for name in NAMES] == [True, True, False, False]


def _take_ctrl_c():
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_without_slurm_there_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    line = fails("study", "run", four(tmp_path), "--out", tmp_path / "out", *SLURM)
    assert line == "Error: there is no SLURM here (no sbatch and squeue); use --cluster local, or log in to a node"


def test_options_of_jobs(tmp_path):
    path, out = four(tmp_path), tmp_path / "out"
    for words, said in [
        (("--time", "soon"), "expected a time such as 90 (minutes), 4:00:00 or 1-12"),
        (("--time", "0"), "expected a time of at least a minute"),
        (("--sbatch", "=1"), "expected --sbatch KEY=VALUE, got '=1'"),
        (("--sbatch", "array=1-5"), "--sbatch array is decided here"),
    ]:
        line = fails("study", "run", path, "--out", out, *SLURM[:4], *words, exit_code=2)
        assert said in line
    words = ("--cluster", "slurm", "--gpus-per-job", "2", "--runs-per-job", "2")
    assert "share one GPU, got 2" in fails("study", "run", path, "--out", out, *words, exit_code=2)
    with pytest.raises(InputError, match="share one GPU"):
        Resources(gpus=4, runs_per_job=2)


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("1", 1), ("0:30", 1), ("1:00", 1), ("1:00:00", 60), ("0:59:59", 60), ("2-0", 2880), ("1-1:1:1", 1502)],
)
def test_times_are_those_of_slurm(text, minutes):
    assert minutes_of(text) == minutes


@pytest.mark.parametrize("text", ["", "1:2:3:4", "-1", "1-", "x", "1.5", "1-2-3"])
def test_other_times_are_none(text):
    with pytest.raises(InputError, match="expected a time"):
        minutes_of(text)


def test_jobs_are_followed_through_the_queue(tmp_path, monkeypatch):
    """Pending, running, gone: what a run is follows from the queue and from what it has written."""
    queue = {"9_0": "PENDING", "9_1": "RUNNING", "9_2": "COMPLETING"}
    monkeypatch.setattr(cluster, "_queue", lambda: dict(queue))
    monkeypatch.setattr(cluster.shutil, "which", lambda name: name)
    directory = StudyDirectory(tmp_path)
    directory.jobs.mkdir()
    (directory.path / "logs").mkdir()
    directory.log("c").write_text("Stopped: interrupted, before\n")
    jobs = {"a": "9_0", "b": "9_1", "c": "9_2", "other": "8"}
    document = {name: {"job": job, "log_size": 0} for name, job in jobs.items()}
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
    # A shared file system may show the result later.
    assert jobs.phases == {"a": Phase.WAITING, "b": Phase.RUNNING, "c": Phase.RUNNING}
    directory.log("b").write_text("epoch 1\nStopped: interrupted\n")
    directory.run("a").path.mkdir(parents=True)
    directory.run("a").result.write_text("{}")
    now += 10
    jobs.advance()
    # Of the last one nothing was printed since it was submitted: what is there is from before.
    assert jobs.phases == {"a": Phase.DONE, "b": Phase.STOPPED, "c": Phase.FAILED}
    assert jobs.last_lines("c") == ["(job 9_2 is no longer in the queue)"]

    def silent():
        raise InputError("SLURM doesn't answer")

    (directory.jobs / "jobs.json").write_text('{"a": "9_0"}')
    with pytest.raises(FileError, match="is damaged"):
        cluster.SlurmRunner(directory, ["a"], Resources())
    (directory.jobs / "jobs.json").write_text(json.dumps(document))
    queue["9_0"] = "RUNNING"
    jobs = cluster.SlurmRunner(directory, ["a"], Resources())
    monkeypatch.setattr(cluster, "_queue", silent)
    now += 10
    jobs.advance()
    assert jobs.phases == {"a": Phase.DONE}
    assert last_lines_of(tmp_path / "none") == []
