"""The accuracies of the runs in a directory, grouped by configuration."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from polyroots.checkpoints import load_checkpoint
from polyroots.errors import FileError, InputError
from polyroots.study.directory import StudyDirectory
from polyroots.text import listed
from polyroots.training import LoadedRun, Run, TrainConfig, load_run

# Fields that don't change the network that is trained, and those that `Series` and `Point` hold by themselves.
_NOT_COMPARED = (
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
    """A run that is done.

    Attributes
    ----------
    path : of its directory
    config : its configuration
    start : its initialisation beside the configuration: region, padding and options of the roots, and whether the
        network was new or trained before
    data : title of its data, see `polyroots.training.Source`
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
    done : those that are done, one for each configuration and seed
    unfinished : directories of those that are not done
    repeated : directories of those whose configuration and seed another one in `done` has
    """

    done: list[Result]
    unfinished: list[Path]
    repeated: list[Path]


class Point(NamedTuple):
    """The runs of one configuration, a run for each seed."""

    channels: tuple[int, ...]
    weights: int
    results: tuple[Result, ...]


class Series(NamedTuple):
    """One network with several numbers of channels, sorted by the number of weights."""

    label: str
    points: tuple[Point, ...]


def results_of(directory: str | Path) -> Results:
    """Return the runs in a directory and below; in the directory of a study, those of its plan.

    Parameters
    ----------
    directory : path

    Returns
    -------
    Results

    Raises
    ------
    FileError
        If it holds no run, or one that is damaged.

    See Also
    --------
    series_of : the runs of a figure of accuracy against weights
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
        except FileError:  # a config.json of another program
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
            loaded.weights,
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
            f"{path} is damaged: it has no accuracies; remove it, and resume the run, which writes it again"
        ) from error
    return last, best


def series_of(results: Sequence[Result], together: Collection[str] = ()) -> list[Series]:
    """Return series of runs that differ in channels and seed only, or also in other fields.

    Parameters
    ----------
    results : sequence of Result
    together : collection of str
        Fields of `TrainConfig` whose values share a series.

    Returns
    -------
    list of Series
        Labelled with the network, and with the fields in which series of the same network differ.

    Raises
    ------
    InputError
        If the runs are of different data sets, whose accuracies can't be compared.
    """
    data = sorted({result.data for result in results})
    if len(data) > 1:
        raise InputError(
            f"expected runs on one data set, got {listed(data, separator=' and ')}; their accuracies can't be "
            "compared, so put the runs of each into a directory of its own"
        )
    # Titles are shorter than names; where two of them coincide, the names are taken.
    titles = {result.config.model.name: result.config.model.title for result in results}
    title_of = titles if len(set(titles.values())) == len(titles) else {name: name for name in titles}
    series: dict[str, dict[tuple[int, ...], list[Result]]] = {}
    for name, title in title_of.items():
        of_name = [(result, _fields(result, together)) for result in results if result.config.model.name == name]
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
    """Name and value of a field in which series differ, as `polyroots train` spells it."""
    option = name.removeprefix("model.").replace("_", "-").lower()
    return f"{option} {'default' if value is None else value}"


def _start_of(run: LoadedRun) -> dict[str, Any]:
    """Initialisation of a run beside its configuration, see `Result.start`."""
    init = run.init or {}
    options = {name: value for name, value in init.get("options", {}).items() if name != "seed"}
    start = {"region": init.get("region"), "spectrum padding": init.get("padding"), "options": options or None}
    if not run.run.start.exists():
        return start | {"start": "fresh"}
    training = load_checkpoint(run.run.start).training or {}
    return start | {"start": "trained" if training.get("epoch") or training.get("step") else "fresh"}


def _fields(result: Result, together: Collection[str] = ()) -> dict[str, Any]:
    """Fields by which runs are compared: all but those in `_NOT_COMPARED` and in `together`."""
    config = result.config
    document = config.model_dump(mode="json")
    document |= {f"model.{key}": value for key, value in document.pop("model").items()}
    # Without synchronisation batch norm uses the images of one process.
    processes = 1 if config.sync_batch_norm else config.processes
    decisive = {key: value for key, value in document.items() if key not in (*_NOT_COMPARED, *together)}
    return decisive | dict(result.start) | {"processes": processes}
