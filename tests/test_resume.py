"""Runs that are stopped, killed, or out of room, and go on."""

from __future__ import annotations

import csv
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import polyroots as pr
from polyroots.checkpoint import load_checkpoint
from polyroots.training import Reporter, StoppedError, load_run, open_data, resume, train
from polyroots.training.epoch import EpochLoop
from polyroots.training.run import Run
from polyroots.training.trainer import Trainer
from runs import same_weights, small, state_of

EPOCHS = 6
OPTIONS = {"limit": 60, "epochs": EPOCHS, "augment": "crop,flip,autoaugment,cutout", "seed": 11}
TRACKED = OPTIONS | {"track_spectrum": 2}

# Each kills its own process by SIGKILL, at the n-th time that it gets there.
MOMENTS = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from polyroots import checkpoint, files
from polyroots.training import loop, resume, train, trainer, open_data
from polyroots.training.epoch import EpochLoop
from polyroots.training.run import Run
from runs import small

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
elif moment == "after best.pt":
    die_after(trainer.Trainer, "_save_last")
elif moment == "after last.pt":
    die_after(Run, "append_metrics")
elif moment == "before result.json":
    die_after(trainer.Trainer, "_result")
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


def columns(out):
    with (out / "metrics.csv").open() as stream:
        return [
            {name: value for name, value in row.items() if name not in ("train_seconds", "images_per_second")}
            for row in csv.DictReader(stream)
        ]


def require_same(one, other):
    assert same_weights(one, other)
    assert columns(one) == columns(other)
    results = [json.loads((run / "result.json").read_text()) for run in (one, other)]
    for result in results:
        del result["images_per_second"]
    assert results[0] == results[1]
    # Nothing is left of what was being written.
    assert not [path.name for path in other.iterdir() if path.name.startswith(".")]


