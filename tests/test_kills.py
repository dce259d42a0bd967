"""Runs that are killed by SIGKILL at any moment, and resumed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import run
from forked import snapshots_without_processes, start, status_of
from killed import train_and_die
from small_runs import TRACKED, columns, require_same, same_weights, small, state_of, wait_for_lines

from polyroots.training import load_run, open_data, resume, train

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("forked")]


def kill_at(moment: str, count: int, out: Path) -> None:
    assert status_of(start(train_and_die, moment, count, out, TRACKED)) == -signal.SIGKILL, moment


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run without interruption."""
    out = tmp_path_factory.mktemp("whole") / "run"
    source = open_data("digits")
    with snapshots_without_processes():
        train(small(source, **TRACKED), source, out)
    return out


def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bits(tmp_path: Path, whole: Path) -> None:
    out = tmp_path / "run"
    for moment, count in (
        ("claimed", 1),
        ("before the first checkpoint", 1),
        ("half of last.pt", 2),
        ("step", 2),
        ("last.pt before it has its name", 2),
        ("before last.pt", 1),
        ("best.pt before it has its name", 1),
        ("after last.pt", 1),
        ("metrics.csv made anew", 1),
        ("step", 6),
        ("before result.json", 1),
    ):
        kill_at(moment, count, out)
        for path in (out / "last.pt", out / "best.pt"):
            if path.exists():
                assert all(weight.isfinite().all() for weight in state_of(path).values())
    with snapshots_without_processes():
        resume(out)
    require_same(whole, out)
    first, second = (load_run(run).snapshots for run in (whole, out))
    assert [s.epoch for s in first] == [s.epoch for s in second] == [0, 2, 4, 6]
    for a, b in zip(first, second, strict=True):
        for x, y in zip(a.operators, b.operators, strict=True):
            assert np.array_equal(x.values, y.values)
            assert all(np.array_equal(*pair) for pair in zip(x.alphas, y.alphas, strict=True))
    assert not list(out.glob("spectra/*.pt"))
    assert len(json.loads((out / "config.json").read_text())["resumed"]) == 11


def test_a_run_that_is_killed_from_outside_ends_with_the_same_bits(tmp_path: Path) -> None:
    """The command is killed at an arbitrary moment, while workers read images ahead."""
    words = ["train", "--model", "q2", "--channels", "4,8", "--device", "cpu", "--epochs", "12", "--batch-size", "10"]
    words += ["--limit", "80", "--augment", "crop", "--loading", "workers"]
    run(*words, "--out", tmp_path / "whole")
    out = tmp_path / "killed"
    with subprocess.Popen(
        [sys.executable, "-m", "polyroots", *words, "--out", out],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        wait_for_lines(out / "metrics.csv", 4)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    assert not (out / "result.json").exists()
    run("train", "--resume", out)
    assert same_weights(tmp_path / "whole", out)
    assert len(columns(out)) == 12
