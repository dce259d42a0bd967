"""Processes that read images ahead: signals to their group, and their end."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from small_runs import require_same, small, wait_for_lines
from torch.utils.data import DataLoader, TensorDataset
from victims import descendants, seconds_until_gone

import polyroots as pr
from polyroots.training import load_run, memory_errors, open_data, resume, train
from polyroots.training.data.given import given_samples
from polyroots.training.loop.feed import WorkerFeed

# More than the two groups that a worker reads ahead.
GROUPS = list(torch.arange(40).split(2))


def from_memory() -> Iterator[Any]:
    """Yield what a worker reads from the images of a data set."""
    return WorkerFeed(open_data("digits").load(limit=40).train, torch.device("cpu"), 1).load(GROUPS)


def from_a_loader() -> Iterator[Any]:
    """Yield what a worker reads from a data loader of the user's own."""
    data = TensorDataset(torch.rand(40, 1, 4, 4), torch.arange(40) % 2)
    return given_samples(DataLoader(data, batch_size=2, num_workers=1), "training data", None).batches(GROUPS)


def kill_and_read(worker: Any, batches: Iterator[Any]) -> None:
    worker.kill()
    worker.join()
    list(batches)


@pytest.mark.parametrize("reading", [from_memory, from_a_loader])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_a_request_to_stop_does_not_end_the_workers(reading: Any, number: int) -> None:
    before = set(multiprocessing.active_children())
    batches = reading()
    read = [next(batches)]
    (worker,) = set(multiprocessing.active_children()) - before
    subprocess.run(["kill", f"-{number:d}", str(worker.pid)], check=True)
    read += batches
    assert len(read) == len(GROUPS)
    seconds_until_gone([worker.pid], most=5)


@pytest.mark.parametrize("reading", [from_memory, from_a_loader])
def test_the_parent_ends_its_workers(reading: Any) -> None:
    """multiprocessing does so when the parent exits, and then waits for them."""
    before = set(multiprocessing.active_children())
    batches = reading()
    next(batches)
    (worker,) = set(multiprocessing.active_children()) - before
    worker.terminate()
    worker.join(5)
    assert worker.exitcode == 0


def test_the_end_of_a_worker_is_said_in_a_sentence() -> None:
    before = set(multiprocessing.active_children())
    batches = from_memory()
    next(batches)
    (worker,) = set(multiprocessing.active_children()) - before
    config = small(open_data("digits"))
    with (
        pytest.raises(pr.InputError, match="a worker that reads images ahead has ended") as raised,
        memory_errors(config),
    ):
        kill_and_read(worker, batches)
    assert raised.value.fields == ("workers", "loading")


@pytest.mark.slow
def test_a_signal_to_the_whole_group_saves_and_stops(tmp_path: Path) -> None:
    """As timeout, systemd and scancel do it: the run saves its step, and goes on to the same bits."""
    out, whole = tmp_path / "run", tmp_path / "whole"
    words = ["--model", "q2", "--channels", "2,4", "--limit", "600", "--batch-size", "10", "--epochs", "8"]
    process = subprocess.Popen(
        [sys.executable, "-m", "polyroots", "train", *words, "--device", "cpu", "--loading", "workers", "--out", out],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_for_lines(out / "metrics.csv", 2)
    while not (pids := descendants(process.pid)):  # between epochs there are no workers
        assert process.poll() is None
    for pid in pids:  # they are told first, as may be
        os.kill(pid, signal.SIGTERM)
    os.killpg(process.pid, signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1, said
    assert "interrupted in epoch" in said, said
    assert "Traceback" not in said
    seconds_until_gone(pids, most=10)
    assert not (out / "result.json").exists()
    config = load_run(out).config
    resume(out)
    train(config, open_data("digits"), whole)
    require_same(whole, out)
