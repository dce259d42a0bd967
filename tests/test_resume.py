"""Runs that are killed, or stopped by a full disk, and resumed; and runs that can't be."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from forked import snapshots_without_processes
from small_runs import OPTIONS, Signals, columns, require_same, same_weights, small

import polyroots as pr
from polyroots.checkpoints.own import load_checkpoint
from polyroots.training import Reporter, StoppedError, load_run, open_data, resume, train
from polyroots.training.loop.epoch import EpochLoop
from polyroots.training.loop.trainer import Trainer
from polyroots.training.runs.directory import Run


def test_a_run_with_a_start_goes_on_without_it(
    tmp_path: Path, init_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run was killed before its first checkpoint, and the file that it started from is gone."""
    source, start = open_data("digits"), load_checkpoint(init_file)
    config = pr.training.train_config("digits", start.config, epochs=2, limit=40, device="cpu")
    train(config, source, tmp_path / "whole", start=start)
    out = tmp_path / "killed"
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_write_beginning", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(config, source, out, start=start)
    assert not (out / "last.pt").exists()
    resume(out)
    assert same_weights(tmp_path / "whole", out)
    assert json.loads((out / "init.json").read_text()) == json.loads(json.dumps(start.init))


def test_a_checkpoint_from_before_the_first_step_is_not_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the first step the coefficients are those of the report."""
    source = open_data("digits")
    config = small(source, limit=40)
    with monkeypatch.context() as patch:
        patch.setattr(EpochLoop, "run", lambda self, state: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(config, source, tmp_path / "first")
    start = load_checkpoint(tmp_path / "first" / "last.pt")
    second = train(config, source, tmp_path / "second", start=start)
    assert load_run(second.run.path).init == load_run(tmp_path / "first").init is not None


def test_a_finished_run_says_its_result_again(tmp_path: Path, whole: Path) -> None:
    before = (whole / "last.pt").read_bytes()
    result = resume(whole)
    assert (whole / "last.pt").read_bytes() == before
    row = columns(whole)[-1]
    assert result.last_accuracy == float(row["test_accuracy"])
    assert result.run.path == whole


def test_only_one_process_trains_a_run(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock is one of the system, and excludes other processes."""
    monkeypatch.setattr("polyroots.training.runs.directory._PATIENCE", 0.1)
    code = (
        "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX)\n"
        "print('held', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, whole], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(pr.FileError, match="is being trained by another process"):
            resume(whole)
        other.communicate("\n")
    resume(whole)


def test_a_full_disk_leaves_the_last_good_checkpoint(tmp_path: Path) -> None:
    """From the third epoch on, the system refuses to write more than a few bytes to a file."""

    class Full(Reporter):
        def on_epoch(self, row: dict[str, float]) -> None:
            if row["epoch"] == 2:
                resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))

    source, out = open_data("digits"), tmp_path / "run"
    config = small(source, limit=60, epochs=4)
    train(config, source, tmp_path / "whole")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(pr.FileError, match=r"cannot write \S*(last|best)\.pt: .*; \S*last.pt holds epoch 2"):
            train(config, source, out, reporter=Full())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert load_checkpoint(out / "last.pt").training["epoch"] == 2
    assert not list(out.glob(".*"))
    resume(out)
    assert same_weights(tmp_path / "whole", out)


