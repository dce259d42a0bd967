"""The runs of a study: complete configurations, with a name each."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from polyroots.errors import FileError, InputError, one_sentence
from polyroots.files import read_json, replacing, write_json
from polyroots.models import ModelConfig, build_empty, count_weights
from polyroots.study.description import Combination, Description, read_description
from polyroots.study.settings import Machine, config_of, value_of
from polyroots.training import CHANGEABLE, Run, TrainConfig
from polyroots.training.loop import load_config

# Longer names of directories get in the way of people and of file systems.
_LONGEST_NAME = 100


@dataclass(frozen=True)
class PlannedRun:
    """One run of a study.

    Attributes
    ----------
    name : of its directory
    settings : value of each of the study's keys, None where its network has no such thing
    config : what is trained, and how
    weights : number of trained weights
    """

    name: str
    settings: Mapping[str, Any]
    config: TrainConfig
    weights: int


@dataclass(frozen=True)
class Plan:
    """A study, ready to be run.

    Attributes
    ----------
    title, question : what it is called, and what it is to find out
    keys : the settings in which its runs may differ, besides the seed
    runs : in the order in which they are begun: a seed of all combinations before the next
    """

    title: str
    question: str
    keys: tuple[str, ...]
    runs: tuple[PlannedRun, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds, in the order of the runs."""
        return tuple(dict.fromkeys(run.config.seed for run in self.runs))

    def by_combination(self) -> list[list[PlannedRun]]:
        """Return the runs of each combination, a run a seed."""
        found: dict[str, list[PlannedRun]] = {}
        for run in self.runs:
            found.setdefault(repr(sorted(run.settings.items())), []).append(run)
        return list(found.values())


