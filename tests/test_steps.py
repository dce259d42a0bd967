"""A training step, and the options that change it."""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_runs import same_weights, small, state_of
from torch import Tensor

import polyroots as pr
from polyroots.checkpoints.own import load_checkpoint
from polyroots.training import Reporter, Source, open_data, train
from polyroots.training.data.batches import epoch_order
from polyroots.training.data.normalisation import Normalisation
from polyroots.training.loop.epoch import EpochLoop


@pytest.fixture(scope="module")
def digits() -> Source:
    return open_data("digits")


def losses_of(out: Path) -> list[float]:
    with (out / "metrics.csv").open() as stream:
        return [float(row["train_loss"]) for row in csv.DictReader(stream)]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"label_smoothing": 0.2, "nesterov": True, "momentum": 0.8},
        {"clip_norm": 0.3, "warmup": 0.5, "weight_decay": 0.01},
        {"decay_alphas": True, "schedule": "epoch", "weight_decay": 0.05, "name": "q2"},
    ],
)
def test_steps_are_torchs(tmp_path: Path, digits: Source, options: dict[str, Any]) -> None:
    """Two epochs agree, step by step, with torch's optimizer, loss and clipping."""
    config = small(digits, limit=40, lr=0.2, **options)
    result = train(config, digits, tmp_path / "run")
    data = digits.load(limit=40)
    normalise = Normalisation.of(data.train)
    torch.manual_seed(config.seed)
    model = pr.models.build(config.model)
    pr.initialize(model)
    named = list(model.named_parameters())
    decay = options.get("weight_decay", 1e-4)
    optimizer = torch.optim.SGD(
        [
            {"params": [p for name, p in named if not name.endswith("alphas")], "weight_decay": decay},
            {
                "params": [p for name, p in named if name.endswith("alphas")],
                "weight_decay": decay if options.get("decay_alphas") else 0,
            },
        ],
        lr=0.2,
        momentum=options.get("momentum", 0.9),
        nesterov=options.get("nesterov", False),
        foreach=False,
    )
    half = [0.2 * (1 + np.cos(np.pi * k / 6)) / 2 for k in range(6)]
    if options.get("warmup"):
        # A warm-up of one and a half steps has two steps, of half and of the whole rate.
        half = [0.1, 0.2, *(0.2 * (1 + np.cos(np.pi * k / 4)) / 2 for k in range(4))]
    if options.get("schedule") == "epoch":
        half = [half[0]] * 3 + [half[3]] * 3
    step = 0
    for epoch in (1, 2):
        for chosen in epoch_order(config.seed, epoch, 40).split(16):
            for group in optimizer.param_groups:
                group["lr"] = half[step]
            step += 1
            loss = torch.nn.functional.cross_entropy(
                model(normalise(data.train.images[chosen])),
                data.train.labels[chosen],
                label_smoothing=options.get("label_smoothing", 0.0),
            )
            optimizer.zero_grad()
            loss.backward()
            if "clip_norm" in options:
                torch.nn.utils.clip_grad_norm_(model.parameters(), options["clip_norm"])
            optimizer.step()
    ours = state_of(result.run.last)
    for name, parameter in named:
        torch.testing.assert_close(ours[name], parameter.detach(), rtol=2e-4, atol=2e-5)


