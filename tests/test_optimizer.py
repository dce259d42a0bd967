from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from images import image_tree
from small_runs import small

import polyroots as pr
from polyroots.training import RECIPES, Source, open_data, train, train_config
from polyroots.training.loop.optimizer import make_optimizer, rate_at


@pytest.fixture(scope="module")
def digits() -> Source:
    return open_data("digits")


def test_the_rate_is_torchs_cosine(digits: Source) -> None:
    config = small(digits, epochs=3, lr=0.07)
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.07)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 15)
    for step in range(15):
        assert rate_at(config, step, 5) == pytest.approx(theirs.get_last_lr()[0], rel=1e-12)
        optimizer.step()
        theirs.step()
    assert rate_at(config, 15, 5) == pytest.approx(0, abs=1e-17)


def test_the_papers_rate_moves_once_an_epoch(digits: Source) -> None:
    model = small(digits).model
    config = train_config("digits", model, "paper")
    rates = np.array([rate_at(config, step, 5) for step in range(400 * 5)]).reshape(400, 5)
    assert (rates == rates[:, :1]).all()
    np.testing.assert_allclose(rates[:, 0], 0.05 * (1 + np.cos(np.pi * np.arange(400) / 400)), rtol=1e-12)


def test_a_warm_up_rises_in_equal_steps_to_the_cosine(digits: Source) -> None:
    config = small(digits, epochs=4, warmup=1.5, lr=0.6)
    rates = [rate_at(config, step, 4) for step in range(16)]
    np.testing.assert_allclose(rates[:6], np.arange(1, 7) / 10, rtol=1e-12)
    assert rates[6] == 0.6
    assert all(a > b > 0 for a, b in pairwise(rates[6:]))
    np.testing.assert_allclose(rates[6:], 0.3 * (1 + np.cos(np.pi * np.arange(10) / 10)), rtol=1e-12)


def test_the_papers_recipe_is_the_papers(digits: Source) -> None:
    """The recipe has the batch, epochs, optimizer, weight decay, rate, fill and augmentation of the authors' code."""
    config = train_config("folder", small(digits).model, "paper", data_dir="x")
    assert (config.epochs, config.batch_size, config.lr, config.momentum, config.nesterov) == (
        400,
        128,
        0.1,
        0.9,
        False,
    )
    assert (config.weight_decay, config.warmup, config.label_smoothing, config.clip_norm) == (1e-4, 0, 0, None)
    assert (config.augment, config.fill, config.schedule) == ("crop,flip,autoaugment", 128, "epoch")
    model = pr.models.build(config.model)
    assert {group["weight_decay"] for group in make_optimizer(model, config).param_groups} == {1e-4}
    assert len(make_optimizer(model, config).param_groups) == 2
    assert config.normalisation == "exact", "digits have one channel, the authors' numbers three"
    colour = pr.models.model_config("q2", image_size=8, channels=(4,))
    assert train_config("folder", colour, "paper", data_dir="x").normalisation == "authors"
    assert train_config("folder", colour, "paper", data_dir="x", normalisation="exact").normalisation == "exact"
    assert train_config("folder", colour, data_dir="x").normalisation == "exact"
    with pytest.raises(pr.InputError, match="the authors' normalisation is of 3 channels, and the images have 1"):
        train_config("digits", small(digits).model, normalisation="authors")


def test_the_papers_recipe_normalises_as_the_authors_code(tmp_path: Path) -> None:
    """Normalize((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)) of torchvision, kept for evaluation."""
    sizes = {f"{split}/{name}/{i}.png": (8, 8) for split in ("train", "test") for name in "ab" for i in range(4)}
    source = open_data("folder", image_tree(tmp_path / "data", sizes))
    model = pr.models.model_config("q2", image_size=8, channels=(4,), num_classes=len(source.classes))
    config = train_config("folder", model, "paper", data_dir=tmp_path / "data", epochs=1, device="cpu")
    result = train(config, source, tmp_path / "run")
    trained = pr.load_checkpoint(result.run.last).training
    assert trained is not None
    assert trained["mean"] == [0.4914, 0.4822, 0.4465]
    assert trained["std"] == [0.2023, 0.1994, 0.2010]


def test_a_recipe_is_changed_by_other_choices(digits: Source) -> None:
    model = small(digits).model
    config = train_config("digits", model, "quick", epochs=3, augment="none")
    assert (config.epochs, config.nesterov, config.label_smoothing) == (3, True, 0.1)
    assert {"paper", "quick"} == set(RECIPES)
    with pytest.raises(pr.InputError, match="unknown recipe 'papers': did you mean 'paper'"):
        train_config("digits", model, "papers")
    plain = train_config("digits", model)
    assert (plain.epochs, plain.batch_size, plain.augment, plain.decay_alphas) == (20, 64, "none", False)


def test_fixed_coefficients_are_not_in_the_optimizer(digits: Source) -> None:
    model = pr.models.build("q4", image_size=8, in_channels=1, channels=(4, 8), alphas="fixed")
    config = small(digits)
    (group,) = make_optimizer(model, config).param_groups
    assert not any(p is q for p in group["params"] for name, q in model.named_parameters() if name.endswith("alphas"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"warmup": 2.0}, "a warm-up of 2 of 2 epochs leaves none to train in"),
        ({"warmup": -1.0}, "warmup: input should be greater than or equal to 0"),
        ({"nesterov": True, "momentum": 0.0}, "nesterov needs a momentum greater than 0, got 0"),
        ({"momentum": 1.0}, "momentum: input should be less than 1"),
        ({"val_fraction": 0.6}, "val_fraction: input should be less than or equal to 0.5"),
        ({"clip_norm": 0.0}, "clip_norm: input should be greater than 0"),
        ({"label_smoothing": 1.0}, "label_smoothing: input should be less than 1"),
        ({"precision": "16"}, "precision: input should be '32' or 'bf16', got '16'"),
        ({"name": "resnet20", "channels": (4, 8, 16), "track_spectrum": 1}, "resnet20 has no convolution A"),
    ],
)
def test_choices_that_do_not_fit_are_said(digits: Source, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(pr.InputError, match=message):
        small(digits, **fields)
