"""Run directories that are moved, removed or replaced while they are trained."""

from __future__ import annotations

import fcntl
import importlib.metadata
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands import fails
from small_runs import same_weights, small
from small_studies import four, train_here

import polyroots as pr
from polyroots.files import held
from polyroots.training import Reporter, load_run, open_data, resume, train
from polyroots.training.loop.epoch import EpochLoop
from polyroots.training.runs.directory import Run


class After(Reporter):
    """Does something to the directory of the run after an epoch, and keeps the warnings."""

    def __init__(self, work: Callable[[], Any], epoch: int = 1) -> None:
        self.work, self.epoch = work, epoch
        self.warnings: list[str] = []

    def on_epoch(self, row: dict[str, float]) -> None:
        if row["epoch"] == self.epoch:
            self.work()

    def on_warning(self, message: str) -> None:
        self.warnings.append(message)


def stopped_by(work: Callable[[], Any], out: Path, **options: Any) -> str:
    """Return the error of a run to whose directory something is done after the first epoch."""
    source = open_data("digits")
    with pytest.raises(pr.FileError) as error:
        train(small(source, **{"limit": 40, "epochs": 3, **options}), source, out, reporter=After(work))
    return str(error.value)


@pytest.mark.parametrize("options", [{}, {"track_spectrum": 1}, {"tensorboard": True}])
@pytest.mark.usefixtures("no_tracker_process")
@pytest.mark.slow
def test_a_run_that_is_moved_says_where_and_goes_on_there(tmp_path: Path, options: dict[str, Any]) -> None:
    """Nothing is made anew at the old place, and the run ends with the same bits."""
    out, moved = tmp_path / "run", tmp_path / "elsewhere" / "run 2"
    moved.parent.mkdir()
    said = stopped_by(lambda: out.rename(moved), out, **options)
    assert f"{out} was moved to {moved} while it was trained: nothing more is written; go on with: polyroots" in said
    assert said.endswith(f"--resume '{moved}'")
    assert not out.exists()
    resume(moved)
    source = open_data("digits")
    train(small(source, limit=40, epochs=3, **options), source, tmp_path / "whole")
    assert same_weights(tmp_path / "whole", moved)
    assert not list(moved.glob(".*"))


@pytest.mark.parametrize("options", [{}, {"track_spectrum": 1}, {"tensorboard": True}, {"val_fraction": 0.3}])
@pytest.mark.usefixtures("no_tracker_process")
def test_a_run_that_is_removed_is_not_made_anew(tmp_path: Path, options: dict[str, Any]) -> None:
    out = tmp_path / "run"
    said = stopped_by(lambda: shutil.rmtree(out), out, **options)
    assert f"{out} was removed, or moved, while it was trained: nothing more is written; begin a new run" in said
    assert not out.exists()


def test_another_directory_in_its_place_is_left_alone(tmp_path: Path) -> None:
    out, moved = tmp_path / "run", tmp_path / "moved"

    def replace() -> None:
        out.rename(moved)
        out.mkdir()

    assert f"was moved to {moved}" in stopped_by(replace, out)
    assert list(out.iterdir()) == []


def test_an_emptied_directory_is_said(tmp_path: Path) -> None:
    out = tmp_path / "run"

    def empty() -> None:
        for path in out.iterdir():
            path.unlink()

    assert "config.json was removed while the run was trained" in stopped_by(empty, out)
    assert list(out.iterdir()) == []


