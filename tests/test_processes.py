"""Two processes that train together, against one process with the same computation."""

from __future__ import annotations

import copy
import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pairs import COMMAND, Pair
from small_runs import same_weights, small, wait_for_lines
from torch.nn.functional import cross_entropy

import polyroots as pr
from polyroots.training import Source, TrainConfig, evaluate, open_data
from polyroots.training.data.augmentation import augment
from polyroots.training.data.batches import epoch_order, part_of, split_batches
from polyroots.training.data.draws import Draws
from polyroots.training.data.normalisation import Normalisation
from polyroots.training.loop.device import has_unused_weights
from polyroots.training.runs.directory import Run

pytestmark = pytest.mark.xdist_group("forked")

OPTIONS: dict[str, Any] = {"batch_size": 10, "limit": 47, "augment": "crop,flip", "devices": 2}
WORDS = ["--model", "q4", "--augment", "crop,flip", "--limit", "47"]


def one_process_with_half_batches(config: TrainConfig, source: Source) -> NDArray[Any]:
    """Return training and test loss of each epoch, with statistics per half batch and gradients of both halves."""
    data = source.load(config.limit)
    normalise = Normalisation.of(data.train)
    torch.manual_seed(config.seed)
    model = pr.models.build(config.model)
    pr.initialize(model)
    other = copy.deepcopy(model)
    alphas = [p for name, p in model.named_parameters() if name.endswith("alphas")]
    others = [p for name, p in model.named_parameters() if not name.endswith("alphas")]
    groups = [{"params": others, "weight_decay": config.weight_decay}, {"params": alphas, "weight_decay": 0}]
    optimizer = torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum)
    steps, count, done = 5, len(data.train), 0
    rows = []
    for epoch in range(1, config.epochs + 1):
        model.train()
        other.train()
        total, draws = 0.0, Draws(config.seed, epoch, count)
        for batch in epoch_order(config.seed, epoch, count).split(config.batch_size):
            for group in optimizer.param_groups:
                group["lr"] = config.lr * (1 + np.cos(np.pi * done / (steps * config.epochs))) / 2
            done += 1
            other.load_state_dict(model.state_dict())
            half = -(-len(batch) // 2)
            optimizer.zero_grad()
            other.zero_grad()
            for network, part in ((model, batch[:half]), (other, batch[half:])):
                images = augment(("crop", "flip"), data.train.images[part], draws.of(part), config.fill)
                loss = cross_entropy(network(normalise(images)), data.train.labels[part], reduction="sum")
                (loss / len(batch)).backward()
                total += float(loss.detach())
            for mine, theirs in zip(model.parameters(), other.parameters(), strict=True):
                mine.grad += theirs.grad
            optimizer.step()
        rows.append((total / count, evaluate(model, data.test, normalise, torch.device("cpu")).loss))
    return np.array(rows)


def rows_of(out: Path) -> NDArray[Any]:
    with (out / "metrics.csv").open() as stream:
        return np.array([(float(r["train_loss"]), float(r["test_loss"])) for r in csv.DictReader(stream)])


@pytest.mark.slow
def test_two_processes_are_one_with_half_batches(tmp_path: Path) -> None:
    """Processes that polyroots or torchrun has started agree with one process, also for a batch with an odd number."""
    source = open_data("digits")
    expected = one_process_with_half_batches(small(source, epochs=3, **OPTIONS), source)
    words = [*COMMAND, *WORDS, "--epochs", "3", "--out"]
    own = {name: value for name, value in os.environ.items() if name not in ("LOCAL_RANK", "RANK", "WORLD_SIZE")}
    result = subprocess.run(
        [sys.executable, "-m", "polyroots", *words, tmp_path / "own"],
        env=own,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    pair = Pair(tmp_path / "pair", *words, tmp_path / "torchrun")
    assert result.returncode == 0, result.stderr
    for run, (out, error) in (("own", (result.stdout, result.stderr)), ("torchrun", pair.must_succeed())):
        assert error == ""
        assert out.count("epoch 3/3") == 1
        assert "cpu" in json.loads(Run(tmp_path / run).config.read_text())["environment"]["device"]
        np.testing.assert_allclose(rows_of(tmp_path / run), expected, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_two_processes_stop_together_and_go_on(tmp_path: Path) -> None:
    """After SIGTERM to one of them and a resumption the weights are those of a run without interruption."""
    words = [*COMMAND, *WORDS, "--epochs", "12", "--out"]
    Pair(tmp_path / "1", *words, tmp_path / "whole").must_succeed()
    pair = Pair(tmp_path / "2", *words, tmp_path / "stopped")
    wait_for_lines(tmp_path / "stopped" / "metrics.csv", 3)
    pair.processes[0].terminate()
    assert pair.statuses() == [1, 1]
    _, said = pair.said()
    assert said.count("\n") == 1
    assert said.startswith("Error: interrupted in epoch ")
    assert not (tmp_path / "stopped" / "result.json").exists()
    Pair(tmp_path / "3", "train", "--resume", tmp_path / "stopped").must_succeed()
    assert same_weights(tmp_path / "whole", tmp_path / "stopped")
    assert np.array_equal(rows_of(tmp_path / "whole"), rows_of(tmp_path / "stopped"))


@pytest.mark.slow
def test_several_processes_need_images_and_know_of_unused_weights(tmp_path: Path) -> None:
    """With one linear block per level the last level's A has no effect, which data parallelism takes as an option."""
    words = [*COMMAND, "--epochs", "2", "--out"]
    Pair(tmp_path / "1", *words, tmp_path / "run", "--blocks", "L", "--limit", 24).must_succeed()
    pair = Pair(tmp_path / "2", *words, tmp_path / "few", "--limit", 3)
    assert pair.statuses() == [1, 1]
    _, said = pair.said()
    assert said.count("\n") == 1
    assert said.startswith("Error: 3 training images for 2 processes: batch norm needs two for each at least")
    assert not (tmp_path / "few").exists()


@pytest.mark.slow
def test_an_error_in_several_processes_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "last.pt").write_text("kept")
    pair = Pair(tmp_path / "pair", *COMMAND, *WORDS, "--out", tmp_path / "run")
    assert pair.statuses() == [1, 1]
    _, said = pair.said()
    assert said.count("\n") == 1
    assert said.startswith(f"Error: {tmp_path / 'run'} holds a run already")


def test_parts_are_the_batch() -> None:
    for batch in (torch.arange(7), torch.arange(12)):
        for processes in (1, 2, 3, 5):
            parts = [part_of(batch, rank, processes) for rank in range(processes)]
            assert torch.equal(torch.cat(parts), batch)
            assert max(map(len, parts)) - min(map(len, parts)) <= 1
    # The last three images are too few for two processes.
    assert [len(batch) for batch in split_batches(torch.arange(23), 10, 2)] == [10, 13]
    assert [len(batch) for batch in split_batches(torch.arange(24), 10, 2)] == [10, 10, 4]


def test_weights_that_nothing_uses_are_found() -> None:
    """Unused weights, which data parallelism needs as an argument, are found from the gradients."""
    assert not has_unused_weights(pr.models.model_config("q4", image_size=8, channels=(4, 8)))
    assert has_unused_weights(pr.models.model_config("L", image_size=8, channels=(4, 8)))
    assert not has_unused_weights(pr.models.model_config("resnet20", image_size=8))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"devices": 3}, "16 images a step can't be divided evenly among 3 processes"),
        ({"devices": 16}, "with two for each at least"),
        ({"devices": 2, "device": "cuda"}, "no cuda device is usable here"),
        (
            {"sync_batch_norm": True},
            "sync_batch_norm needs CUDA devices, this is cpu; leave sync_batch_norm out",
        ),
        (
            {"num_nodes": 2},
            "num_nodes=2 needs processes that are started on every machine: start the command by srun or torchrun",
        ),
    ],
)
def test_processes_that_cannot_be_had_are_said(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    if options.get("device") == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    source = open_data("digits")
    with pytest.raises(pr.InputError, match=message):
        pr.training.train(small(source, **options), source, tmp_path / "run")
    assert not (tmp_path / "run").exists()
