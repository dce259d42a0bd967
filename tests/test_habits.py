"""Habits of timm, torchvision and torch.hub on the networks."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import polyroots as pr

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("name", ["q4", "mgnet-ab", "resnet20"])
def test_features_and_head_make_the_network(name: str) -> None:
    torch.manual_seed(3)
    channels = [8, 8, 8] if name == "resnet20" else [4, 8]
    network: Any = pr.models.build(name, image_size=8, channels=channels, num_classes=5).eval()
    x = torch.randn(2, 3, 8, 8)
    features = network.forward_features(x)
    assert features.shape[:2] == (2, network.num_features) == (2, 8)
    layer = network.get_classifier()
    assert isinstance(layer, nn.Linear)
    assert network.num_classes == layer.out_features == 5
    means = features.mean(dim=(2, 3))
    assert torch.equal(network.forward_head(features, pre_logits=True), means)
    torch.testing.assert_close(network(x), means @ layer.weight.T + layer.bias)


@pytest.mark.parametrize("name", ["q2", "resnet20"])
def test_a_classifier_is_replaced_and_saved(name: str, tmp_path: Path) -> None:
    channels = [8, 8, 8] if name == "resnet20" else [4, 8]
    network: Any = pr.models.build(name, image_size=8, channels=channels).double()
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    before = network.eval().forward_features(x)
    network.reset_classifier(7)
    assert network(x).shape == (2, 7)
    assert network.get_classifier().weight.dtype == torch.float64
    assert network.num_classes == network.config.num_classes == 7
    assert torch.equal(network.forward_features(x), before)
    pr.save_checkpoint(tmp_path / "seven.pt", pr.Checkpoint(network.config, network.state_dict()))
    again: Any = pr.load_checkpoint(tmp_path / "seven.pt").model()
    assert again.num_classes == 7
    network.reset_classifier(0)
    assert torch.equal(network(x), before.mean(dim=(2, 3)))
    assert network.num_classes == 0
    with pytest.raises(pr.InputError, match="number of classes from 0 on, got -1"):
        network.reset_classifier(-1)


def test_torch_hub_finds_the_networks() -> None:
    spec = importlib.util.spec_from_file_location("hubconf", ROOT / "hubconf.py")
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    assert spec.loader is not None
    spec.loader.exec_module(module)
    # As torch.hub.list finds them.
    entries = {name for name in dir(module) if callable(getattr(module, name)) and not name.startswith("_")}
    assert entries == {"network", "checkpoint", *pr.models.NAMED_BLOCKS}
    # torch.hub refuses an entry point whose dependencies are missing.
    assert all(importlib.util.find_spec(name) for name in module.dependencies)
    network: Any = torch.hub.load(
        str(ROOT), "q4", source="local", image_size=8, channels=[4], num_classes=3, strategy="extremal"
    )
    assert network(torch.ones(2, 3, 8, 8)).shape == (2, 3)
    assert len(network.polynomials()[0].roots) == 4


def test_torch_hub_reads_checkpoints(tmp_path: Path) -> None:
    network = pr.models.build("q2", image_size=8, channels=[4])
    pr.save_checkpoint(tmp_path / "q2.pt", pr.Checkpoint(network.config, network.state_dict()))
    again: Any = torch.hub.load(str(ROOT), "checkpoint", str(tmp_path / "q2.pt"), source="local")
    assert torch.equal(again.levels[0].A.weight, network.levels[0].A.weight)  # type: ignore[union-attr,index]
