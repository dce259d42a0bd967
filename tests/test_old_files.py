"""Studies, runs and checkpoints of version 0.1.0, whose ModelConfig had `classes` where it has `num_classes` now."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from commands import run
from small_studies import epochs_done, train_here

import polyroots as pr
from polyroots.study import StudyDirectory, make_plan
from polyroots.training import evaluate_checkpoint, load_run

# polyroots train --dataset digits --model q2 --channels 2,4 --epochs 1 --track-spectrum 1, with version 0.1.0.
STORED = Path(__file__).parent / "stored" / "run-0.1.0"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return Path(shutil.copytree(STORED, tmp_path / "old"))


def test_a_run_of_0_1_0_loads(old: Path) -> None:
    found = load_run(old)
    assert json.loads((old / "config.json").read_text())["config"]["model"]["classes"] == 10
    assert (found.config.model.num_classes, found.config.model.channels) == (10, (2, 4))
    assert [snapshot.epoch for snapshot in found.snapshots] == [0, 1]
    assert found.last.weights["head.weight"].shape == (10, 4)


@pytest.mark.parametrize("name", ["last.pt", "best.pt"])
def test_a_checkpoint_of_0_1_0_scores_what_it_scored(old: Path, name: str) -> None:
    scores, _ = evaluate_checkpoint(pr.load_checkpoint(old / name))
    expected = json.loads((old / "result.json").read_text())["last"]
    assert scores.accuracy == expected["test_accuracy"]
    assert scores.loss == pytest.approx(expected["test_loss"], rel=1e-5)


@pytest.mark.slow
def test_commands_take_files_of_0_1_0(old: Path, tmp_path: Path) -> None:
    assert "levels.0.A" in run("spectrum", old / "last.pt").stdout
    run("init", old / "last.pt", "--out", tmp_path / "again.pt")
    assert pr.load_checkpoint(tmp_path / "again.pt").config.num_classes == 10
    run("report", old)
    assert (old / "report.html").stat().st_size > 100_000
    assert "1 epoch" in run("train", "--resume", old).stdout


# polyroots study run study.toml --device cpu, with version 0.1.0.
STORED_STUDY = Path(__file__).parent / "stored" / "study-0.1.0"


@pytest.fixture
def old_study(tmp_path: Path) -> Path:
    return Path(shutil.copytree(STORED_STUDY, tmp_path / "study"))


def test_a_study_of_0_1_0_has_its_plan_and_table(old_study: Path) -> None:
    plan, _ = make_plan(old_study / "study.toml")
    stored = StudyDirectory(old_study).read()
    assert [run.name for run in stored.runs] == [run.name for run in plan.runs] == ["q2_seed-11", "mgnet-ab_seed-11"]
    assert [run.config.model.num_classes for run in stored.runs] == [10, 10]
    assert [run.weights for run in stored.runs] == [run.weights for run in plan.runs] == [106, 140]
    rows = [line.split() for line in run("study", "table", old_study).stdout.splitlines()]
    assert ["q2", "106", "1", "1", "10.00", "10.00", "base", "-", "-"] in rows
    assert ["mgnet-ab", "140", "1", "1", "10.00", "10.00", "+0.00", "-", "1"] in rows


def test_runs_of_a_study_of_0_1_0_are_not_trained_again(old_study: Path) -> None:
    files = {file: file.read_bytes() for file in (old_study / "runs").rglob("*") if file.is_file()}
    output = run("study", "run", old_study / "study.toml", "--out", old_study, "--device", "cpu").stdout
    assert "2 runs, 2 of them done before" in output
    assert {file: file.read_bytes() for file in (old_study / "runs").rglob("*") if file.is_file()} == files


def test_a_run_of_a_study_of_0_1_0_is_resumed(old_study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run was stopped after its last epoch, before it wrote its result."""
    path = old_study / "runs" / "q2_seed-11"
    before = json.loads((path / "result.json").read_text())
    (path / "result.json").unlink()
    train_here(monkeypatch)
    output = run("study", "run", old_study / "study.toml", "--out", old_study, "--device", "cpu").stdout
    assert "2 runs, 1 of them done before" in output
    after = json.loads((path / "result.json").read_text())
    assert after["last"] == before["last"]
    assert epochs_done(path) == 1
    assert len(load_run(path).run.read_config()["resumed"]) == 1
