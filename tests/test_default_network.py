"""The network that is trained where none is chosen: by the data set, in the command and in studies alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from commands import run

from polyroots.study.settings import Machine, config_of
from polyroots.training import BEST, default_network


def chosen(config: Any) -> tuple[str, str, str, float]:
    return config.model.name, config.alpha_init, config.relax, config.lr


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ("q2", "spectrum", "4", 0.2)),
        ({"placement": "smoother"}, ("q2", "spectrum", "4", 0.2)),
        ({"lr": 0.05}, ("q2", "spectrum", "4", 0.05)),
        ({"recipe": "quick"}, ("q2", "spectrum", "4", 0.1)),
        ({"roots": "leja"}, ("q2", "spectrum", "auto", 0.1)),
        ({"relax": 0.5}, ("q2", "spectrum", "0.5", 0.1)),
        ({"alpha-init": "spectrum"}, ("q2", "spectrum", "auto", 0.1)),
        ({"alpha-init": "xavier"}, ("q2", "xavier", "none", 0.1)),
        ({"recipe": "paper"}, ("q4", "spectrum", "none", 0.1)),
        ({"model": "q2"}, ("q2", "spectrum", "auto", 0.1)),
        ({"degree": 3}, ("q4", "spectrum", "auto", 0.1)),
    ],
)
def test_photographs_have_the_best_network_in_studies(
    image_folder: Path, settings: dict[str, Any], expected: tuple[str, str, str, float]
) -> None:
    config = config_of({"dataset": "folder", **settings}, 3, Machine(data_dir=image_folder))
    assert chosen(config) == expected


def test_other_data_have_q4() -> None:
    assert chosen(config_of({}, 3, Machine())) == ("q4", "spectrum", "auto", 0.1)
    assert default_network("mnist") == {"model": "q4"}
    assert default_network("cifar10") == default_network("cifar100") == BEST


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), ("q2", "spectrum", "4", 0.2)),
        (("--lr", 0.05), ("q2", "spectrum", "4", 0.05)),
        (("--roots", "leja"), ("q2", "spectrum", "auto", 0.1)),
    ],
)
def test_the_command_takes_it(
    image_folder: Path, tmp_path: Path, options: tuple[Any, ...], expected: tuple[str, str, str, float]
) -> None:
    data = ("--dataset", "folder", "--data-dir", image_folder, "--limit", 20, "--scale", 0.125, "--epochs", 1)
    run("train", *data, "--batch-size", 10, "--device", "cpu", *options, "--out", tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())["config"]
    assert (config["model"]["name"], config["alpha_init"], config["relax"], config["lr"]) == expected