def test_other_images_are_refused(tmp_path: Path, image_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The images may be moved, but a run is resumed with exactly those that it began with."""
    moved = shutil.copytree(image_folder, tmp_path / "moved")
    source, out = open_data("folder", image_folder), tmp_path / "run"
    config = small(source, epochs=3)
    train(config, source, tmp_path / "whole")
    with monkeypatch.context() as patch, pytest.raises(StoppedError):
        train(config, source, out, reporter=Signals(patch, signal.SIGTERM, 4))
    for part in ("train", "test"):
        red, blue = (moved / part / name for name in ("red", "blue"))

        def swap(red: Path = red, blue: Path = blue) -> None:
            red.rename(moved / "swap")
            blue.rename(red)
            (moved / "swap").rename(blue)

        swap()
        with pytest.raises(pr.InputError, match=r"the images are no longer those that .* began with: restore them"):
            resume(out, data_dir=moved)
        swap()
    with pytest.raises(pr.FileError, match=r"no directory .* have moved, give their new directory as data_dir"):
        resume(out, data_dir=tmp_path / "nowhere")
    shutil.rmtree(moved / "train" / "red")
    shutil.copytree(moved / "train" / "blue", moved / "train" / "green")
    shutil.move(moved / "test" / "red", moved / "test" / "green")
    with pytest.raises(pr.InputError, match=r"the images are no longer those"):
        resume(out, data_dir=moved)
    for part in ("train", "test"):
        shutil.copytree(image_folder / part / "red", moved / part / "red", dirs_exist_ok=True)
    with pytest.raises(pr.InputError, match=r"has images of another shape, or other classes, than .* began with"):
        resume(out, data_dir=moved)
    for part in ("train", "test"):
        shutil.rmtree(moved / part / "green")
    resume(out, data_dir=moved, loading="workers", workers=1)
    assert same_weights(tmp_path / "whole", out)
    resumed = json.loads((out / "config.json").read_text())["resumed"][-1]
    assert resumed["changes"] == {"data_dir": str(moved), "loading": "workers", "workers": 1}


def test_runs_that_cannot_go_on_are_said(tmp_path: Path, whole: Path) -> None:
    with pytest.raises(pr.FileError, match=r"no directory .*: expected a run of 'polyroots train'"):
        resume(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(pr.FileError, match=r"no file .*config\.json: expected the configuration of a run"):
        resume(tmp_path / "empty")
    for text, message in (
        ("{", r"config\.json is damaged"),
        ("[]", r"config\.json holds no configuration of a run: expected a file that 'polyroots train' wrote"),
        ('{"config": {"dataset": "digits"}}', r"holds a configuration that can't be used: model: field required"),
    ):
        (tmp_path / "empty" / "config.json").write_text(text)
        with pytest.raises(pr.FileError, match=message):
            resume(tmp_path / "empty")
    with pytest.raises(pr.InputError, match="unknown change of a run that goes on 'lr': expected data_dir, device"):
        resume(whole, lr=0.1)
    copy = shutil.copytree(whole, tmp_path / "copy")
    shutil.copy(copy / "best.pt", copy / "last.pt")
    with pytest.raises(pr.FileError, match=r"holds no state to resume from .* start a new run from it"):
        resume(copy)
    (copy / "last.pt").write_bytes((whole / "last.pt").read_bytes()[:5000])
    with pytest.raises(pr.FileError, match=r"is no checkpoint: .* a new one can start from \S*best.pt$"):
        resume(copy)
    (copy / "last.pt").unlink()
    metrics = (copy / "metrics.csv").read_bytes()
    with pytest.raises(pr.FileError, match=r"last.pt is missing, so that .* start a new run from \S*best.pt$"):
        resume(copy)
    assert (copy / "metrics.csv").read_bytes() == metrics
    with pytest.raises(pr.FileError, match=r"last.pt is a file: expected the directory of a run, such as"):
        resume(whole / "last.pt")
    with pytest.raises(pr.InputError, match="unknown change of a run that goes on 'devices'"):
        resume(whole, devices=2)


def test_a_run_that_lost_its_start_is_not_trained_from_another(
    tmp_path: Path, init_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run was killed between the writing of config.json and of start.pt."""
    source, start = open_data("digits"), load_checkpoint(init_file)
    config = pr.training.train_config("digits", start.config, epochs=1, limit=40, device="cpu")
    with monkeypatch.context() as patch:
        patch.setattr(Run, "abandon", lambda self, made: None)
        patch.setattr("polyroots.training.loop.train.save_checkpoint", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(config, source, tmp_path / "run", start=start)
    with pytest.raises(
        pr.FileError, match=r"was killed before the network to start from was copied: .* remove it and begin again"
    ):
        resume(tmp_path / "run")


def test_a_run_with_a_start_that_cannot_begin_leaves_nothing(
    tmp_path: Path, init_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, start = open_data("digits"), load_checkpoint(init_file)
    config = pr.training.train_config("digits", start.config, epochs=1, limit=40, device="cpu")
    monkeypatch.setattr("polyroots.training.loop.trainer.make_feed", lambda *args: torch.empty(2**60))
    with pytest.raises(pr.InputError, match="takes more memory than there is"):
        train(config, source, tmp_path / "run", start=start)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["best", "last"])
def test_what_is_not_written_of_the_best_epoch_is_written_when_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Path, name: str
) -> None:
    """The run was killed before it wrote best.pt of its best epoch."""
    source, out = open_data("digits"), tmp_path / "run"
    best = load_checkpoint(whole / "best.pt").training["epoch"]
    original = getattr(Trainer, f"_save_{name}")

    def dying(self: Any) -> Any:
        if self.state.epoch == best:
            raise ZeroDivisionError
        original(self)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, f"_save_{name}", dying)
        with pytest.raises(ZeroDivisionError):
            train(small(source, **OPTIONS), source, out)
    assert load_checkpoint(out / "last.pt").training["epoch"] == best - (name == "last")
    resume(out)
    require_same(whole, out)


def test_spectra_come_before_the_checkpoint_that_implies_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a kill right after last.pt of a tracked epoch its spectrum exists; those of later epochs are removed."""
    source, out = open_data("digits"), tmp_path / "run"
    original = Trainer._save_last

    def dying(self: Any) -> Any:
        original(self)
        if self.state.epoch == 2:
            raise ZeroDivisionError

    config = small(source, limit=40, epochs=2, track_spectrum=2)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_save_last", dying)
        with snapshots_without_processes(), pytest.raises(ZeroDivisionError):
            train(config, source, out)
    later = out / "spectra" / "epoch-000009.npz"
    later.write_text("of an epoch that the run has yet to reach")
    (out / "spectra" / ".epoch-000002-x.npz").write_text("half")
    with snapshots_without_processes():
        resume(out)
    assert sorted(path.name for path in (out / "spectra").iterdir()) == ["epoch-000000.npz", "epoch-000002.npz"]
