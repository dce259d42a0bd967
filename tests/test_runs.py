"""Run directories: their files, and runs as objects."""

from __future__ import annotations

import csv
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from forked import start, status_of
from small_runs import begin_and_say, small, state_of

import polyroots as pr
from polyroots.checkpoints.own import load_checkpoint
from polyroots.training import Reporter, Source, load_run, open_data, resume, train
from polyroots.training.data.normalisation import Normalisation
from polyroots.training.loop.evaluate import evaluate
from polyroots.training.runs.directory import COLUMNS, Run, begin
from polyroots.training.runs.environment import changes_between, code_of, environment
from polyroots.training.runs.state import RunState, random_states, set_random_states


@pytest.fixture(scope="module")
def digits() -> Source:
    return open_data("digits")


def test_a_run_is_an_object(tmp_path: Path, digits: Source) -> None:
    result = train(small(digits, limit=60, epochs=3), digits, tmp_path / "run")
    found = load_run(tmp_path / "run")
    assert found.config == result.config
    assert tuple(found.metrics) == COLUMNS
    assert found.metrics["epoch"].tolist() == [1, 2, 3]
    assert found.metrics["test_accuracy"][-1] == result.last_accuracy
    assert np.isnan(found.metrics["val_loss"]).all()
    weights = found.model.state_dict()
    assert all(torch.equal(weights[key], value) for key, value in state_of(result.run.last).items())
    assert found.best.training["epoch"] == result.best_epoch
    assert found.result["last"]["test_accuracy"] == result.last_accuracy
    assert found.init["degree"] == 3
    assert found.snapshots == []
    assert pr.training.load_run is load_run


def test_a_run_that_is_not_done_is_an_object(tmp_path: Path, digits: Source) -> None:
    class Stop(Reporter):
        def on_epoch(self, row: dict[str, float]) -> None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train(
            small(digits, limit=60, epochs=3, name="resnet20", channels=(4, 8, 16)),
            digits,
            tmp_path / "run",
            reporter=Stop(),
        )
    found = load_run(tmp_path / "run")
    assert (found.result, found.init) == (None, None)
    assert found.metrics["epoch"].tolist() == [1]
    found.run.metrics.unlink()
    assert load_run(tmp_path / "run").metrics["epoch"].shape == (0,)
    found.run.metrics.write_text("epoch\nx\n")
    with pytest.raises(pr.FileError, match=r"metrics\.csv is damaged: expected the columns epoch, lr"):
        load_run(tmp_path / "run")


