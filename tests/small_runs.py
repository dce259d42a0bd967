"""Runs small enough for tests, and comparisons of runs."""

from __future__ import annotations

import csv
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import polyroots as pr
from polyroots.checkpoints.own import load_checkpoint
from polyroots.training import Reporter, Source, TrainConfig, train_config
from polyroots.training.loop.epoch import EpochLoop
from polyroots.training.runs.directory import begin


def small(source: Source, name: str = "q4", channels: tuple[int, ...] = (4, 8), **options: Any) -> TrainConfig:
    """Return a configuration that trains in less than a second."""
    model = pr.models.model_config(
        name,
        image_size=source.image_size,
        in_channels=source.channels,
        num_classes=len(source.classes),
        channels=channels,
    )
    return train_config(source.name, model, **{"epochs": 2, "batch_size": 16, "device": "cpu", **options})


def result_document(accuracy: float, data: str = "digits") -> dict[str, Any]:
    """Return the content of a result.json, with a best accuracy one point above the last."""
    last, best = ({"epoch": 1, "test_loss": 1.0, "test_accuracy": accuracy + more} for more in (0.0, 0.01))
    return {"data": data, "epochs": 1, "last": last, "best": best, "chosen_on": "test", "images_per_second": 1.0}


def state_of(path: Path) -> Mapping[str, Tensor]:
    """Return the weights of a checkpoint."""
    return load_checkpoint(path).weights


def same_weights(one: Path, other: Path) -> bool:
    """Return whether last.pt, best.pt and the optimizer's momentum of two runs are bitwise equal."""
    for name in ("last.pt", "best.pt"):
        a, b = state_of(one / name), state_of(other / name)
        if a.keys() != b.keys() or not all(torch.equal(a[key], b[key]) for key in a):
            return False
    momenta = [load_checkpoint(run / "last.pt").training["state"]["optimizer"]["state"] for run in (one, other)]
    return all(torch.equal(x["momentum_buffer"], momenta[1][i]["momentum_buffer"]) for i, x in momenta[0].items())


# A run with all parts of the augmentation.
OPTIONS: dict[str, Any] = {"limit": 60, "epochs": 6, "augment": "crop,flip,autoaugment,cutout", "seed": 11}
TRACKED: dict[str, Any] = OPTIONS | {"track_spectrum": 2}


def columns(out: Path) -> list[dict[str, str]]:
    """Return the rows of metrics.csv without the measured times."""
    with (out / "metrics.csv").open() as stream:
        return [
            {name: value for name, value in row.items() if name not in ("train_seconds", "images_per_second")}
            for row in csv.DictReader(stream)
        ]


def require_same(one: Path, other: Path) -> None:
    """Require that two runs have bitwise equal networks and equal metrics, and that no other files are left."""
    assert same_weights(one, other)
    assert columns(one) == columns(other)
    results = [json.loads((run / "result.json").read_text()) for run in (one, other)]
    for result in results:
        del result["images_per_second"]
    assert results[0] == results[1]
    # No temporary files are left.
    assert not [path.name for path in other.iterdir() if path.name.startswith(".")]


class Signals(Reporter):
    """Sends a signal to this process in a chosen step."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, number: int, step: int) -> None:
        original, seen = EpochLoop._step, []

        def stepping(loop: EpochLoop, *args: Any) -> Any:
            seen.append(1)
            if len(seen) == step:
                os.kill(os.getpid(), number)
            return original(loop, *args)

        monkeypatch.setattr(EpochLoop, "_step", stepping)


def wait_for_lines(path: Path, count: int, timeout: float = 120) -> None:
    """Wait until a file has at least this number of lines."""
    deadline = time.monotonic() + timeout
    while not path.exists() or path.read_text().count("\n") < count:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def begin_and_say(path: Path, number: int, said: Path) -> None:
    """Begin a run, and write to a file whether this succeeded."""
    try:
        begin(path, {"who": number})
        said.write_text("mine")
    except pr.FileError as error:
        said.write_text(str(error))
