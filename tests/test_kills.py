"""Runs that are killed, for real, at any moment, and go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from small_runs import TRACKED, columns, require_same, same_weights, small, state_of

from polyroots.training import load_run, open_data, resume, train

# Each kills its own process by SIGKILL, at the n-th time that it gets there.
MOMENTS = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from polyroots import files
from polyroots.checkpoints import own as checkpoint
from polyroots.training import open_data, resume, train
from polyroots.training.loop import train as loop, trainer
from polyroots.training.loop.epoch import EpochLoop
from polyroots.training.runs.directory import Run
from small_runs import small

moment, count, out, options = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), eval(sys.argv[4])

def die_after(owner, name, when=lambda *a: True, before=lambda *a: None):
    original, seen = getattr(owner, name), []
    def dying(*args, **kwargs):
        if when(*args):
            seen.append(1)
            if len(seen) == count:
                before(*args)
                os.kill(os.getpid(), signal.SIGKILL)
        return original(*args, **kwargs)
    setattr(owner, name, dying)

def half(path, content):
    with open(path, "wb") as stream:
        stream.write(bytes(content)[: len(content) // 2])
        stream.flush()

def is_last(path, *_):
    return Path(path).name.startswith(".last-")

if moment == "claimed":
    die_after(loop, "Trainer")
elif moment == "before the first checkpoint":
    die_after(trainer.Trainer, "_write_beginning")
elif moment == "step":
    die_after(EpochLoop, "_step")
elif moment == "half of last.pt":
    die_after(Path, "write_bytes", is_last, half)
elif moment == "last.pt before it has its name":
    die_after(Path, "replace", is_last)
elif moment == "before last.pt":
    die_after(trainer.Trainer, "_save_last")
elif moment == "after last.pt":
    die_after(Run, "append_metrics")
elif moment == "before result.json":
    die_after(trainer.Trainer, "_result")
elif moment == "best.pt before it has its name":
    die_after(Path, "replace", lambda path, *_: path.name.startswith(".best-"))
elif moment == "metrics.csv made anew":
    die_after(Path, "replace", lambda path, *_: path.name.startswith(".metrics-"))
if out.exists():
    resume(out)
else:
    source = open_data("digits")
    train(small(source, **options), source, out)
"""


def kill_at(moment, count, out):
    result = subprocess.run(
        [sys.executable, "-c", MOMENTS, moment, str(count), str(out), repr(TRACKED)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == -signal.SIGKILL, (moment, result.stderr)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nobody stopped."""
    out = tmp_path_factory.mktemp("whole") / "run"
    source = open_data("digits")
    train(small(source, **TRACKED), source, out)
    return out


def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bits(tmp_path, whole):
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


def test_a_run_that_is_killed_from_outside_ends_with_the_same_bits(tmp_path):
    """At whatever moment it comes, with images that workers read ahead."""
    words = [sys.executable, "-m", "polyroots", "train", "--model", "q2", "--channels", "4,8", "--device", "cpu"]
    words += ["--epochs", "30", "--batch-size", "10", "--limit", "80", "--augment", "crop", "--loading", "workers"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([*words, "--out", tmp_path / "whole"], env=environment, check=True, capture_output=True)
    out = tmp_path / "killed"
    for lines, command in ((2, [*words, "--out", out]), (9, [*words[:4], "--resume", out])):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while not (out / "metrics.csv").exists() or (out / "metrics.csv").read_text().count("\n") < lines:
            assert time.monotonic() < deadline
            time.sleep(0.003)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    subprocess.run([*words[:4], "--resume", out], env=environment, check=True, capture_output=True)
    assert same_weights(tmp_path / "whole", out)
    assert len(columns(out)) == 30
