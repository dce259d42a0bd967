"""Running studies on this machine: processes, kills and resumption, runs that fail."""

from __future__ import annotations

import io
import os
import queue
import shutil
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from commands import fails, run
from rich.console import Console
from small_runs import require_same
from small_studies import FOUR, command, epochs_done, four, train_here, wait_for

from polyroots import processes
from polyroots.errors import FileError, InputError
from polyroots.study import LocalRunner, Machine, Phase, StudyDirectory, directory, make_plan, run_study, worker
from polyroots.study.forks import Fork
from polyroots.study.progress import STOPPED, RunProgress, last_lines_of, progress_of
from polyroots.training import StoppedError, load_run, open_data, train
from polyroots_cli.study import live

NAMES = [f"{name}_seed-{seed}" for seed in (11, 23) for name in ("q2", "mgnet-ab")]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train runs in this process."""
    train_here(monkeypatch)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """Return a completed study: its file, its directory, and the output of the command."""
    tmp = tmp_path_factory.mktemp("study")
    path = four(tmp)
    with pytest.MonkeyPatch.context() as patch:
        train_here(patch)
        output = run("study", "run", path, "--out", tmp / "out", "--jobs", 2, "--device", "cpu").stdout
    return path, tmp / "out", output


def test_every_run_is_done_and_told_of(done: tuple[Path, Path, str]) -> None:
    _, out, output = done
    assert sorted(path.name for path in (out / "runs").iterdir()) == sorted(NAMES)
    for name in NAMES:
        result = load_run(out / "runs" / name).result
        assert f"{name} running" in output
        assert f"{name} done: {result['last']['test_accuracy']:.2%}" in output
    assert "\n4 done\n" in output
    assert f"polyroots study table {out}" in output


def test_a_run_is_the_one_that_train_makes(done: tuple[Path, Path, str], tmp_path: Path) -> None:
    _, out, _ = done
    runs = StudyDirectory(out).read().runs[:2]
    assert [planned.name for planned in runs] == NAMES[:2]
    for planned in runs:
        train(planned.config, open_data("digits"), tmp_path / planned.name)
        require_same(tmp_path / planned.name, out / "runs" / planned.name)


def test_what_is_done_is_not_done_again(done: tuple[Path, Path, str]) -> None:
    path, out, _ = done
    files = {file: file.stat().st_mtime_ns for file in (out / "runs").rglob("*") if file.is_file()}
    assert files
    output = run("study", "run", path, "--out", out, "--device", "cpu").stdout
    assert "4 runs, 4 of them done before" in output
    assert " running" not in output
    assert {file: file.stat().st_mtime_ns for file in files} == files


def test_more_seeds_are_added_to_what_is_there(done: tuple[Path, Path, str], here: None, tmp_path: Path) -> None:
    _, out, _ = done
    shutil.copytree(out, tmp_path / "out")
    path = four(tmp_path, text=FOUR.replace("[11, 23]", "[11, 23, 31]").replace('"q2", ', ""))
    output = run("study", "run", path, "--out", tmp_path / "out", "--device", "cpu").stdout
    assert "3 runs, 2 of them done before" in output
    assert output.count(" running") == 1
    assert epochs_done(tmp_path / "out" / "runs" / "mgnet-ab_seed-31") == 2


def test_runs_are_known_by_what_they_compute(done: tuple[Path, Path, str], tmp_path: Path) -> None:
    """With a further axis, or another order of axes, runs have other names, and existing ones are kept."""
    _, out, _ = done
    shutil.copytree(out, tmp_path / "out")
    text = FOUR.replace("[axes]", "[axes]\nlr = [0.1]\nlimit = 60").replace("limit = 60\nbatch", "batch")
    output = run("study", "run", four(tmp_path, text=text), "--out", tmp_path / "out", "--device", "cpu").stdout
    assert "4 runs, 4 of them done before" in output
    table = run("study", "table", tmp_path / "out").stdout
    assert "missing" not in table
    assert "lr" in table


def test_a_study_is_run_by_one_command_at_a_time(done: tuple[Path, Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    path, out, _ = done
    monkeypatch.setattr(directory, "_PATIENCE", 0.1)
    with StudyDirectory(out).held():
        line = fails("study", "run", path, "--out", out, "--device", "cpu")
    assert line == f"Error: another 'polyroots study run' is running in {out}; wait until it is done, or stop it"


def test_runs_of_another_configuration_are_not_taken_for_these(done: tuple[Path, Path, str], tmp_path: Path) -> None:
    _, out, _ = done
    before = (out / "plan.json").read_bytes()
    path = four(tmp_path, epochs=3)
    line = fails("study", "run", path, "--out", out, "--device", "cpu")
    assert (
        "is a run with epochs 2, the study now has 3; write the setting into the file, choose another directory, or "
        in line
    )
    path = four(tmp_path, text=FOUR.replace("[4, 8]", "[4, 4]"))
    line = fails("study", "run", path, "--out", out, "--device", "cpu")
    assert "is a run with model channels 4,8, the study now has channels 4,4; " in line
    assert (out / "plan.json").read_bytes() == before


@pytest.mark.slow
def test_a_killed_study_goes_on_to_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command's workers train the same bits as this process, although the command is killed in between."""
    path = four(tmp_path, epochs=100, text=FOUR.replace("[11, 23]", "[11]").replace(', "mgnet-ab"', ""))
    out = tmp_path / "out"
    process = command(path, "--out", out, "--device", "cpu")
    first = out / "runs" / NAMES[0]
    wait_for(lambda: epochs_done(first) >= 2)
    process.kill()
    process.communicate()
    # Without its parent, the worker saves and stops.
    log = out / "logs" / f"{NAMES[0]}.log"
    wait_for(lambda: last_lines_of(log, 1)[0].startswith("Stopped"))
    assert 2 <= epochs_done(first) < 100
    train_here(monkeypatch)
    run("study", "run", path, "--out", out, "--device", "cpu")
    (planned,) = StudyDirectory(out).read().runs
    train(planned.config, open_data("digits"), tmp_path / planned.name)
    require_same(tmp_path / planned.name, first)
    # The run was resumed, not started again.
    assert len(load_run(first).run.read_config()["resumed"]) == 1


