"""The identity of a run: a file of another run, or an edited one, is refused with the fields that differ."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands import fails, run
from forked import snapshots_without_processes
from small_runs import small

import polyroots as pr
from polyroots.checkpoints import load_checkpoint, save_checkpoint
from polyroots.training import Reporter, StoppedError, load_run, open_data, resume, train
from polyroots.training.runs.identity import UNDECISIVE

STORED = Path(__file__).parent / "stored" / "run-0.1.0"


class Stop(Reporter):
    """Stops a run after its first epoch."""

    def on_epoch(self, row: dict[str, float]) -> None:
        raise StoppedError("enough")


def stopped(out: Path, **options: Any) -> Path:
    """Return a run of three epochs that was stopped after the first."""
    source = open_data("digits")
    with pytest.raises(StoppedError):
        train(small(source, **{"limit": 40, "epochs": 3, **options}), source, out, reporter=Stop())
    return out


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stopped(tmp_path_factory.mktemp("half") / "run")


@pytest.fixture
def copy(half: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(half, tmp_path / "run"))


def edited(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change a JSON file as an editor does."""
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_every_file_has_the_digest_of_what_decides_the_bits(half: Path) -> None:
    """The digest is computed again by its definition: SHA-256 of the decisive fields, sorted, whole numbers as such."""
    document = json.loads((half / "config.json").read_text())
    config = document["config"]
    free = {"data_dir", "device", "loading", "workers", "track_spectrum", "tensorboard"}
    assert set(UNDECISIVE) == free

    def plain(value: Any) -> str:
        if isinstance(value, dict):
            return "{" + ", ".join(f"{json.dumps(name)}: {plain(value[name])}" for name in sorted(value)) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(map(plain, value)) + "]"
        return json.dumps(int(value) if isinstance(value, float) and value == int(value) else value)

    text = f"[{plain({name: value for name, value in config.items() if name not in free})}, null]"
    identity = hashlib.sha256(text.encode()).hexdigest()
    assert document["identity"] == identity
    assert [load_checkpoint(half / f"{name}.pt").training["identity"] for name in ("last", "best")] == [identity] * 2


