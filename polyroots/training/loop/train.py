"""Training runs: a new one, or one that is resumed."""

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
from polyroots.training.config import CHANGEABLE, TrainConfig
from polyroots.training.data.given import GIVEN
from polyroots.training.data.source import Source
from polyroots.training.data.sources import open_data
from polyroots.training.loop.device import describe, make_fabric, memory_errors
from polyroots.training.loop.evaluate import fits, require_fit
from polyroots.training.loop.interruption import Interruption
from polyroots.training.loop.processes import in_first, joined
from polyroots.training.loop.reporter import Reporter
from polyroots.training.loop.trainer import Trainer, TrainResult
from polyroots.training.runs.directory import Run, begin, begin_anew, load_config
from polyroots.training.runs.environment import changes_between, environment
from polyroots.training.runs.identity import digest_of, identity_of, require_same


def train(
    config: TrainConfig,
    source: Source,
    out: str | Path | None = None,
    *,
    start: Checkpoint | None = None,
    reporter: Reporter | None = None,
) -> TrainResult:
    """Train a network, write a run directory, and return the result.

    On the same CPU with the same number of threads, the same configuration gives the same weights bit by bit, also if
    the run is stopped or killed and resumed by `resume`. In the main thread, the first Ctrl-C, SIGTERM, SIGHUP
    or SIGUSR1 saves and stops at the end of the step.

    Parameters
    ----------
    config : TrainConfig
        The configuration, from `train_config`.
    source : Source
        The data set of `config.dataset`, from `open_data`.
    out : path, optional
        The run directory, which must not hold a run. By default a new one under runs/.
    start : Checkpoint, optional
        Weights and coefficients to start from, instead of fresh ones.
    reporter : Reporter, optional
        Its methods are called while the run trains.

    Returns
    -------
    TrainResult

    Raises
    ------
    InputError
        If `start` doesn't fit the data, or the device is not there or has too little memory.
    FileError
        If the data can't be read or the run can't be written.
    DivergedError
        If a loss is not finite.
    StoppedError
        If the run has received a request to stop.

    See Also
    --------
    resume : resume a run
    load_run : open the directory of a run

    Examples
    --------
    >>> import tempfile
    >>> import polyroots as pr
    >>> source = pr.training.open_data("digits")
    >>> model = pr.models.model_config("q2", image_size=8, in_channels=1, channels=(4, 8))
    >>> config = pr.training.train_config("digits", model, epochs=1, limit=40, device="cpu")
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     result = pr.training.train(config, source, directory)
    >>> result.best_epoch
    1
    """
    _require_source(config, source)
    if config.data_dir is None and source.data_dir is not None:
        config = config.model_copy(update={"data_dir": source.data_dir.resolve()})
    require_fit(config.model, source)
    if start is not None and start.config != config.model:
        raise InputError(
            "the network to start from is not that of the configuration: make the configuration with start.config as "
            "its model"
        )
    if len(source.classes) < 2:
        raise InputError(f"{source.title} has one class, expected two at least; add images of another class")
    fabric = make_fabric(config)
    # `resume` reads here whether there is a network to start from, as the run may be killed before that is copied.
    document = {
        "config": config.model_dump(mode="json"),
        "starts_from_a_network": start is not None,
        **_identity(config.model_dump(mode="json"), start),
        **_provenance(fabric),
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
        _say_without_locks(run, reporter)
        return trainer.complete()


def resume(
    path: str | Path, *, download: bool = False, reporter: Reporter | None = None, **changes: Any
) -> TrainResult:
    """Resume a run that was stopped or killed, and return its result.

    On the same CPU with the same number of threads it ends with the same weights, bit by bit, as without the stop.

    Parameters
    ----------
    path : path
        The run directory.
    download : bool
        Whether a data set of torchvision's may be downloaded, see `open_data`.
    reporter : Reporter, optional
        Its methods are called while the run trains.
    **changes
        New values of fields in `CHANGEABLE`: data_dir, device, loading, workers.

    Returns
    -------
    TrainResult

    Raises
    ------
    InputError, FileError, DivergedError, StoppedError
        As `train`; also if the directory holds no run, another process trains it, or its images have changed.

    See Also
    --------
    train : begin a run

    Examples
    --------
    >>> import polyroots as pr
    >>> pr.training.resume("runs/first")
    Traceback (most recent call last):
    polyroots.errors.FileError: no directory runs/first: expected a run of 'polyroots train'
    """
    run = Run(path)
    config = changed(load_config(run), changes)
    run.require_whole()
    return resume_with(_data_of(config, run, download), run, config, changes, reporter)


def resume_with(
    source: Source, run: Run, config: TrainConfig, changes: Mapping[str, Any], reporter: Reporter | None
) -> TrainResult:
    """Resume a run on a data set; `config` is that of the run, with the changes."""
    given = config.model_dump(mode="json", include={name for name, value in changes.items() if value is not None})
    fabric = make_fabric(config)
    interruption = Interruption()
    moved: list[str | None] = []
    with joined(fabric), interruption.listening(), memory_errors(config), ExitStack() as stack:

        def claim() -> tuple[Checkpoint | None, Checkpoint | None]:
            stack.enter_context(run.held())
            run.remove_temporaries()
            document = run.read_config()
            if document.get("starts_from_a_network") and not (run.start.exists() or run.last.exists()):
                raise FileError(
                    f"{run.path} was killed before the network to start from was copied: nothing was trained; remove "
                    "it and begin again"
                )
            start = load_checkpoint(run.start) if run.start.exists() else None
            # Runs that version 0.1.0 began have no identity.
            document = _identity(document["config"], start) | document
            saved = _load_own(run, config, document, start)
            resumed = [*document.get("resumed", []), {"changes": given, **_provenance(fabric)}]
            moved.append(changes_between([document, *resumed][-2], resumed[-1]))
            write_json(run.config, document | {"resumed": resumed}, make_parents=False)
            return saved, start if saved is None else None

        saved, start = in_first(fabric, claim)
        _say_without_locks(run, reporter)
        if any(moved) and reporter is not None:
            reporter.on_warning(f"{run.path} goes on with {moved[0]}")
        return Trainer(config, source, run, fabric, reporter, interruption, start=start, saved=saved).complete()


def _require_source(config: TrainConfig, source: Any) -> None:
    """Raise InputError unless a data set is the one of a configuration."""
    if not isinstance(source, Source):
        raise InputError(
            f"expected a data set of polyroots.training.open_data, got {type(source).__name__}: data sets and data "
            "loaders of your own are trained on by pr.training.fit(model, train, test, ...)"
        )
    if config.dataset != source.name:
        raise InputError(
            f"the configuration is for the data set {config.dataset}, got {source.name}; open the data set of the "
            "configuration"
        )


def _say_without_locks(run: Run, reporter: Reporter | None) -> None:
    """Warn if the file system has no locks, in the process that holds the run."""
    if run.is_without_locks and reporter is not None:
        reporter.on_warning(
            f"{run.path} is on a file system without locks: nothing keeps a second command from training the same run"
        )


def _data_of(config: TrainConfig, run: Run, download: bool) -> Source:
    """Return the data set of a run, or raise an error with the field for its directory."""
    if config.dataset == GIVEN:
        raise InputError(
            f"{run.path} trains on data that were given to pr.training.fit; go on by the same call with "
            f"out={str(run.path)!r} and resume=True"
        )
    try:
        source = open_data(config.dataset, config.data_dir, download)
    except FileError as error:
        raise FileError(
            f"{error}; if the images of {run.path} have moved, give their new directory as data_dir",
            fields=[*error.fields, "data_dir"],
        ) from error
    if not fits(config.model, source):
        raise InputError(
            f"{source.data_dir or source.title} has images of another shape, or other classes, than {run.path} began "
            "with; give the directory of the run's images as data_dir",
            fields=["data_dir"],
        )
    return source


def _load_own(
    run: Run, config: TrainConfig, document: Mapping[str, Any], start: Checkpoint | None
) -> Checkpoint | None:
    """Return the checkpoint to resume from, if there is one, after checking that all are of this run."""
    if start is not None and document["start_digest"] != digest_of(start):
        raise FileError(f"{run.start} is not the network that {run.path} began with; restore it, or begin a new run")
    if run.best.exists():
        try:
            best = load_checkpoint(run.best)
        except FileError as error:
            if config.val_fraction:  # it is evaluated on the test images at the end
                raise FileError(f"{error}; restore it, or start a new run from {run.last}", fields=["start"]) from error
            raise FileError(f"{error}; restore it, or remove it to go on without it") from error
        require_same(run.best, best, run.config, config, document["identity"])
    if not run.last.exists():
        return None
    try:
        saved = load_checkpoint(run.last)
    except FileError as error:
        raise FileError(
            f"{error}; without it the run can't go on, but a new one can start from {run.best}", fields=["start"]
        ) from error
    require_same(run.last, saved, run.config, config, document["identity"])
    return saved


def _identity(config: Mapping[str, Any], start: Checkpoint | None) -> dict[str, Any]:
    """Return the entries of config.json by which the files of a run are known."""
    digest = None if start is None else digest_of(start)
    return {"identity": identity_of(config, digest), "start_digest": digest}


def changed(config: TrainConfig, changes: Mapping[str, Any]) -> TrainConfig:
    """Return a configuration with other values of fields that may change."""
    for name in changes:
        if name not in CHANGEABLE:
            raise unknown_name("change of a run that goes on", name, CHANGEABLE)
    given = {name: value for name, value in changes.items() if value is not None}
    try:
        return TrainConfig(**{**dict(config), **given})
    except ValidationError as error:
        raise one_sentence(error) from None


def _provenance(fabric: Fabric) -> dict[str, Any]:
    """Return the command, versions, device and revisions, for config.json."""
    return {"command": list(sys.argv), "environment": environment(describe(fabric))}
