"""A training run: from its beginning, or from where it was stopped."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric
from pydantic import ValidationError

from polyroots.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from polyroots.errors import FileError, InputError, one_sentence, unknown_name
from polyroots.files import write_json
from polyroots.training.config import TrainConfig
from polyroots.training.data.source import Source
from polyroots.training.data.sources import open_data
from polyroots.training.loop.device import describe, make_fabric, memory_errors
from polyroots.training.loop.evaluate import fits, require_fit
from polyroots.training.loop.interruption import Interruption
from polyroots.training.loop.processes import in_first, joined
from polyroots.training.loop.reporter import Reporter
from polyroots.training.loop.trainer import Trainer, TrainResult
from polyroots.training.runs.directory import Run, begin, begin_anew, load_config
from polyroots.training.runs.environment import environment

#: What may change when a run goes on: where it does, which doesn't decide what it computes, but for rounding.
CHANGEABLE = ("data_dir", "device", "loading", "workers")


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
    if config.dataset != source.name:
        raise InputError(
            f"the configuration is for the data set {config.dataset}, got {source.name}; give its own data"
        )
    if config.data_dir is None and source.data_dir is not None:
        config = config.model_copy(update={"data_dir": source.data_dir.resolve()})
    require_fit(config.model, source)
    if start is not None and start.config != config.model:
        raise InputError("the network to start from is not the configuration's: give start.config as its model")
    if len(source.classes) < 2:
        raise InputError(f"{source.title} has one class: there is nothing to tell apart; give two classes at least")
    fabric = make_fabric(config)
    # Whoever goes on has to know whether there was a network to start from, also if it was not copied in time.
    document = {
        "config": config.model_dump(mode="json"),
        "starts_from_a_network": start is not None,
        **_circumstances(fabric),
    }
    interruption = Interruption()
    with joined(fabric), interruption.listening(), memory_errors(config), ExitStack() as stack:

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
        Where it goes on, if elsewhere: data_dir, device, loading, workers.

    Raises
    ------
    InputError, FileError, DivergedError, StoppedError
        As `train`; also if the directory holds no run, another process trains it, or its images are no longer those
        that it began with.
    """
    run = Run(path)
    config = _changed(load_config(run), changes)
    run.require_whole()
    given = config.model_dump(mode="json", include={name for name, value in changes.items() if value is not None})
    source = _its_own_data(config, run, download)
    fabric = make_fabric(config)
    interruption = Interruption()
    with joined(fabric), interruption.listening(), memory_errors(config), ExitStack() as stack:

        def claim() -> tuple[Checkpoint | None, Checkpoint | None]:
            stack.enter_context(run.held())
            run.remove_temporaries()
            document = run.read_config()
            if document.get("starts_from_a_network") and not (run.start.exists() or run.last.exists()):
                raise FileError(
                    f"{run.path} was killed before it had copied the network that it was to start from: nothing was "
                    "trained; remove it and begin again"
                )
            resumed = [*document.get("resumed", []), {"changes": given, **_circumstances(fabric)}]
            write_json(run.config, document | {"resumed": resumed})
            saved = _load_last(run) if run.last.exists() else None
            return saved, load_checkpoint(run.start) if saved is None and run.start.exists() else None

        saved, start = in_first(fabric, claim)
        return Trainer(config, source, run, fabric, reporter, interruption, start=start, saved=saved).complete()


def _its_own_data(config: TrainConfig, run: Run, download: bool) -> Source:
    """Find the data of a run, where it lay or where it is said to lie now."""
    try:
        source = open_data(config.dataset, config.data_dir, download)
    except FileError as error:
        raise FileError(f"{error}; if the images of {run.path} have moved, say where to by --data-dir") from error
    if not fits(config.model, source):
        raise InputError(
            f"{source.data_dir or source.title} has images of another shape, or other classes, than {run.path} began "
            "with; give its own images by --data-dir"
        )
    return source


def _load_last(run: Run) -> Checkpoint:
    try:
        return load_checkpoint(run.last)
    except FileError as error:
        raise FileError(
            f"{error}; without it the run can't go on, but a new one can start from {run.best} by --init"
        ) from error


def _changed(config: TrainConfig, changes: Mapping[str, Any]) -> TrainConfig:
    """Return a configuration with other values for what may change while a run goes on."""
    for name in changes:
        if name not in CHANGEABLE:
            raise unknown_name("change of a run that goes on", name, CHANGEABLE)
    given = {name: value for name, value in changes.items() if value is not None}
    try:
        return TrainConfig(**{**dict(config), **given})
    except ValidationError as error:
        raise one_sentence(error) from None


def _circumstances(fabric: Fabric) -> dict[str, Any]:
    return {"command": list(sys.argv), "environment": environment(describe(fabric))}
