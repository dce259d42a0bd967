"""What came of the runs in a directory, with the seeds of one configuration together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from polyroots.checkpoints import load_checkpoint
from polyroots.errors import FileError, InputError
from polyroots.models import build_empty, count_weights
from polyroots.study.directory import StudyDirectory
from polyroots.training import LoadedRun, Run, TrainConfig, load_run

# What doesn't distinguish one network from another: the machine, what is recorded, and what has a place of its own.
_ASIDE = (
    "seed",
    "data_dir",
    "device",
    "devices",
    "num_nodes",
    "loading",
    "workers",
    "compile",
    "track_spectrum",
    "tensorboard",
    "model.name",
    "model.channels",
)


@dataclass(frozen=True)
class Result:
    """What came of a run.

    Attributes
    ----------
    path : of its directory
    config : its configuration
    start : what else it began with: the roots' region, padding and options, and whether the network came from a file
    data : what results on its data are called
    weights : number of trained weights
    last : test accuracy after the last epoch, a share of the images
    best : test accuracy of the best epoch; optimistic where the test images chose it
    """

    path: Path
    config: TrainConfig
    start: Mapping[str, Any]
    data: str
    weights: int
    last: float
    best: float


class Results(NamedTuple):
    """The runs of a directory.

    Attributes
    ----------
    done : each configuration with each seed once
    unfinished : directories of those that are not done
    repeated : directories of those that another one of `done` has the configuration and seed of
    """

    done: list[Result]
    unfinished: list[Path]
    repeated: list[Path]


class Point(NamedTuple):
    """One configuration with several seeds."""

    channels: tuple[int, ...]
    weights: int
    results: tuple[Result, ...]


class Series(NamedTuple):
    """One network with several numbers of channels, in the order of its weights."""

    label: str
    points: tuple[Point, ...]


def results_of(directory: str | Path) -> Results:
    """Collect the runs in a directory and below; in that of a study, those that its file asks for.

    Raises
    ------
    FileError
        If it holds no run, or one that is damaged.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise FileError(f"no directory {directory}: expected one with runs of 'polyroots train' in it")
    done: dict[str, Result] = {}
    unfinished, repeated = [], []
    study = StudyDirectory(directory)
    asked = {study.run(planned.name).path for planned in study.read().runs} if study.plan.exists() else None
    for path in sorted(directory.rglob("config.json")):
        run = Run(path.parent)
        if asked is not None and run.path not in asked:
            continue
        try:
            run.read_config()
        except FileError:  # somebody else's configuration
            continue
        loaded = load_run(run.path)
        if loaded.result is None:
            unfinished.append(run.path)
            continue
        config = loaded.config
        last, best = accuracies_of(run.result, loaded.result)
        result = Result(
            run.path,
            config,
            _start_of(loaded),
            loaded.result.get("data", config.dataset),
            count_weights(build_empty(config.model)),
            last,
            best,
        )
        key = repr((config.model.name, config.model.channels, config.seed, result.data, _fields(result)))
        if key in done:
            repeated.append(run.path)
        else:
            done[key] = result
    if not done and not unfinished:
        raise FileError(f"{directory} holds no run: expected runs of 'polyroots train', such as {directory}/first")
    return Results(list(done.values()), unfinished, repeated)


def accuracies_of(path: Path, document: Any) -> tuple[float, float]:
    """Return the test accuracies of the last and of the best epoch from the document of a result.json.

    Raises
    ------
    FileError
        If they are not in it.
    """
    try:
        last, best = (float(document[which]["test_accuracy"]) for which in ("last", "best"))
    except (KeyError, TypeError, ValueError) as error:
        raise FileError(
            f"{path} is damaged: it has no accuracies; remove it, and 'polyroots train --resume' or 'polyroots study "
            "run' makes it again"
        ) from error
    return last, best


def series_of(results: Sequence[Result]) -> list[Series]:
    """Put together what differs in the seed alone, and in a series what also differs in the number of channels.

    A series is named after its network, and after whatever else distinguishes it from others of that name.

    Raises
    ------
    InputError
        If the runs are of different data sets, whose accuracies don't compare.
    """
    data = sorted({result.data for result in results})
    if len(data) > 1:
        raise InputError(
            f"expected runs on one data set, whose accuracies compare, got {' and '.join(data)}; put them into "
            "directories of their own"
        )
    # A name may be too long for a title, and titles may be the same.
    titles = {result.config.model.name: result.config.model.title for result in results}
    title_of = titles if len(set(titles.values())) == len(titles) else {name: name for name in titles}
    series: dict[str, dict[tuple[int, ...], list[Result]]] = {}
    for name, title in title_of.items():
        of_name = [(result, _fields(result)) for result in results if result.config.model.name == name]
        different = [key for key in of_name[0][1] if len({repr(fields[key]) for _, fields in of_name}) > 1]
        for result, fields in of_name:
            label = ", ".join([title, *(_mark(key, fields[key]) for key in different)])
            series.setdefault(label, {}).setdefault(result.config.model.channels, []).append(result)
    return [
        Series(
            label,
            tuple(
                sorted(
                    (Point(channels, found[0].weights, tuple(found)) for channels, found in points.items()),
                    key=lambda point: point.weights,
                )
            ),
        )
        for label, points in series.items()
    ]


def _mark(name: str, value: Any) -> str:
    """What distinguishes a run, in the words of the options."""
    option = name.removeprefix("model.").replace("_", "-").lower()
    return f"{option} {'default' if value is None else value}"


def _start_of(run: LoadedRun) -> dict[str, Any]:
    """What a run began with, beside its configuration."""
    init = run.init or {}
    options = {name: value for name, value in init.get("options", {}).items() if name != "seed"}
    start = {"region": init.get("region"), "spectrum padding": init.get("padding"), "options": options or None}
    if not run.run.start.exists():
        return start | {"start": "fresh"}
    training = load_checkpoint(run.run.start).training or {}
    return start | {"start": "trained" if training.get("epoch") or training.get("step") else "fresh"}


def _fields(result: Result) -> dict[str, Any]:
    """What decides a run, but for what `_ASIDE` names."""
    config = result.config
    document = config.model_dump(mode="json")
    document |= {f"model.{key}": value for key, value in document.pop("model").items()}
    # Without synchronisation batch norm sees the images of one process.
    processes = 1 if config.sync_batch_norm else config.processes
    decisive = {key: value for key, value in document.items() if key not in _ASIDE}
    return decisive | dict(result.start) | {"processes": processes}
