"""Studies with results that no training made, for tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from polyroots.study import StudyDirectory, make_plan

TEXT = """\
title = "Table"
seeds = [11, 23, 31, 43]

[base]
epochs = 3
channels = [4, 8]

[axes]
model = ["q2", "q4"]
alpha-init = ["spectrum", "xavier"]

[[include]]
model = "mgnet-ab"
"""
MEASURES: tuple[Literal["last", "best"], ...] = ("last", "best")
MISSING = ("q4_alpha-init-xavier_seed-31", "q4_alpha-init-xavier_seed-43", "mgnet-ab_seed-23")


def write_study(
    directory: Path,
    text: str,
    accuracies: dict[str, tuple[float, float]],
    missing: Sequence[str] = (),
    chosen_on: str = "test",
) -> StudyDirectory:
    """Write a study with results, without training."""
    path = directory / "file.toml"
    path.write_text(text)
    plan, description = make_plan(path)
    study = StudyDirectory(directory / "study")
    study.write(plan, description.text)
    for planned in plan.runs:
        if planned.name in missing:
            continue
        last, best = accuracies[planned.name]
        scores = {"last": {"epoch": 3, "test_accuracy": last}, "best": {"epoch": 2, "test_accuracy": best}}
        run_path = study.run(planned.name).path
        run_path.mkdir(parents=True)
        document = {"data": "digits", "epochs": 3, "chosen_on": chosen_on, **scores}
        (run_path / "result.json").write_text(json.dumps(document))
    return study


def drawn_accuracies() -> dict[str, tuple[float, float]]:
    """Return the last and the best accuracy of each run of `TEXT`."""
    rng = np.random.default_rng(2711)
    names = [
        f"{stem}_seed-{seed}"
        for seed in (11, 23, 31, 43)
        for stem in (*(f"{m}_alpha-init-{a}" for m in ("q2", "q4") for a in ("spectrum", "xavier")), "mgnet-ab")
    ]
    last = dict(zip(names, rng.uniform(0.5, 0.6, len(names)), strict=True))
    return {name: (value, value + 0.01 + 0.01 * rng.uniform()) for name, value in last.items()}