CHANGES: dict[str, tuple[Any, str]] = {
    "epochs": (2, r"trained with epochs 3, and \S*config.json has epochs 2: one of them was changed"),
    "lr": (0.2, r"lr 0.1, and \S*config.json has lr 0.2"),
    "seed": (8, "seed 7, and .* has seed 8"),
    "batch_size": (20, "batch_size 16, and .* has batch_size 20"),
    "roots": ("leja", "roots extremal, and .* has roots leja"),
    "precision": ("bf16", "precision 32, and .* has precision bf16"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_an_edited_configuration_is_refused(copy: Path, name: str) -> None:
    """So is `report` on it, whose page would be false."""
    value, message = CHANGES[name]
    edited(copy / "config.json", lambda document: document["config"].update({name: value}))
    before = contents(copy)
    with pytest.raises(pr.FileError, match=message) as error:
        resume(copy)
    assert error.value.fields == ("start",)
    with pytest.raises(pr.FileError, match=message):
        load_run(copy)
    assert contents(copy) == before


def test_an_edited_network_is_refused_by_its_fields(copy: Path) -> None:
    edited(
        copy / "config.json", lambda document: document["config"]["model"].update(channels=[4, 16], padding="circular")
    )
    line = fails("train", "--resume", copy)
    assert f"{copy / 'last.pt'} was trained with model channels 4,8, padding zeros, and" in line
    assert "has model channels 4,16, padding circular: one of them was changed, or is of another run" in line
    assert line.endswith("start a new run from " + str(copy / "last.pt") + " (--init)")


def test_a_configuration_that_was_edited_before_the_first_checkpoint_is_refused(copy: Path) -> None:
    for name in ("last.pt", "best.pt"):
        (copy / name).unlink()
    edited(copy / "config.json", lambda document: document["config"].update(lr=0.3))
    with pytest.raises(pr.FileError, match="was changed after the run began: its identity is no longer that"):
        resume(copy)


@pytest.mark.slow
def test_what_does_not_decide_the_bits_may_be_edited(copy: Path, tmp_path: Path) -> None:
    """Another editor's way to write the same numbers is no change either."""
    edited(copy / "config.json", lambda document: document["config"].update(tensorboard=True, device="auto", warmup=0))
    assert resume(copy, device="cpu").config.epochs == 3
    assert (copy / "tensorboard").is_dir()
    shutil.copytree(copy, tmp_path / "moved")
    assert load_run(tmp_path / "moved").result["identity"] == load_run(copy).run.identity


@pytest.mark.parametrize("name", ["last", "best"])
def test_a_checkpoint_of_another_run_is_refused_and_kept(copy: Path, tmp_path: Path, name: str) -> None:
    """It was taken silently, and overwritten."""
    other = stopped(tmp_path / "other", seed=8, lr=0.05, channels=(4, 4))
    shutil.copy(other / f"{name}.pt", copy / f"{name}.pt")
    before = contents(copy)
    message = (
        rf"{name}.pt was trained with model channels 4,4, lr 0.05, seed 8, and .* channels 4,8, lr 0.1, seed 7: one"
    )
    with pytest.raises(pr.FileError, match=message):
        resume(copy)
    assert contents(copy) == before
    found = load_run(copy)
    with pytest.raises(pr.FileError, match=message):
        getattr(found, name)
    # The whole of the other run, with this one's configuration.
    shutil.copy(copy / "config.json", other / "config.json")
    with pytest.raises(pr.FileError, match="was trained with"):
        resume(other)


def test_an_untrained_network_is_no_checkpoint_to_resume_from(copy: Path, init_file: Path) -> None:
    shutil.copy(init_file, copy / "last.pt")
    with pytest.raises(pr.FileError, match=r"last.pt is no checkpoint of the run in \S*: it was not trained"):
        resume(copy)


@pytest.mark.slow
def test_runs_from_different_networks_are_different(tmp_path: Path, init_file: Path) -> None:
    """The configurations are equal, and the first weights are not."""
    start = load_checkpoint(init_file)
    again = pr.Checkpoint(start.config, {name: value + 0 for name, value in start.weights.items()}, start.init)
    again.weights["head.bias"][0] += 1
    source = open_data("digits")
    config = pr.training.train_config("digits", start.config, epochs=3, limit=40, device="cpu")
    for name, network in (("one", start), ("other", again)):
        with pytest.raises(StoppedError):
            train(config, source, tmp_path / name, start=network, reporter=Stop())
    shutil.copytree(tmp_path / "one", tmp_path / "mixed")
    shutil.copy(tmp_path / "other" / "last.pt", tmp_path / "mixed" / "last.pt")
    with pytest.raises(pr.FileError, match=r"last.pt was trained with another network to start from, and"):
        resume(tmp_path / "mixed")
    shutil.copy(tmp_path / "other" / "start.pt", tmp_path / "one" / "start.pt")
    with pytest.raises(pr.FileError, match=r"start.pt is not the network that \S* began with"):
        resume(tmp_path / "one")


@pytest.mark.slow
def test_a_result_of_another_run_is_refused(copy: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    source = open_data("digits")
    train(small(source, limit=40, epochs=3, seed=8), source, other)
    shutil.copy(other / "result.json", copy / "result.json")
    with pytest.raises(pr.FileError, match=r"is the result of another run than .* their identities differ; restore it"):
        _ = load_run(copy).result
    assert "is the result of another run" in fails("report", copy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epoch": 5, "history": 5}, "holds epoch 5 and 0 steps, of a run of 3 epochs with 3 steps each"),
        ({"epoch": 3, "history": 3, "step": 2}, "holds epoch 3 and 2 steps, of a run of 3 epochs"),
        ({"step": 99}, "holds epoch 1 and 99 steps, of a run"),
        ({"epoch": -1}, "no state to resume from .epoch -1, step 0."),
        ({"epoch": "x"}, "no state to resume from"),
        ({"step": 1.5}, "no state to resume from"),
        ({"history": 2}, "a history that is not that of 1 epoch"),
        ({"history": ["x"]}, "no state to resume from"),
        ({"history": [{"epoch": 1}]}, "no accuracy of epoch 1"),
        ({"history": [{"epoch": 1, "test_accuracy": "high", "train_seconds": 1.0}]}, "the history's row"),
        ({"seconds": float("nan")}, "seconds nan"),
        ({"sums": None}, "no state to resume from"),
    ],
)
def test_a_state_that_no_run_has_is_refused(
    copy: Path, changes: dict[str, Any], message: str, types_unchecked: None
) -> None:
    import torch

    saved = load_checkpoint(copy / "last.pt")
    state = saved.training["state"]
    if isinstance(changes.get("history"), int):
        (row,) = state["history"]
        changes = changes | {"history": [row | {"epoch": i + 1} for i in range(changes["history"])]}
    if isinstance(changes.get("step"), int):
        changes = changes | {"sums": torch.zeros(2, changes["step"])}
    state.update(changes)
    save_checkpoint(copy / "last.pt", saved)
    with pytest.raises(pr.FileError, match=message):
        resume(copy)


def test_a_run_of_0_1_0_has_no_identity_and_is_compared_by_its_fields(tmp_path: Path) -> None:
    old = shutil.copytree(STORED, tmp_path / "old")
    assert "identity" not in json.loads((old / "config.json").read_text())
    edited(old / "config.json", lambda document: document["config"].update(epochs=2, lr=0.05))
    with pytest.raises(pr.FileError, match=r"was trained with epochs 1, lr 0.1, and .* has epochs 2, lr 0.05"):
        resume(old)
    shutil.copy(STORED / "config.json", old / "config.json")
    with snapshots_without_processes():
        resume(old)
    document = json.loads((old / "config.json").read_text())
    assert len(document["identity"]) == 64
    assert load_run(old).result["identity"] == document["identity"]
    assert "Test accuracy" in run("train", "--resume", old).stdout
