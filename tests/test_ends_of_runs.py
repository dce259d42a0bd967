"""What a run does at its end and after it: the best network, tracked spectra, the recalibration of batch norm."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from forked import snapshots_without_processes
from small_runs import same_weights, small
from torch import nn
from torch.utils.data import TensorDataset

import polyroots as pr
from polyroots.training import Reporter, StoppedError, fit, open_data, resume, train
from polyroots.training.loop.epoch import EpochLoop
from polyroots.training.loop.evaluate import evaluation_sums
from polyroots.training.runs.directory import Run
from polyroots.training.runs.tracking import Tracker


class StopAfter(Reporter):
    """Stops a run after an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_epoch(self, row: dict[str, int | float]) -> None:
        if row["epoch"] == self.epoch:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("damage", ["damaged", "missing"])
def test_a_run_with_validation_images_needs_its_best_network(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The result is that of the best network: without it the run would be trained, and then not end."""
    source, out = open_data("digits"), tmp_path / "run"
    config = small(source, "q2", (2, 4), limit=60, epochs=3, val_fraction=0.2)
    # The first epoch stays the best one.
    monkeypatch.setattr(
        "polyroots.training.runs.state.RunState.best", property(lambda s: (min(1, len(s.history)), 0.5))
    )
    with pytest.raises(StoppedError):
        train(config, source, out, reporter=StopAfter(2))
    steps: list[int] = []
    monkeypatch.setattr(EpochLoop, "_step", lambda *_: steps.append(1))
    kept = (out / "best.pt").read_bytes()
    if damage == "damaged":
        (out / "best.pt").write_bytes(kept[:100])
    else:
        (out / "best.pt").unlink()
    with pytest.raises(pr.FileError, match=r"best\.pt.*; restore it, or start a new run from \S*last\.pt") as raised:
        resume(out)
    assert raised.value.fields == ("start",)
    assert not steps
    monkeypatch.undo()
    (out / "best.pt").write_bytes(kept)
    assert resume(out).run.result.exists()


def test_a_run_is_done_when_its_spectra_are_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A study doesn't go on with a run that has a result."""
    source, out = open_data("digits"), tmp_path / "run"
    config = small(source, "q2", (2, 4), limit=20, epochs=1, track_spectrum=1)
    advance = Tracker.advance

    def interrupted(tracker: Tracker) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        advance(tracker)

    with monkeypatch.context() as patch:
        patch.setattr(Tracker, "advance", lambda tracker: None)
        patch.setattr(Tracker, "wait", interrupted)
        with pytest.raises(
            StoppedError, match=r"interrupted after the last epoch, before its spectra were computed; .* go"
        ):
            train(config, source, out)
    assert not (out / "result.json").exists()
    with snapshots_without_processes():
        assert resume(out).run.result.exists()
    assert sorted(path.name for path in (out / "spectra").iterdir()) == ["epoch-000000.npz", "epoch-000001.npz"]


def test_files_of_the_user_beside_the_spectra_stay(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.spectra.mkdir()
    for name in ("epoch-000010-notes.png", "epoch-000010.npz", "epoch-000011.pt", "epoch-000002.npz", "epoch-12-x.pt"):
        (run.spectra / name).touch()
    tracker = Tracker(run)
    tracker.forget_after(2)
    left = {path.name for path in run.spectra.iterdir()}
    assert left == {"epoch-000010-notes.png", "epoch-000002.npz", "epoch-12-x.pt"}
    assert not tracker.is_busy


class Dropping(nn.Module):
    """A network with batch norm whose dropout draws from the generator of torch."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 4, 3),
            nn.Dropout(0.5),
            nn.BatchNorm2d(4),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(4, 2),
        )

    def forward(self, images: torch.Tensor) -> Any:
        return self.layers(images)


def test_a_stop_in_the_evaluation_after_a_recalibration_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = TensorDataset(torch.rand(24, 1, 6, 6), torch.arange(24) % 2)
    start = Dropping().state_dict()

    def fitted(out: Path, **options: Any) -> None:
        network = Dropping()
        network.load_state_dict(start)
        fit(network, data, data, out, epochs=3, batch_size=8, device="cpu", bn_recalibrate=2, **options)

    def interrupted(*arguments: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return evaluation_sums(*arguments)

    fitted(tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr("polyroots.training.loop.trainer.evaluation_sums", interrupted)
        with pytest.raises(StoppedError):
            fitted(tmp_path / "run")
    fitted(tmp_path / "run", resume=True)
    assert same_weights(tmp_path / "whole", tmp_path / "run")
