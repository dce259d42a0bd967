"""A training run: from its beginning, or from where it was stopped."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric
from pydantic import ValidationError

from polyroots.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from polyroots.errors import FileError, InputError, one_sentence, unknown_name
from polyroots.files import write_json
from polyroots.training.config import TrainConfig
from polyroots.training.data import Source, open_data
from polyroots.training.device import describe, make_fabric
from polyroots.training.environment import environment
from polyroots.training.evaluate import require_fit
from polyroots.training.interruption import Interruption
from polyroots.training.processes import in_first, joined
from polyroots.training.reporter import Reporter
from polyroots.training.run import Run, begin, begin_anew
from polyroots.training.trainer import Trainer, TrainResult

# Where a run goes on doesn't decide what it computes, but for rounding.
_CHANGEABLE = ("data_dir", "device", "devices", "num_nodes", "loading", "workers")


def train(
    config: TrainConfig,
    source: Source,
    out: str | Path | None = None,
    *,
    start: Checkpoint | None = None,
    reporter: Reporter | None = None,
) -> TrainResult:
    """Train a network and write a run directory.

    The same configuration gives the same weights, bit by bit, on the same CPU with the same number of threads; also if
    the run is stopped or killed and `resume` goes on with it. In the main thread, the first Ctrl-C or SIGTERM saves
    and stops at the end of the step.

    Parameters
    ----------
    config : TrainConfig
    source : Source
        The data set of `config.dataset`, from `open_data`.
    out : path, optional
        The run directory; must not hold a run. By default a new one under runs/.
    start : Checkpoint, optional
        Start from its weights and coefficients rather than from fresh ones.
    reporter : Reporter, optional

    Raises
    ------
    InputError
        If `start` doesn't fit the data, or the device is not there or has too little memory.
    FileError
        If the data can't be read or the run not be written.
    DivergedError
        If the loss is no longer finite.
    StoppedError
        If it was asked to stop.
    """
    require_fit(config.model, source)
    if start is not None and start.config != config.model:
        raise InputError("the network to start from is not the configuration's: give start.config as its model")
    fabric = make_fabric(config)
    document = {"config": config.model_dump(mode="json"), **_circumstances(fabric)}
    interruption = Interruption()
    with joined(fabric), interruption.listening(), ExitStack() as stack:

        def claim() -> tuple[Run, bool]:
            if out is None:
                run, made = begin_anew(config.dataset, config.model.title, document)
            else:
                run, made = begin(out, document)
            stack.enter_context(run.held())
            return run, made

        run, made = in_first(fabric, claim)
        try:
            if start is not None:
                in_first(fabric, lambda: save_checkpoint(run.start, start))
            trainer = Trainer(config, source, run, fabric, reporter, interruption, start=start)
        except BaseException:
            if fabric.global_rank == 0:
                run.abandon(made)
            raise
        return trainer.complete()


def resume(
    path: str | Path, *, download: bool = False, reporter: Reporter | None = None, **changes: Any
) -> TrainResult:
    """Go on with a run that was stopped or killed.

    On the same CPU with the same number of threads it ends with the weights that it would have had, bit by bit.

    Parameters
    ----------
    path : path
        The run directory.
    download : bool
        Whether a data set of torchvision's may be downloaded, see `open_data`.
    reporter : Reporter, optional
    **changes
        Where it goes on, if elsewhere: data_dir, device, devices, num_nodes, loading, workers.

    Raises
    ------
    InputError, FileError, DivergedError, StoppedError
        As `train`; also if the directory holds no run, another process trains it, or its images are no longer those
        that it began with.
    """
    run = Run(path)
    config = _changed(load_config(run), changes)
    given = config.model_dump(mode="json", include={name for name, value in changes.items() if value is not None})
    source = open_data(config.dataset, config.data_dir, download)
    require_fit(config.model, source)
    fabric = make_fabric(config)
    interruption = Interruption()
    with joined(fabric), interruption.listening(), ExitStack() as stack:

        def claim() -> tuple[Checkpoint | None, Checkpoint | None]:
            stack.enter_context(run.held())
            run.remove_temporaries()
            document = run.read_config()
            resumed = [*document.get("resumed", []), {"changes": given, **_circumstances(fabric)}]
            write_json(run.config, document | {"resumed": resumed})
            saved = load_checkpoint(run.last) if run.last.exists() else None
            return saved, load_checkpoint(run.start) if saved is None and run.start.exists() else None

        saved, start = in_first(fabric, claim)
        return Trainer(config, source, run, fabric, reporter, interruption, start=start, saved=saved).complete()


def load_config(run: Run) -> TrainConfig:
    """Return the configuration of a run directory.

    Raises
    ------
    FileError
        If there is none, or it is no configuration that this version knows.
    """
    try:
        return TrainConfig(**run.read_config()["config"])
    except ValidationError as error:
        raise FileError(f"{run.config} holds a configuration that can't be used: {one_sentence(error)}") from error


def _changed(config: TrainConfig, changes: Mapping[str, Any]) -> TrainConfig:
    """Return a configuration with other values for what may change while a run goes on."""
    for name in changes:
        if name not in _CHANGEABLE:
            raise unknown_name("change of a run that goes on", name, _CHANGEABLE)
    given = {name: value for name, value in changes.items() if value is not None}
    try:
        return TrainConfig(**{**dict(config), **given})
    except ValidationError as error:
        raise one_sentence(error) from None


def _circumstances(fabric: Fabric) -> dict[str, Any]:
    return {"command": list(sys.argv), "environment": environment(describe(fabric))}
