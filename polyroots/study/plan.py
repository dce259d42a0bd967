"""Plans of studies: a named, complete configuration for each run."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polyroots.errors import FileError, InputError
from polyroots.models import ModelConfig, build_empty, count_weights
from polyroots.study.description import Combination, Description, read_description
from polyroots.study.settings import Machine, config_of, value_of
from polyroots.text import text_of
from polyroots.training import TrainConfig

# File systems allow 255 bytes; names of this length still fit on a line.
_LONGEST_NAME = 90


@dataclass(frozen=True)
class PlannedRun:
    """One run of a study.

    Attributes
    ----------
    name : of its directory
    settings : value of each of the study's keys, None where its network has no such setting
    config : of its training
    weights : number of trained weights
    """

    name: str
    settings: Mapping[str, Any]
    config: TrainConfig
    weights: int

    @property
    def texts(self) -> tuple[str, ...]:
        """Its settings as text."""
        return tuple(text_of(value) for value in self.settings.values())


@dataclass(frozen=True)
class Plan:
    """The runs of a study.

    Attributes
    ----------
    title, question : of the study file
    keys : the settings in which runs may differ, besides the seed
    runs : in the order in which they start: all combinations with one seed before the next seed
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
        """Return a list for each combination with its runs, one for each seed."""
        found: dict[tuple[str, ...], list[PlannedRun]] = {}
        for run in self.runs:
            found.setdefault(run.texts, []).append(run)
        return list(found.values())


def make_plan(path: str | Path, machine: Machine | None = None) -> tuple[Plan, Description]:
    r"""Return the plan of a study file, and the file's content.

    Parameters
    ----------
    path : path
        Of a TOML file, see docs/studies.md.
    machine : Machine, optional

    Returns
    -------
    plan : Plan
        Each run's configuration is checked.
    description : Description

    Raises
    ------
    FileError
        If the file, or a folder of images, can't be read.
    InputError
        With the line at fault, for the first setting that can't be used.

    See Also
    --------
    polyroots.study.StudyDirectory.write, polyroots.study.run_study

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as directory:
    ...     path = Path(directory) / "study.toml"
    ...     _ = path.write_text("seeds = 2\n[axes]\nmodel = ['q2', 'q4']\n")
    ...     plan, _ = make_plan(path)
    >>> [run.name for run in plan.runs]
    ['q2_seed-7', 'q4_seed-7', 'q2_seed-8', 'q4_seed-8']
    """
    machine = machine or Machine()
    description = read_description(path)
    keys = tuple(dict.fromkeys(name for combination in description.combinations for name in combination.own))
    weights: dict[ModelConfig, int] = {}
    runs: list[PlannedRun] = []
    seen: set[str] = set()
    names = _names([combination.own for combination in description.combinations])
    for seed, (name, combination) in itertools.product(
        description.seeds, zip(names, description.combinations, strict=True)
    ):
        config = _checked(description, combination, seed, machine)
        settings = {key: combination.settings.get(key, value_of(key, config)) for key in keys}
        if config.model not in weights:
            weights[config.model] = count_weights(build_empty(config.model))
        run = PlannedRun(f"{name}_seed-{seed}".removeprefix("_"), settings, config, weights[config.model])
        # No two runs have the same configuration, nor the same line of a table. The names of directories may hold bytes
        # that aren't UTF-8, which model_dump_json refuses.
        identities = {json.dumps(config.model_dump(mode="json")), repr((run.texts, seed))}
        if seen & identities:
            raise description.error(combination.table, f"this repeats the run {_in_words(combination.own)}")
        seen |= identities
        runs.append(run)
    return Plan(description.title, description.question, keys, tuple(runs)), description


def _checked(description: Description, combination: Combination, seed: int, machine: Machine) -> TrainConfig:
    try:
        return config_of(combination.settings, seed, machine)
    except FileError as error:
        if machine.data_dir is not None or "data-dir" not in combination.settings:
            raise
        table = combination.table if "data-dir" in combination.own else ("base",)
        raise description.error((*table, "data-dir"), str(error), fields=error.fields) from None
    except InputError as error:
        at_fault = _setting_at_fault(combination, seed, machine)
        about = f" (of the run {_in_words(combination.own)})" if len(combination.own) > 1 else ""
        place = combination.table if at_fault is None else (*combination.table, at_fault)
        if at_fault is not None and at_fault not in combination.own:
            place = ("base", at_fault)
        value = None if at_fault is None else combination.settings[at_fault]
        item = None if isinstance(value, list) else value
        raise description.error(place, f"{error}{about}", item, error.fields) from None


def _setting_at_fault(combination: Combination, seed: int, machine: Machine) -> str | None:
    """Return a setting without which the error doesn't occur, one of the combination's own if possible."""
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
    # If several settings are wrong, one that is wrong by itself is returned.
    data = {key: value for key, value in combination.settings.items() if key in ("dataset", "data-dir")}
    for name in own_first:
        try:
            config_of({**data, name: combination.settings[name]}, seed, machine)
        except (InputError, FileError):
            return name
    return None


def _in_words(own: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {text_of(value)}" for name, value in own.items()) or "of [base]"


def _names(combinations: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the stem of the names of each combination's runs, which depends on that combination only.

    >>> _names([{"model": "L,C", "alpha-init": "xavier"}, {"lr": 0.1}])
    ['L-C_alpha-init-xavier', 'lr-0.1']
    """
    stems = [
        "_".join(
            _slug(text_of(value)) if key == "model" else f"{key}-{_slug(text_of(value))}" for key, value in own.items()
        )
        for own in combinations
    ]
    return [
        stem if stems.count(stem) == 1 and len(stem) <= _LONGEST_NAME else f"{stem[:_LONGEST_NAME]}-{_digest(own)}"
        for stem, own in zip(stems, combinations, strict=True)
    ]


def _digest(own: Mapping[str, Any]) -> str:
    return hashlib.blake2b(_in_words(own).encode(), digest_size=4).hexdigest()


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.+-]+", "-", text).strip(".") or "none"
