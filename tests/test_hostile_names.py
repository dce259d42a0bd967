"""Names of tensors that are made to take long, or memory."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch

from polyroots.checkpoints import read_layers
from polyroots.checkpoints.groups import Channels


@pytest.mark.parametrize("index", [9_999_999_999, 10**1000])
def test_a_large_index_takes_no_longer_than_a_small_one(tmp_path: Path, index: int) -> None:
    torch.save({"0.weight": torch.ones(4, 4, 3, 3), f"{index}.weight": torch.ones(8, 8, 3, 3)}, tmp_path / "file.pt")
    start = time.process_time()
    assert len(read_layers(tmp_path / "file.pt").layers) == 2
    assert time.process_time() - start < 2


def test_the_layer_before_is_the_nearest_of_lower_index() -> None:
    """Numbers with further zeros are names of other modules, and count for none."""
    weights = {f"{n}.weight": torch.ones(c, 2, 3, 3) for n, c in ((2, 6), (10, 8), (30, 2))}
    weights["029.weight"] = torch.ones(4, 2, 3, 3)
    channels = Channels({name: tuple(weight.shape) for name, weight in weights.items()}, weights)
    found = {index: channels._in_sequence("", index, is_first=True) for index in (2, 3, 10, 11, 30, 31)}
    assert {index: before and before.channels for index, before in found.items()} == {
        2: None,
        3: 6,
        10: 6,
        11: 8,
        30: 8,
        31: 2,
    }
