"""Estimates of the time that the runs of a study take, from one timed step of each network."""

from __future__ import annotations

import json
import statistics
import time
import timeit
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from polyroots.models import channels_last, network_of
from polyroots.study.plan import Plan, PlannedRun
from polyroots.training import EVALUATION_BATCH, TrainConfig, describe_data, make_optimizer

# Short steps are repeated for about this time.
_SECONDS = 0.3
_MOST_TIMES = 50


@dataclass(frozen=True)
class Estimate:
    """Estimated seconds of runs.

    Attributes
    ----------
    device : where steps were timed
    seconds : name of each run -> seconds of its steps and evaluations; reading images, augmentation, compiling and
        finding roots come on top
    """

    device: str
    seconds: dict[str, float]

    @property
    def total(self) -> float:
        """Seconds of all runs, one after another."""
        return sum(self.seconds.values())


def estimate(plan: Plan, on_progress: Callable[[int, int], None] = lambda done, total: None) -> Estimate:
    """Return the estimated time of a plan's runs, from a timed step and evaluation of each network.

    Parameters
    ----------
    plan : Plan
    on_progress : callable, optional
        Called with (networks timed, networks).

    Returns
    -------
    Estimate

    Raises
    ------
    InputError
        If the device is not available, or has too little memory.
    """
    kinds: dict[str, list[PlannedRun]] = {}
    for run in plan.runs:
        config = run.config
        kind = (config.model.model_dump(mode="json"), config.batch_size, config.precision, config.device)
        kinds.setdefault(json.dumps(kind), []).append(run)
    seconds: dict[str, float] = {}
    device = ""
    for done, runs in enumerate(kinds.values()):
        on_progress(done, len(kinds))
        device, step, evaluation = _time(runs[0].config)
        seconds |= {run.name: _seconds_of(run.config, step, evaluation) for run in runs}
    on_progress(len(kinds), len(kinds))
    return Estimate(device, seconds)


def _seconds_of(config: TrainConfig, step: float, evaluation: float) -> float:
    """Seconds of a run from those of a step and of the evaluation of an image."""
    train, test = _counts(config)
    held_out = round(train * config.val_fraction)
    steps = -(-(train - held_out) // config.batch_size)
    # With validation images the test images are evaluated at the end only, for the last and for the best epoch.
    evaluated = config.epochs * held_out + 2 * test if held_out else config.epochs * test
    return config.epochs * steps * step + evaluated * evaluation


def _counts(config: TrainConfig) -> tuple[int, int]:
    """Training and test images of a run."""
    train, test = describe_data(config.dataset, config.data_dir).counts
    most = config.limit or train + test
    return min(train, most), min(test, most)


def _time(config: TrainConfig) -> tuple[str, float, float]:
    """Return the device's name and seconds of a training step and of an image's evaluation."""
    # Fabric takes seconds to import, and the figures and tables of a study need nothing of it.
    from polyroots.training import describe, memory_errors, one_device

    fabric = one_device(config.device, config.precision)
    with torch.random.fork_rng(devices=[]), memory_errors(config):
        model = channels_last(network_of(config.model))
        network, optimizer = fabric.setup(model, make_optimizer(model, config))
        shape = (config.model.in_channels, *config.model.image_size)

        def images(count: int) -> torch.Tensor:
            return torch.randn(count, *shape, device=fabric.device).contiguous(memory_format=torch.channels_last)

        batch = images(max(2, min(config.batch_size, _counts(config)[0]) // config.processes))
        labels = torch.zeros(len(batch), dtype=torch.int64, device=fabric.device)

        def step() -> None:
            optimizer.zero_grad(set_to_none=True)
            fabric.backward(cross_entropy(network(batch), labels))
            optimizer.step()

        is_cuda = fabric.device.type == "cuda"
        wait = torch.cuda.synchronize if is_cuda else (lambda: None)
        # With one thread, the processor's time is that of the step, and other programs don't lengthen it.
        clock = time.perf_counter if is_cuda or torch.get_num_threads() > 1 else time.process_time
        seconds = _median(step, wait, clock)
        several = images(EVALUATION_BATCH)
        network.eval()
        return describe(fabric), seconds, _median(lambda: _forward(network, several), wait, clock) / len(several)


@torch.no_grad()
def _forward(network: nn.Module, images: torch.Tensor) -> None:
    network(images)


def _median(function: Callable[[], None], wait: Callable[[], None], clock: Callable[[], float]) -> float:
    """Median of the seconds that a function takes by a clock; `wait` returns when the device is idle."""

    def times(count: int) -> list[float]:
        return timeit.repeat(lambda: [call() for call in (function, wait)], timer=clock, number=1, repeat=count)

    times(1)  # the first call allocates memory and chooses algorithms
    (once,) = times(1)
    return statistics.median([once, *times(int(_SECONDS / max(once, _SECONDS / _MOST_TIMES)))])
