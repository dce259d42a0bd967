"""Run directories and checkpoints of version 0.1.0, whose ModelConfig had `classes` where it has `num_classes` now."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from commands import run

import polyroots as pr
from polyroots.training import evaluate_checkpoint, load_run

# polyroots train --dataset digits --model q2 --channels 2,4 --epochs 1 --track-spectrum 1, with version 0.1.0.
STORED = Path(__file__).parent / "stored" / "run-0.1.0"


@pytest.fixture
def old(tmp_path):
    return Path(shutil.copytree(STORED, tmp_path / "old"))


def test_a_run_of_0_1_0_loads(old):
    found = load_run(old)
    assert json.loads((old / "config.json").read_text())["config"]["model"]["classes"] == 10
    assert (found.config.model.num_classes, found.config.model.channels) == (10, (2, 4))
    assert [snapshot.epoch for snapshot in found.snapshots] == [0, 1]
    assert found.last.weights["head.weight"].shape == (10, 4)


@pytest.mark.parametrize("name", ["last.pt", "best.pt"])
def test_a_checkpoint_of_0_1_0_scores_what_it_scored(old, name):
    scores, _ = evaluate_checkpoint(pr.load_checkpoint(old / name))
    expected = json.loads((old / "result.json").read_text())["last"]
    assert scores.accuracy == expected["test_accuracy"]
    assert scores.loss == pytest.approx(expected["test_loss"], rel=1e-5)


def test_commands_take_files_of_0_1_0(old, tmp_path):
    assert "levels.0.A" in run("spectrum", old / "last.pt").stdout
    run("init", old / "last.pt", "--out", tmp_path / "again.pt")
    assert pr.load_checkpoint(tmp_path / "again.pt").config.num_classes == 10
    run("report", old)
    assert (old / "report.html").stat().st_size > 100_000
    assert "1 epoch" in run("train", "--resume", old).stdout
