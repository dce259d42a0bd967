"""Networks that begin with roots for the norm of q(A), in the library and in the commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import run

import polyroots as pr


def test_a_network_starts_with_ideal_roots() -> None:
    """Each level of a shifted network has a norm that its certificate proves to be the least; others are larger."""
    torch.manual_seed(83)
    options: Any = {"image_size": 8, "channels": (4, 8), "A_init": "shifted"}
    model = pr.models.build("C,C", **options)
    least = pr.initialize(model, strategy="ideal", relax="none", padding="circular")
    other = pr.initialize(model, strategy="minimax", relax="none", padding="circular")
    for level, beside in zip(least.levels, other.levels, strict=True):
        proven = level.diagnosis.certificates
        assert proven.norm == pytest.approx(level.diagnosis.norm, rel=1e-9)
        assert proven.ideal_bound <= level.diagnosis.norm <= proven.ideal_bound * (1 + 1e-5)
        assert proven.ideal_bound <= beside.diagnosis.norm
        assert beside.diagnosis.certificates is None


@pytest.mark.parametrize("strategy", ["ideal", "numerical-range"])
def test_commands_take_these_strategies(tmp_path: Path, strategy: str) -> None:
    shifted_level = ("--roots", strategy, "--a-init", "shifted", "--channels", 4)
    out = run("init", *shifted_level, "--image-size", 8, "--degree", 4, "--json").stdout
    found = json.loads(out)["levels"][0]["diagnosis"]["certificates"]
    assert (found["ideal"] is None) == (strategy == "numerical-range")
    assert found["norm"] <= (found["range_bound"] or np.inf)
    text = run("train", *shifted_level, "--limit", 20, "--epochs", 1, "--out", tmp_path / "run").stdout
    assert f"roots '{strategy}', relaxed 'auto'" in text