def test_a_removal_is_found_within_the_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at its end, which may be hours away."""
    out, seen = tmp_path / "run", []
    original = EpochLoop._step
    monkeypatch.setattr("polyroots.training.loop.epoch._SECONDS_BETWEEN_READS", 0.0)

    def step(self: Any, *args: Any) -> None:
        original(self, *args)
        seen.append(1)
        if len(seen) == 2:
            shutil.rmtree(out)

    monkeypatch.setattr(EpochLoop, "_step", step)
    source = open_data("digits")
    with pytest.raises(pr.FileError, match="was removed, or moved, while it was trained"):
        train(small(source, limit=100, epochs=1), source, out)
    assert len(seen) == 2
    assert not out.exists()


@pytest.mark.slow
def test_a_removal_at_each_write_makes_nothing_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory goes after the check and before the write: at each temporary file in turn."""
    source = open_data("digits")
    config = small(source, limit=20, epochs=1)
    from polyroots import files

    original = files.tempfile.mkstemp
    seen: list[int] = []

    def train_and_remove(out: Path, at: int) -> None:
        seen.clear()

        def removing(*args: Any, **kwargs: Any) -> Any:
            seen.append(1)
            if len(seen) == at:
                shutil.rmtree(out)
            return original(*args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(files.tempfile, "mkstemp", removing)
            train(config, source, out)

    train_and_remove(tmp_path / "whole", 0)
    # config.json; init.json, metrics.csv, last.pt; last.pt and best.pt of the only epoch; result.json.
    assert len(seen) == 7
    for at in range(2, 8):
        out = tmp_path / f"run-{at}"
        with pytest.raises(pr.FileError, match="was removed, or moved, while it was trained"):
            train_and_remove(out, at)
        assert not out.exists()


def test_a_study_that_is_removed_is_not_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train_here(monkeypatch)
    out = tmp_path / "out"
    original = Run.append_metrics

    def removing(self: Run, row: Any) -> None:
        original(self, row)
        if out.exists():
            out.rename(tmp_path / "moved")

    monkeypatch.setattr(Run, "append_metrics", removing)
    line = fails_late("study", "run", four(tmp_path), "--out", out, "--device", "cpu")
    assert f"{out} was moved to {tmp_path / 'moved'}, while the study ran: its runs stop (--out)" in line
    assert not out.exists()
    assert len(list((tmp_path / "moved" / "runs").iterdir())) == 1


def fails_late(*arguments: object) -> str:
    """Return the last line on stderr of a command that fails after it has printed."""
    from commands import run

    return run(*arguments, exit_code=1).stderr.splitlines()[-1]


def test_a_file_system_without_locks_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As some network file systems: a lock is an error there."""

    def refuse(handle: int, operation: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    source, reporter = open_data("digits"), After(lambda: None)
    train(small(source, limit=20, epochs=1), source, tmp_path / "run", reporter=reporter)
    said = f"{tmp_path / 'run'} is on a file system without locks: nothing keeps a second command from training the"
    assert [warning[: len(said)] for warning in reporter.warnings] == [said]
    with held(tmp_path, 0.0, "") as directory:
        assert directory.is_in_place
        assert not directory.is_locked


@pytest.mark.slow
def test_a_resumption_elsewhere_is_said(tmp_path: Path) -> None:
    """Other threads and libraries give other last bits; what differs is said, and kept in config.json."""
    import torch

    out = tmp_path / "run"
    said = stopped_by(lambda: shutil.copytree(out, tmp_path / "kept") and out.rename(tmp_path / "gone"), out)
    assert "was moved" in said
    out = tmp_path / "kept"
    text = (out / "config.json").read_text()
    version = importlib.metadata.version("torch")
    (out / "config.json").write_text(text.replace(f'"torch": "{version}"', '"torch": "2.0.0"'))
    reporter = After(lambda: None)
    torch.set_num_threads(2)
    try:
        resume(out, reporter=reporter)
    finally:
        torch.set_num_threads(1)
    (warning,) = reporter.warnings
    assert warning == (
        f"{out} goes on with device cpu, 2 threads (it was cpu, 1 thread), torch {version} (it was 2.0.0): its numbers "
        "are those without the stop up to rounding, not bit by bit"
    )
    environments = [entry["environment"] for entry in load_run(out).run.read_config()["resumed"]]
    assert [environment["device"] for environment in environments] == ["cpu, 2 threads"]
    reporter = After(lambda: None)
    resume(out, reporter=reporter)
    assert "device cpu, 1 thread (it was cpu, 2 threads)" in reporter.warnings[0]
    assert fails("train", "--resume", tmp_path / "run") == (
        f"Error: no directory {tmp_path / 'run'}: expected a run of 'polyroots train'"
    )