@pytest.mark.slow
def test_ctrl_c_saves_what_runs(tmp_path: Path) -> None:
    path = four(tmp_path, epochs=3000)
    runs = tmp_path / "out" / "runs"
    has_ended = threading.Event()

    def interrupt() -> None:
        wait_for(lambda: has_ended.is_set() or epochs_done(runs / NAMES[0]) >= 2)
        if not has_ended.is_set():
            os.kill(os.getpid(), signal.SIGINT)

    # A shell's background job ignores SIGINT.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    typing = threading.Thread(target=interrupt)
    typing.start()
    try:
        result = run("study", "run", path, "--out", tmp_path / "out", "--device", "cpu", exit_code=1)
    finally:
        has_ended.set()
        typing.join()
        signal.signal(signal.SIGINT, before)
    assert result.stderr.splitlines()[-1] == "Error: interrupted; the same command resumes the runs"
    assert last_lines_of(tmp_path / "out" / "logs" / f"{NAMES[0]}.log")[-1].startswith("Stopped: interrupted in epoch")
    assert [path.name for path in runs.iterdir()] == NAMES[:1]


def test_a_failed_run_is_reported_and_the_others_go_on(here: None, tmp_path: Path) -> None:
    text = FOUR.replace('model = ["q2", "mgnet-ab"]', 'model = "q2"\nlr = [0.1, 1e30]')
    path = four(tmp_path, text=text.replace("[11, 23]", "[11]"))
    result = run("study", "run", path, "--out", tmp_path / "out", "--device", "cpu", exit_code=1)
    assert "1 done, 1 failed" in result.stdout
    assert "q2_lr-0.1_seed-11 done" in result.stdout
    assert "Next" not in result.stdout
    assert f"q2_lr-1e+30_seed-11, from {tmp_path}" in result.stderr
    assert "Error: the loss is" in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stderr.splitlines()[-1] == (
        "Error: 1 run is not done; the same command resumes them; a run that can't be resumed starts again when its "
        f"directory under {tmp_path / 'out' / 'runs'} is removed"
    )


