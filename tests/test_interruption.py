"""Signals that stop a run: it saves at the step, and resuming it gives the network of a whole run."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from small_runs import OPTIONS, Signals, columns, require_same, small

import polyroots as pr
from polyroots.checkpoints.own import load_checkpoint, save_checkpoint
from polyroots.training import StoppedError, load_run, open_data, resume, train
from polyroots.training.loop.epoch import EpochLoop
from polyroots.training.loop.evaluate import evaluation_sums


@pytest.fixture(autouse=True)
def _nothing_is_ignored() -> Iterator[None]:
    """Restore the default handlers of the signals that a shell or nohup may have this process ignore."""
    handlers: dict[int, Any] = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGHUP: signal.SIG_DFL,
        signal.SIGUSR1: signal.SIG_DFL,
    }
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("number", "step"), [(signal.SIGTERM, 6), (signal.SIGINT, 9), (signal.SIGHUP, 8), (signal.SIGUSR1, 5)]
)
@pytest.mark.slow
def test_a_signal_saves_and_stops_at_the_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Path, number: int, step: int
) -> None:
    """The signal comes in the middle of an epoch, at its first step, or at its last one before the evaluation."""
    source, out = open_data("digits"), tmp_path / "run"
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
    before = [signal.getsignal(n) for n in numbers]
    with monkeypatch.context() as patch, pytest.raises(StoppedError, match=r"interrupted in epoch \d; .* go on with"):
        train(small(source, **OPTIONS), source, out, reporter=Signals(patch, number, step))
    assert [signal.getsignal(n) for n in numbers] == before
    training = load_checkpoint(out / "last.pt").training
    assert (training["epoch"], training["step"]) == ((step - 1) // 4, (step - 1) % 4 + 1)
    assert len(columns(out)) == training["epoch"]
    assert not (out / "result.json").exists()
    resume(out)
    require_same(whole, out)


def test_a_signal_before_the_first_step_takes_the_run_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_data("digits")
    monkeypatch.setattr(
        "polyroots.training.runs.first_network.build",
        lambda config: os.kill(os.getpid(), signal.SIGTERM) or time.sleep(1),
    )
    with pytest.raises(KeyboardInterrupt):
        train(small(source, limit=20), source, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_signal_stops_the_evaluation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Path) -> None:
    """The trained epoch is kept, and its evaluation is repeated."""
    source, out = open_data("digits"), tmp_path / "run"
    original = evaluation_sums

    def interrupted(*args: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return original(*args)

    with monkeypatch.context() as patch:
        patch.setattr("polyroots.training.loop.trainer.evaluation_sums", interrupted)
        with pytest.raises(StoppedError, match=r"interrupted in epoch 1; .* holds epoch 0 and 4 steps of the next one"):
            train(small(source, **OPTIONS), source, out)
    resume(out)
    require_same(whole, out)


def test_a_second_ctrl_c_does_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_data("digits")
    original = EpochLoop._step

    def impatient(self: Any, *args: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        original(self, *args)

    monkeypatch.setattr(EpochLoop, "_step", impatient)
    with pytest.raises(KeyboardInterrupt):
        train(small(source, limit=40), source, tmp_path / "run")
    assert load_checkpoint(tmp_path / "run" / "last.pt").training["epoch"] == 0


def test_ignored_signals_stay_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signals that nohup or a shell's background job ignores are not handled."""
    source = open_data("digits")
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        reporter = Signals(monkeypatch, signal.SIGHUP, 2)
        assert train(small(source, limit=40), source, tmp_path / "run", reporter=reporter).run.result.exists()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_ruined_weights_are_not_saved_by_a_signal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_data("digits")
    original = EpochLoop._step

    def ruining(self: Any, *args: Any) -> None:
        original(self, *args)
        with torch.no_grad():
            next(self.network.parameters()).fill_(torch.nan)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(EpochLoop, "_step", ruining)
    with pytest.raises(pr.training.DivergedError, match=r"weights that are no longer finite; .* before its first step"):
        train(small(source, limit=40), source, tmp_path / "run")
    assert load_checkpoint(tmp_path / "run" / "last.pt").training["step"] == 0


def test_time_before_a_stop_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = open_data("digits"), tmp_path / "run"
    with monkeypatch.context() as patch, pytest.raises(StoppedError):
        train(small(source, limit=60, epochs=1), source, out, reporter=Signals(patch, signal.SIGTERM, 2))
    saved = load_checkpoint(out / "last.pt")
    assert saved.training["state"]["seconds"] > 0
    saved.training["state"]["seconds"] = 5000.0
    save_checkpoint(out / "last.pt", saved)
    resume(out)
    assert 5000 < load_run(out).metrics["train_seconds"][0] < 5100
