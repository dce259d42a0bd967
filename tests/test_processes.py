"""Two processes against one that does what both do."""

from __future__ import annotations

import copy
import csv
import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from small_runs import same_weights, small
from torch.nn.functional import cross_entropy

import polyroots as pr
from polyroots.training import evaluate, open_data
from polyroots.training.data.augmentation import augment
from polyroots.training.data.batches import epoch_order, part_of, split_batches
from polyroots.training.data.draws import Draws
from polyroots.training.data.normalisation import Normalisation
from polyroots.training.loop.device import has_unused_weights
from polyroots.training.runs.directory import Run

COMMAND = ["--model", "q4", "--channels", "4,8", "--augment", "crop,flip", "--device", "cpu"]
COUNTS = ["--epochs", "3", "--batch-size", "10", "--limit", "47"]


def words(*arguments, launcher=()):
    return [sys.executable, *launcher, "-m", "polyroots", "train", *map(str, arguments)]


def environment():
    own = {name: value for name, value in os.environ.items() if name not in ("LOCAL_RANK", "RANK", "WORLD_SIZE")}
    return own | {"OMP_NUM_THREADS": "1"}


def command(*arguments, launcher=()):
    return subprocess.run(
        words(*arguments, launcher=launcher),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def one_process_with_half_batches(config, source):
    """Loss of training and of the test images in each epoch: statistics per half batch, gradients of both."""
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


def rows_of(out):
    with (out / "metrics.csv").open() as stream:
        return np.array([(float(r["train_loss"]), float(r["test_loss"])) for r in csv.DictReader(stream)])


def test_two_processes_are_one_with_half_batches(tmp_path):
    """Also where a batch can't be halved; started by polyroots and by torchrun."""
    source = open_data("digits")
    config = small(source, epochs=3, batch_size=10, limit=47, augment="crop,flip", devices=2)
    expected = one_process_with_half_batches(config, source)
    result = command(*COMMAND, *COUNTS, "--devices", 2, "--out", tmp_path / "own")
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert result.stdout.count("epoch 3/3") == 1
    assert "cpu" in json.loads(Run(tmp_path / "own").config.read_text())["environment"]["device"]
    np.testing.assert_allclose(rows_of(tmp_path / "own"), expected, rtol=0, atol=1e-5)

    launcher = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29517")
    result = command(*COMMAND, *COUNTS, "--devices", 2, "--out", tmp_path / "torchrun", launcher=launcher)
    assert result.returncode == 0, result.stderr
    np.testing.assert_allclose(rows_of(tmp_path / "torchrun"), expected, rtol=0, atol=1e-5)


def test_two_processes_stop_together_and_go_on(tmp_path):
    """SIGTERM to one of them; the weights in the end are those of a run that nobody stopped."""
    arguments = [*COMMAND, "--epochs", "40", "--batch-size", "10", "--limit", "47", "--devices", "2", "--out"]
    whole = command(*arguments, tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    metrics = tmp_path / "stopped" / "metrics.csv"
    with subprocess.Popen(
        words(*arguments, tmp_path / "stopped"),
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        deadline = time.monotonic() + 120
        while not metrics.exists() or metrics.read_text().count("\n") < 4:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.terminate()
        _, said = process.communicate(timeout=120)
    assert process.returncode == 1, said
    assert said.count("\n") == 1
    assert said.startswith("Error: interrupted in epoch ")
    assert not (tmp_path / "stopped" / "result.json").exists()
    result = command("--resume", tmp_path / "stopped")
    assert result.returncode == 0, result.stderr
    assert same_weights(tmp_path / "whole", tmp_path / "stopped")
    assert np.array_equal(rows_of(tmp_path / "whole"), rows_of(tmp_path / "stopped"))


def test_several_processes_need_images_and_know_of_unused_weights(tmp_path):
    """A level of one linear block: the last one's A has no effect."""
    words = ["--channels", "4,8", "--device", "cpu", "--devices", "2", "--batch-size", "8", "--epochs", "2"]
    result = command(*words, "--blocks", "L", "--limit", 24, "--out", tmp_path / "run")
    assert result.returncode == 0, result.stderr
    result = command(*words, "--limit", 3, "--out", tmp_path / "few")
    assert result.returncode == 1
    assert result.stderr.startswith("Error: 3 training images for 2 processes: batch norm needs two for each at least")
    assert not (tmp_path / "few").exists()


def test_an_error_in_several_processes_is_said_once(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "last.pt").write_text("kept")
    result = command(*COMMAND, *COUNTS, "--devices", 2, "--out", tmp_path / "run")
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith(f"Error: {tmp_path / 'run'} holds a run already")


def test_parts_are_the_batch():
    for batch in (torch.arange(7), torch.arange(12)):
        for processes in (1, 2, 3, 5):
            parts = [part_of(batch, rank, processes) for rank in range(processes)]
            assert torch.equal(torch.cat(parts), batch)
            assert max(map(len, parts)) - min(map(len, parts)) <= 1
    # Three images left over are too few for two processes.
    assert [len(batch) for batch in split_batches(torch.arange(23), 10, 2)] == [10, 13]
    assert [len(batch) for batch in split_batches(torch.arange(24), 10, 2)] == [10, 10, 4]


def test_weights_that_nothing_uses_are_found():
    """Data parallelism has to know of them."""
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
            "num_nodes 2 needs processes that are started on every machine: start the command by srun or torchrun",
        ),
    ],
)
def test_processes_that_cannot_be_had_are_said(tmp_path, options, message):
    if options.get("device") == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    source = open_data("digits")
    with pytest.raises(pr.InputError, match=message):
        pr.training.train(small(source, **options), source, tmp_path / "run")
    assert not (tmp_path / "run").exists()