@pytest.mark.slow
def test_runs_of_a_study_train_alone_and_to_the_same_bits(tmp_path: Path) -> None:
    """One is killed, as for too much memory, one is stopped before its handler is set, one goes on to its end."""
    text = FOUR.replace('model = ["q2", "mgnet-ab"]', 'epochs = [2, 3000, 4000]\nmodel = "q2"')
    plan, description = make_plan(four(tmp_path, text=text.replace("[11, 23]", "[11]")), Machine(device="cpu"))
    directory = StudyDirectory(tmp_path / "out")
    directory.write(plan, description.text)
    names = [planned.name for planned in plan.runs]
    runner = LocalRunner(directory, names, jobs=3)
    runner.advance()
    assert runner.phases == dict.fromkeys(names, Phase.RUNNING)
    _, killed, stopped = (runner._running[name][0] for name in names)
    assert isinstance(killed, Fork)
    killed.kill()
    stopped.send_signal(signal.SIGTERM)
    outcome = run_study(plan, directory, runner)
    assert runner.phases == dict(zip(names, (Phase.DONE, Phase.FAILED, Phase.STOPPED), strict=True))
    assert outcome.last_lines[names[1]] == ["Error: ended by the signal SIGKILL"]
    assert outcome.last_lines[names[2]] == ["Stopped: ended by the signal SIGTERM"]
    assert not outcome.is_done
    train(plan.runs[0].config, open_data("digits"), tmp_path / "alone")
    require_same(tmp_path / "alone", directory.run(names[0]).path)


def test_devices_and_single_runs_are_not_forked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA can't be used after a fork, and one process for one run needs less memory than two."""
    directory = StudyDirectory(tmp_path)

    def forks_of(count: int, **environment: Any) -> bool:
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            return LocalRunner(directory, ["run"] * count)._forks

    assert forks_of(2, CUDA_VISIBLE_DEVICES="")
    assert not forks_of(1, CUDA_VISIBLE_DEVICES="")
    assert not forks_of(2, CUDA_VISIBLE_DEVICES="0,1")


def test_devices_and_threads_are_shared_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = StudyDirectory(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3,5")
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "12")

    def shares(jobs: int, devices: Any) -> list[tuple[str, str]]:
        runner = LocalRunner(directory, [], jobs=jobs, devices_per_job=devices)
        environments = [runner._environment(slot) for slot in range(jobs)]
        return [(e["CUDA_VISIBLE_DEVICES"], e["OMP_NUM_THREADS"]) for e in environments]

    assert shares(3, 1) == [("2", "4"), ("3", "4"), ("5", "4")]
    assert shares(1, 2) == [("2,3", "6")]  # a process for each device
    # With more processes than devices, several share one.
    assert shares(5, 1) == [(device, "2") for device in ("2", "3", "5", "2", "3")]
    assert shares(2, 0) == [("2,3,5", "6")] * 2
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert shares(2, 1) == [("2", "1"), ("3", "1")]
    monkeypatch.delenv("OMP_NUM_THREADS")
    # Two jobs with two devices each have four processes.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0, 1,2 ,3")
    assert shares(2, 2) == [("0,1", "3"), ("2,3", "3")]
    # On a cluster that doesn't bind processes, an environment variable has the number of cores.
    monkeypatch.delenv("SLURM_CPUS_PER_TASK")
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "6")
    assert shares(2, 0)[0][1] == "3"
    with pytest.raises(InputError, match="expected 5 GPUs for each run, found 4"):
        LocalRunner(directory, [], devices_per_job=5)