def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bits(tmp_path, whole):
    out = tmp_path / "run"
    for moment, count in (
        ("claimed", 1),
        ("before the first checkpoint", 1),
        ("half of last.pt", 2),
        ("step", 2),
        ("last.pt before it has its name", 2),
        ("after best.pt", 1),
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
    assert len(json.loads((out / "config.json").read_text())["resumed"]) == 10


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


class Signals(Reporter):
    """Sends a signal to this process in a step."""

    def __init__(self, monkeypatch, number, step):
        original, seen = EpochLoop._step, []

        def stepping(loop, *args):
            seen.append(1)
            if len(seen) == step:
                os.kill(os.getpid(), number)
            return original(loop, *args)

        monkeypatch.setattr(EpochLoop, "_step", stepping)


@pytest.mark.parametrize(("number", "step"), [(signal.SIGTERM, 6), (signal.SIGINT, 9), (signal.SIGTERM, 8)])
def test_a_signal_saves_and_stops_at_the_step(tmp_path, monkeypatch, whole, number, step):
    """In the middle of an epoch, at its first step and at its last, before its evaluation."""
    source, out = open_data("digits"), tmp_path / "run"
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    with monkeypatch.context() as patch, pytest.raises(StoppedError, match=r"interrupted in epoch \d; .* go on with"):
        train(small(source, **OPTIONS), source, out, reporter=Signals(patch, number, step))
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before
    training = load_checkpoint(out / "last.pt").training
    assert (training["epoch"], training["step"]) == ((step - 1) // 4, (step - 1) % 4 + 1)
    assert len(columns(out)) == training["epoch"]
    assert not (out / "result.json").exists()
    resume(out)
    require_same(whole, out)


def test_a_signal_before_the_first_step_takes_the_run_back(tmp_path, monkeypatch):
    source = open_data("digits")
    monkeypatch.setattr(
        "polyroots.training.trainer.build", lambda config: os.kill(os.getpid(), signal.SIGTERM) or time.sleep(1)
    )
    with pytest.raises(KeyboardInterrupt):
        train(small(source, limit=20), source, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_with_a_start_goes_on_without_it(tmp_path, init_file, monkeypatch):
    """Killed before its first checkpoint, with the file that it started from gone."""
    source, start = open_data("digits"), load_checkpoint(init_file)
    config = pr.training.train_config("digits", start.config, epochs=2, limit=40, device="cpu")
    train(config, source, tmp_path / "whole", start=start)
    out = tmp_path / "killed"
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_write_beginning", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(config, source, out, start=start)
    assert not (out / "last.pt").exists()
    resume(out)
    assert same_weights(tmp_path / "whole", out)
    assert json.loads((out / "init.json").read_text()) == json.loads(json.dumps(start.init))


def test_a_checkpoint_from_before_the_first_step_is_not_trained(tmp_path, monkeypatch):
    """Its coefficients are still those of the report."""
    source = open_data("digits")
    config = small(source, limit=40)
    with monkeypatch.context() as patch:
        patch.setattr(EpochLoop, "run", lambda self, state: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(config, source, tmp_path / "first")
    start = load_checkpoint(tmp_path / "first" / "last.pt")
    second = train(config, source, tmp_path / "second", start=start)
    assert load_run(second.run.path).init == load_run(tmp_path / "first").init is not None


def test_a_finished_run_says_its_result_again(tmp_path, whole):
    before = (whole / "last.pt").read_bytes()
    result = resume(whole)
    assert (whole / "last.pt").read_bytes() == before
    row = columns(whole)[-1]
    assert result.last_accuracy == float(row["test_accuracy"])
    assert result.run.path == whole


def test_only_one_process_trains_a_run(tmp_path, whole, monkeypatch):
    monkeypatch.setattr("polyroots.training.run._PATIENCE", 0.5)
    code = (
        "import sys; from polyroots.training.run import Run\n"
        "with Run(sys.argv[1]).held(): print('held', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, whole], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(pr.FileError, match="is being trained by another process"):
            resume(whole)
        other.communicate("\n")
    resume(whole)


def test_a_full_disk_leaves_the_last_good_checkpoint(tmp_path):
    """The system refuses to write more than a few bytes of a file, from the third epoch on."""

    class Full(Reporter):
        def on_epoch(self, row):
            if row["epoch"] == 2:
                resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))

    source, out = open_data("digits"), tmp_path / "run"
    config = small(source, limit=60, epochs=4)
    train(config, source, tmp_path / "whole")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(pr.FileError, match=r"cannot write \S*(last|best)\.pt: .*; \S*last.pt holds epoch 2"):
            train(config, source, out, reporter=Full())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert load_checkpoint(out / "last.pt").training["epoch"] == 2
    assert not list(out.glob(".*"))
    resume(out)
    assert same_weights(tmp_path / "whole", out)


def test_other_images_are_refused(tmp_path, image_folder, monkeypatch):
    """A run goes on with the images that it began with, wherever they lie now."""
    import shutil

    moved = shutil.copytree(image_folder, tmp_path / "moved")
    source, out = open_data("folder", image_folder), tmp_path / "run"
    config = small(source, epochs=3)
    train(config, source, tmp_path / "whole")
    with monkeypatch.context() as patch, pytest.raises(StoppedError):
        train(config, source, out, reporter=Signals(patch, signal.SIGTERM, 4))
    red, blue = (moved / "train" / f"{name}/0.png" for name in ("red", "blue"))
    content = red.read_bytes()
    red.write_bytes(blue.read_bytes())
    with pytest.raises(pr.InputError, match=r"the training images are no longer those that .* began with"):
        resume(out, data_dir=moved)
    red.write_bytes(content)
    resume(out, data_dir=moved, loading="workers", workers=1)
    assert same_weights(tmp_path / "whole", out)
    (_, resumed) = json.loads((out / "config.json").read_text())["resumed"]
    assert resumed["changes"] == {"data_dir": str(moved), "loading": "workers", "workers": 1}


def test_runs_that_cannot_go_on_are_said(tmp_path, whole):
    with pytest.raises(pr.FileError, match=r"no directory .*: expected a run of 'polyroots train'"):
        resume(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(pr.FileError, match=r"no file .*config\.json: expected the configuration of a run"):
        resume(tmp_path / "empty")
    for text, message in (
        ("{", r"config\.json is damaged"),
        ("[]", "is no configuration that 'polyroots train' wrote"),
        ('{"config": {"dataset": "digits"}}', r"holds a configuration that can't be used: model: field required"),
    ):
        (tmp_path / "empty" / "config.json").write_text(text)
        with pytest.raises(pr.FileError, match=message):
            resume(tmp_path / "empty")
    with pytest.raises(pr.InputError, match="unknown change of a run that goes on 'lr': expected data_dir, device"):
        resume(whole, lr=0.1)
    import shutil

    copy = shutil.copytree(whole, tmp_path / "copy")
    shutil.copy(copy / "best.pt", copy / "last.pt")
    with pytest.raises(pr.FileError, match=r"doesn't say how to go on .* start a new run from it by --init"):
        resume(copy)
    (copy / "last.pt").write_bytes((whole / "last.pt").read_bytes()[:5000])
    with pytest.raises(pr.FileError, match="is no checkpoint"):
        resume(copy)


def test_random_states_are_brought_back():
    import random

    from polyroots.training.state import random_states, set_random_states

    states = random_states()
    drawn = [torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()]  # noqa: NPY002
    set_random_states(states)
    assert [torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()] == drawn  # noqa: NPY002


def test_temporaries_of_others_stay(tmp_path):
    run = Run(tmp_path)
    for name in (".last-abc.pt", ".metrics-x.csv", ".notes", "last.pt"):
        (tmp_path / name).write_text("x")
    run.remove_temporaries()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".notes", "last.pt"]