class StudyDirectory:
    """The directory of a study.

    Parameters
    ----------
    path : path
        It need not be there.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @property
    def description(self) -> Path:
        """A copy of the study file."""
        return self.path / "study.toml"

    @property
    def plan(self) -> Path:
        """What the file meant: every run with its complete configuration."""
        return self.path / "plan.json"

    @property
    def jobs(self) -> Path:
        """Directory of what SLURM was given, and wrote."""
        return self.path / "slurm"

    def run(self, name: str) -> Run:
        """Return the directory of a run, which need not be there."""
        return Run(self.path / "runs" / name)

    def log(self, name: str) -> Path:
        """Return the file with what a run has printed, in all attempts."""
        return self.path / "logs" / f"{name}.log"

    def write(self, plan: Plan, text: str) -> None:
        """Write the plan, and the text of the study file that it was made from.

        Raises
        ------
        InputError
            If a run that is there was made with another configuration.
        FileError
            If the directory can't be written.
        """
        for planned in plan.runs:
            self._require_same(planned)
        with replacing(self.description) as temporary:
            temporary.write_text(text, encoding="utf-8")
        write_json(
            self.plan,
            {
                "title": plan.title,
                "question": plan.question,
                "keys": list(plan.keys),
                "runs": [
                    {
                        "name": run.name,
                        "settings": dict(run.settings),
                        "weights": run.weights,
                        "config": run.config.model_dump(mode="json"),
                    }
                    for run in plan.runs
                ],
            },
        )

    def read(self) -> Plan:
        """Read the plan.

        Raises
        ------
        FileError
            If there is none, or it is damaged.
        """
        if not self.path.is_dir():
            raise FileError(f"no directory {self.path}: expected one of 'polyroots study run'")
        document = read_json(self.plan, "the plan of a study, as 'polyroots study run' writes it")
        try:
            return Plan(
                document["title"],
                document["question"],
                tuple(document["keys"]),
                tuple(
                    PlannedRun(run["name"], run["settings"], TrainConfig(**run["config"]), run["weights"])
                    for run in document["runs"]
                ),
            )
        except ValidationError as error:
            raise FileError(f"{self.plan} holds a configuration that can't be used: {one_sentence(error)}") from error
        except (KeyError, TypeError) as error:
            raise FileError(f"{self.plan} is damaged: expected a plan of 'polyroots study run', {error!r}") from error

    def _require_same(self, planned: PlannedRun) -> None:
        run = self.run(planned.name)
        if not run.config.exists():
            return
        there, wanted = (config.model_dump(mode="json") for config in (load_config(run), planned.config))
        for name, value in wanted.items():
            if name not in CHANGEABLE and there[name] != value:
                was, now = (
                    _difference(document[name], other[name]) for document, other in ((there, wanted), (wanted, there))
                )
                raise InputError(
                    f"{run.path} is a run with {name} {was}, the study now asks for {now}; choose another --out, "
                    "or remove that run"
                )


def make_plan(path: str | Path, machine: Machine | None = None) -> tuple[Plan, Description]:
    """Read a study file and work out its runs, each of which is checked.

    Raises
    ------
    FileError
        If the file, or a folder of images, can't be read.
    InputError
        With the line at fault, for the first run that can't be.
    """
    machine = machine or Machine()
    description = read_description(path)
    keys = tuple(dict.fromkeys(name for combination in description.combinations for name in combination.own))
    weights: dict[ModelConfig, int] = {}
    runs: list[PlannedRun] = []
    names: set[str] = set()
    seen: set[str] = set()
    for seed, combination in itertools.product(description.seeds, description.combinations):
        config = _checked(description, combination, seed, machine)
        settings = {key: combination.settings.get(key, value_of(key, config)) for key in keys}
        identity = repr((sorted(settings.items()), seed))
        if identity in seen:
            raise description.error(combination.table, f"this asks once more for the run {_in_words(combination.own)}")
        seen.add(identity)
        if config.model not in weights:
            weights[config.model] = count_weights(build_empty(config.model))
        runs.append(PlannedRun(_name(combination.own, seed, names), settings, config, weights[config.model]))
    return Plan(description.title, description.question, keys, tuple(runs)), description


def text_of(value: Any) -> str:
    """Write a value of a setting as people do.

    >>> text_of(0.05), text_of([16, 32]), text_of(True), text_of(None)
    ('0.05', '16,32', 'true', '-')
    """
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ",".join(map(text_of, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _checked(description: Description, combination: Combination, seed: int, machine: Machine) -> TrainConfig:
    try:
        return config_of(combination.settings, seed, machine)
    except InputError as error:
        guilty = _guilty(combination, seed, machine)
        about = f" (of the run {_in_words(combination.own)})" if len(combination.own) > 1 else ""
        place = combination.table if guilty is None else (*combination.table, guilty)
        if guilty is not None and guilty not in combination.own:
            place = ("base", guilty)
        value = None if guilty is None else combination.settings[guilty]
        raise description.error(place, f"{error}{about}", None if isinstance(value, list) else value) from None


def _guilty(combination: Combination, seed: int, machine: Machine) -> str | None:
    """Return a setting without which there would be no error, one of the combination's own if possible."""
    own_first = [
        *reversed(list(combination.own)),
        *(name for name in combination.settings if name not in combination.own),
    ]
    for name in own_first:
        rest = {key: value for key, value in combination.settings.items() if key != name}
        try:
            config_of(rest, seed, machine)
        except (InputError, FileError):
            continue
        return name
    return None


def _in_words(own: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {text_of(value)}" for name, value in own.items()) or "of [base]"


def _name(own: Mapping[str, Any], seed: int, taken: set[str]) -> str:
    """Return a name for a run's directory, and note that it is taken.

    >>> _name({"model": "L,C", "alpha-init": "xavier"}, 11, set())
    'L-C_alpha-init-xavier_seed-11'
    """
    parts = [
        _slug(text_of(value)) if key == "model" else f"{key}-{_slug(text_of(value))}" for key, value in own.items()
    ]
    stem = "_".join(parts)[:_LONGEST_NAME]
    for number in itertools.count(1):
        name = "_".join(filter(None, [stem, "" if number == 1 else str(number), f"seed-{seed}"]))
        if name not in taken:
            taken.add(name)
            return name
    raise AssertionError("unreachable: the numbers don't end")


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.+-]+", "-", text).strip("-.") or "none"


def _difference(value: Any, other: Any) -> str:
    """Say what a field has; of a network, what differs from another one."""
    if not isinstance(value, dict) or not isinstance(other, dict):
        return text_of(value)
    return ", ".join(f"{name} {text_of(value[name])}" for name in value if value[name] != other.get(name))


def combinations_in_words(runs: Sequence[PlannedRun], keys: Sequence[str]) -> str:
    """Name a combination by the values of its keys."""
    return ", ".join(text_of(runs[0].settings[key]) for key in keys if runs[0].settings[key] is not None)