def test_an_epoch_is_read_once_if_it_is_short(tmp_path: Path, digits: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss is not read in every step, since reading waits for the device."""
    reads = []
    monkeypatch.setattr("polyroots.training.loop.epoch._SECONDS_BETWEEN_READS", 1e9)
    monkeypatch.setattr(EpochLoop, "_means", lambda self, state: reads.append(state.step) or (0.5, 0.5))
    train(small(digits, limit=90, epochs=2), digits, tmp_path / "run")
    assert reads == [6, 6, 6, 6]  # the last step of each epoch, and its row
    reads.clear()
    monkeypatch.setattr("polyroots.training.loop.epoch._SECONDS_BETWEEN_READS", -1.0)
    train(small(digits, limit=90, epochs=1), digits, tmp_path / "other")
    assert reads == [1, 2, 3, 4, 5, 6, 6]


def test_progress_has_the_means_so_far(tmp_path: Path, digits: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    class Recorder(Reporter):
        def on_step(self, epoch: int, done: int, total: int, loss: float, accuracy: float, rate: float) -> None:
            seen.append((epoch, done, total, loss, accuracy))
            assert rate > 0

    monkeypatch.setattr("polyroots.training.loop.epoch._SECONDS_BETWEEN_READS", -1.0)
    config = small(digits, limit=40, epochs=1, lr=1e-30)
    train(config, digits, tmp_path / "run", reporter=Recorder())
    assert [(done, total) for _, done, total, _, _ in seen] == [(16, 40), (32, 40), (40, 40)]
    assert losses_of(tmp_path / "run") == [seen[-1][3]]
    # The weights don't move, so each step's loss is that of the first network on its images.
    data = digits.load(limit=40)
    torch.manual_seed(config.seed)
    model = pr.models.build(config.model)
    pr.initialize(model)
    images, total, correct = Normalisation.of(data.train)(data.train.images), 0.0, 0
    for (_, done, _, loss, accuracy), chosen in zip(seen, epoch_order(config.seed, 1, 40).split(16), strict=True):
        with torch.no_grad():
            logits = model(images[chosen])
        total += float(torch.nn.functional.cross_entropy(logits, data.train.labels[chosen], reduction="sum"))
        correct += int((logits.argmax(1) == data.train.labels[chosen]).sum())
        assert loss == pytest.approx(total / done, rel=1e-5)
        assert accuracy == pytest.approx(correct / done)


@pytest.mark.slow
def test_mixed_precision_trains(tmp_path: Path, digits: Source, caplog: pytest.LogCaptureFixture) -> None:
    """Convolutions are in bf16, weights and statistics in float32."""
    result = train(small(digits, limit=200, epochs=6, precision="bf16", lr=0.05), digits, tmp_path / "run")
    assert not [record for record in caplog.records if record.name.startswith("lightning")]
    whole = train(small(digits, limit=200, epochs=6, lr=0.05), digits, tmp_path / "whole")
    assert all(weight.dtype != torch.bfloat16 for weight in state_of(result.run.last).values())
    mixed, plain = losses_of(tmp_path / "run"), losses_of(tmp_path / "whole")
    assert mixed != plain
    np.testing.assert_allclose(mixed, plain, rtol=0.05)
    assert mixed[-1] < 0.75 * mixed[0]
    assert abs(result.last_accuracy - whole.last_accuracy) < 0.2


@pytest.mark.slow
def test_a_compiled_network_is_the_same(tmp_path: Path, digits: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the eager backend results are bitwise equal, and the checkpoint has the names of the plain network."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    for name, choice in (("plain", False), ("compiled", True)):
        config = small(digits, "L,C", channels=(4,), limit=30, compile=choice)
        train(config, digits, tmp_path / name)
    assert same_weights(tmp_path / "plain", tmp_path / "compiled")
    assert losses_of(tmp_path / "plain") == losses_of(tmp_path / "compiled")


def test_too_little_memory_for_a_step_is_said(tmp_path: Path, digits: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Any, *args: Any) -> None:
        torch.empty(2**60)

    monkeypatch.setattr(EpochLoop, "_step", full)
    with pytest.raises(pr.InputError, match="a step of 16 images of this network takes more memory than there is"):
        train(small(digits, limit=40), digits, tmp_path / "run")


def test_a_run_goes_on_after_a_loss_that_was_no_number(
    tmp_path: Path, digits: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the step, even if it was read later, and last.pt holds the epoch before it."""
    original = EpochLoop._step
    steps = []

    def poisoned(self: Any, images: Any, labels: Any, share: Any, sums: Tensor) -> None:
        original(self, images, labels, share, sums)
        steps.append(1)
        if len(steps) == 5:
            sums[0] = torch.inf

    with monkeypatch.context() as patch:
        patch.setattr(EpochLoop, "_step", poisoned)
        patch.setattr("polyroots.training.loop.epoch._SECONDS_BETWEEN_READS", 1e9)
        message = (
            r"the loss is inf in step 2 of 3 in epoch 2, at a learning rate of 0\.02934; \S*last\.pt holds epoch 1"
        )
        with pytest.raises(pr.training.DivergedError, match=message):
            train(small(digits, limit=40, epochs=3, lr=0.05), digits, tmp_path / "run")
    assert len(steps) == 6
    assert load_checkpoint(tmp_path / "run" / "last.pt").training["epoch"] == 1
    pr.training.resume(tmp_path / "run")
    train(small(digits, limit=40, epochs=3, lr=0.05), digits, tmp_path / "whole")
    assert same_weights(tmp_path / "run", tmp_path / "whole")