def test_the_best_epoch_is_chosen_on_validation_images(
    tmp_path: Path, digits: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test images are used at the end only, for the last and for the best epoch."""
    looked = []

    def counting(model: Any, split: Any, *args: Any) -> Any:
        looked.append(len(split))
        return evaluation_sums(model, split, *args)

    from polyroots.training.loop.evaluate import evaluation_sums

    monkeypatch.setattr("polyroots.training.loop.trainer.evaluation_sums", counting)
    config = small(digits, limit=100, epochs=6, val_fraction=0.3, lr=0.5)
    result = train(config, digits, tmp_path / "run")
    assert looked == [30] * 6 + [100] * (1 + (result.best_epoch != 6))
    with result.run.metrics.open() as stream:
        rows = list(csv.DictReader(stream))
    accuracies = [float(row["val_accuracy"]) for row in rows]
    assert result.best_epoch == 1 + accuracies.index(max(accuracies))
    assert [row["test_accuracy"] for row in rows[:-1]] == [""] * 5
    assert result.chosen_on == "validation"
    data = digits.load(100, val_fraction=0.3)
    normalise, cpu = Normalisation.of(data.train), torch.device("cpu")
    for name, accuracy in (("last", result.last_accuracy), ("best", result.best_accuracy)):
        checkpoint = load_checkpoint(tmp_path / "run" / f"{name}.pt")
        assert evaluate(checkpoint.model(), data.test, normalise, cpu).accuracy == accuracy
    document = json.loads(result.run.result.read_text())
    assert document["best"]["validation_accuracy"] == max(accuracies)
    assert document["best"]["test_accuracy"] == result.best_accuracy
    assert float(rows[-1]["test_accuracy"]) == result.last_accuracy == document["last"]["test_accuracy"]


def test_the_environment_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert environment("cpu")["directory_revision"] is None
    for words in (
        ["init", "-q"],
        ["-c", "user.name=x", "-c", "user.email=x", "commit", "-q", "--allow-empty", "-m", "x"],
    ):
        subprocess.run(["git", *words], check=True)
    revision = subprocess.run(["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    found = environment("the device")
    assert found["directory_revision"] == revision
    assert (found["device"], found["torch"]) == ("the device", torch.__version__.split("+")[0])
    monkeypatch.setenv("PATH", "")
    assert environment("cpu")["directory_revision"] is None


def test_only_code_that_trains_makes_a_resumed_run_another(tmp_path: Path) -> None:
    """A revision that changes documents, tests or pictures is no reason for a warning; one that changes a loop is."""
    for name in ("loop.py", "plotting/style.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")

    def entry(revision: str, **changes: Any) -> dict[str, Any]:
        code_of.cache_clear()
        known = {"torch": "2.9", "polyroots": "0.1.0", "polyroots_code": code_of(tmp_path)}
        return {"environment": {**known, "polyroots_revision": revision, **changes}}

    first = entry("aa")
    (tmp_path / "plotting" / "style.py").write_text("x = 2\n")
    assert changes_between(first, entry("bb", polyroots="0.2.0")) is None
    (tmp_path / "loop.py").write_text("x = 2\n")
    assert changes_between(first, entry("bb")) == (
        "polyroots 0.1.0 of revision bb (it was polyroots 0.1.0 of revision aa): its numbers may differ from those "
        "without the stop"
    )
    assert changes_between(entry("bb"), entry("bb")) is None
    assert str(changes_between(first, entry("aa"))).startswith("other code of polyroots 0.1.0 of revision aa: its")
    assert str(changes_between(entry("aa"), entry("aa", torch="3"))).startswith(
        "torch 3 (it was 2.9): its numbers are t"
    )
    # Runs of version 0.1.0 have revisions alone.
    assert "revision bb (it was" in str(changes_between(entry("aa", polyroots_code=None), entry("bb")))


def test_config_says_how_it_was_made(tmp_path: Path, digits: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["polyroots", "train", "--epochs", "1"])
    result = train(small(digits, limit=20, epochs=1), digits, tmp_path / "run")
    document = json.loads(result.run.config.read_text())
    assert document["command"] == ["polyroots", "train", "--epochs", "1"]
    assert document["environment"]["device"].startswith("cpu, 1 thread")
    assert set(document["environment"]) >= {"python", "torch", "torchvision", "polyroots_code", "polyroots_revision"}


@pytest.mark.slow
@pytest.mark.xdist_group("forked")
def test_one_of_several_processes_gets_a_directory(tmp_path: Path) -> None:
    """The process that links config.json first begins the run; the others raise an error."""
    said = [tmp_path / str(i) for i in range(4)]
    processes = [start(begin_and_say, tmp_path / "run", i, path) for i, path in enumerate(said)]
    assert [status_of(process) for process in processes] == [0] * 4
    (winner,) = [i for i, path in enumerate(said) if path.read_text() == "mine"]
    assert json.loads((tmp_path / "run" / "config.json").read_text()) == {"who": winner}
    assert sum("holds a run already" in path.read_text() for path in said) == 3
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["config.json"]


def test_a_file_system_without_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Any, target: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("pathlib.Path.hardlink_to", refuse)
    run, made = begin(tmp_path / "run", {"config": {}})
    assert made
    assert run.read_config() == {"config": {}}
    with pytest.raises(pr.FileError, match="holds a run already"):
        begin(tmp_path / "run", {})
    assert [path.name for path in run.path.iterdir()] == ["config.json"]


def test_tensorboard_has_the_columns(tmp_path: Path, digits: Source) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(small(digits, limit=60, epochs=3, tensorboard=True), digits, tmp_path / "run")
    events = EventAccumulator(str(Run(tmp_path / "run").logs))
    events.Reload()
    metrics = load_run(tmp_path / "run").metrics
    assert set(events.Tags()["scalars"]) == {
        *("lr", "loss/train", "accuracy/train", "loss/test", "accuracy/test"),
        *("train_seconds", "images_per_second"),
    }
    points = events.Scalars("loss/test")
    assert [point.step for point in points] == [1, 2, 3]
    assert [point.value for point in points] == pytest.approx(metrics["test_loss"].tolist(), rel=1e-6)


def test_tensorboard_that_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    with pytest.raises(pr.InputError, match="'pip install tensorboard', or leave it out"):
        pr.training.require_tensorboard()


def test_a_run_is_held_while_it_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyroots.training.runs.directory._PATIENCE", 0.1)
    said = []

    class Rival(Reporter):
        def on_epoch(self, row: dict[str, float]) -> None:
            with pytest.raises(pr.FileError, match="is being trained by another process") as caught:
                resume(tmp_path / "run")
            said.append(caught.value)

    source = open_data("digits")
    train(small(source, limit=20), source, tmp_path / "run", reporter=Rival())
    assert len(said) == 2


def test_random_states_are_brought_back() -> None:
    import random

    # Made before the seed is set: with run-time checks of shapes, making an object draws random numbers.
    state, optimizer = RunState(), torch.optim.SGD([torch.nn.Parameter(torch.zeros(2))], lr=0.1)
    states = random_states()
    drawn = [torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()]  # noqa: NPY002
    set_random_states(states)
    again = random_states()
    assert torch.equal(again["torch"], states["torch"])
    document = state.to_dict(optimizer)
    torch.rand(3)
    RunState.restore(document, optimizer)
    assert [torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()] == drawn  # noqa: NPY002


def test_temporaries_of_others_stay(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for name in (".last-abc.pt", ".metrics-x.csv", ".notes", "last.pt"):
        (tmp_path / name).write_text("x")
    run.remove_temporaries()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".notes", "last.pt"]


def test_tensorboard_has_each_epoch_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run was killed before an epoch was logged, and resumed."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from polyroots.training.runs.logs import Logs

    source, out = open_data("digits"), tmp_path / "run"
    original = Logs.add

    def dying(self: Any, row: Any) -> Any:
        if row["epoch"] == 2:
            raise ZeroDivisionError
        original(self, row)

    with monkeypatch.context() as patch:
        patch.setattr(Logs, "add", dying)
        with pytest.raises(ZeroDivisionError):
            train(small(source, limit=40, epochs=4, tensorboard=True), source, out)
    resume(out)
    events = EventAccumulator(str(out / "tensorboard"))
    events.Reload()
    assert [point.step for point in events.Scalars("loss/train")] == [1, 2, 3, 4]