def test_a_worker_stops_whose_parent_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker stops too if its parent ended before the worker set its check."""
    signals: queue.Queue[Any] = queue.Queue()
    monkeypatch.setattr(processes, "_SECONDS_BETWEEN_LOOKS", 0.01)
    monkeypatch.setattr(processes.os, "kill", lambda *sent: signals.put(sent))
    processes.stop_without(-1)
    assert signals.get(timeout=20) == (os.getpid(), signal.SIGTERM)
    parents = [17, 17, 17, 1]
    monkeypatch.setattr(processes.os, "getppid", lambda: parents.pop(0) if len(parents) > 1 else parents[0])
    processes.stop_without(17)
    assert signals.get(timeout=20) == (os.getpid(), signal.SIGTERM)
    assert parents == [1]


def test_a_worker_says_why_it_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = StudyDirectory(tmp_path / "none")
    assert worker.run_worker(study, "q2") == 1
    assert capsys.readouterr().out == f"Error: no directory {study.path}: expected one of 'polyroots study run'\n"
    for error, status, said in [
        (StoppedError("interrupted in epoch 3"), STOPPED, "Stopped: interrupted in epoch 3\n"),
        (KeyboardInterrupt(), STOPPED, "Stopped\n"),
        (RuntimeError("unexpected"), 1, "RuntimeError: unexpected\n"),
    ]:

        def work(study: Any, name: Any, error: Any = error) -> None:
            raise error

        monkeypatch.setattr(worker, "work", work)
        assert worker.run_worker(study, "q2") == status
        captured = capsys.readouterr()
        assert (captured.out + captured.err).endswith(said)


def test_progress_is_read_while_it_is_written(done: tuple[Path, Path, str], tmp_path: Path) -> None:
    _, out, _ = done
    planned = StudyDirectory(out).read().runs[0]
    directory = StudyDirectory(tmp_path)
    there = directory.run(planned.name)
    assert progress_of(directory, planned, Phase.WAITING) == RunProgress(planned, Phase.WAITING, 0, None)
    there.path.mkdir(parents=True)
    text = (out / "runs" / planned.name / "metrics.csv").read_text()
    accuracy = load_run(out / "runs" / planned.name).metrics["test_accuracy"]
    lines = text.splitlines(keepends=True)
    there.metrics.write_text(lines[0] + lines[1])
    assert progress_of(directory, planned, Phase.RUNNING) == RunProgress(planned, Phase.RUNNING, 1, accuracy[0])
    for end in range(len(text)):
        there.metrics.write_text(text[:end])
        assert progress_of(directory, planned, Phase.RUNNING).epochs in (0, 1, 2)
    assert progress_of(directory, planned, Phase.DONE).epochs == 2


def test_a_terminal_sees_all_runs(done: tuple[Path, Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    _, out, _ = done
    plan = StudyDirectory(out).read()
    screens = io.StringIO()
    terminal = Console(file=screens, force_terminal=True, width=100, height=30, highlight=False)
    monkeypatch.setattr(live, "console", lambda: terminal)
    phases = [Phase.DONE, Phase.RUNNING, Phase.FAILED, Phase.WAITING]
    progress = [RunProgress(r, p, 1, 0.5) for r, p in zip(plan.runs, phases, strict=True)]
    with live.StudyDisplay(plan) as display:
        display.show(progress)
    for name, phase in zip(NAMES, phases, strict=True):
        assert name in screens.getvalue()
        assert phase in screens.getvalue()
    assert "1 running, 1 done, 1 failed, 1 waiting" in screens.getvalue()
    # Where the table doesn't fit, running runs come first.
    screens.truncate(0)
    many = [progress[0]] * 40 + progress
    with live.StudyDisplay(plan) as display:
        display.show(many)
    assert NAMES[1] in screens.getvalue()
    assert "19 more not shown" in screens.getvalue()


def test_options_that_do_not_go_together(tmp_path: Path) -> None:
    path = four(tmp_path)
    out = ("--out", tmp_path / "out")
    for words, said in [
        (("--partition", "gpu"), "--partition is for --cluster slurm"),
        (("--runs-per-job", "2"), "--runs-per-job is for --cluster slurm"),
        (("--gpus-per-job", "1", "--device", "cpu"), "--device cpu uses no GPU, got --gpus-per-job 1"),
        (("--jobs", "0"), "expected a whole number from 1 to 10000, got '0'"),
    ]:
        assert said in fails("study", "run", path, *out, *words, exit_code=2)
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="cannot write"):
        StudyDirectory(tmp_path / "file").write(*_plan_of(path))


def _plan_of(path: Path) -> tuple[Any, str]:
    plan, description = make_plan(path)
    return plan, description.text
