"""What came of a study: each combination with all its seeds, and what distinguishes it from another one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import stats

from polyroots.errors import InputError, unknown_name
from polyroots.files import read_json
from polyroots.study.directory import StudyDirectory
from polyroots.study.plan import Plan, PlannedRun, text_of
from polyroots.study.results import accuracies_of

#: After the last epoch; or of the best epoch, which is optimistic where the test images chose it.
Measure = Literal["last", "best"]
MEASURES: tuple[Measure, ...] = ("last", "best")

_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Sample:
    """A test accuracy, a share of the images, of several seeds.

    Attributes
    ----------
    values : seed -> accuracy
    """

    values: Mapping[int, float]

    def __len__(self) -> int:
        return len(self.values)

    @property
    def mean(self) -> float:
        """Mean over the seeds; NaN of none."""
        return float(np.mean(list(self.values.values()))) if self.values else math.nan

    @property
    def deviation(self) -> float:
        """Standard deviation of the sample, with n - 1; NaN of fewer than two seeds."""
        return float(np.std(list(self.values.values()), ddof=1)) if len(self.values) > 1 else math.nan


@dataclass(frozen=True)
class Difference:
    """Mean difference of two combinations, seed by seed.

    Attributes
    ----------
    count : seeds that both have
    mean : of the differences
    low, high : ends of its confidence interval of 95 % by Student's t; NaN of fewer than two seeds
    """

    count: int
    mean: float
    low: float
    high: float

    @classmethod
    def between(cls, sample: Sample, base: Sample) -> Difference | None:
        """Return sample minus base, or None if they have no seed in common.

        >>> difference = Difference.between(Sample({7: 0.5, 8: 0.6, 9: 0.7}), Sample({7: 0.4, 8: 0.4, 9: 0.4}))
        >>> difference.count, round(difference.mean, 3), round(difference.low, 3), round(difference.high, 3)
        (3, 0.2, -0.048, 0.448)
        """
        common = sorted(sample.values.keys() & base.values.keys())
        if not common:
            return None
        differences = np.array([sample.values[seed] - base.values[seed] for seed in common])
        mean, count = float(differences.mean()), len(common)
        if count < 2:
            return cls(count, mean, math.nan, math.nan)
        half = stats.t.ppf((1 + _CONFIDENCE) / 2, count - 1) * differences.std(ddof=1) / math.sqrt(count)
        return cls(count, mean, mean - float(half), mean + float(half))


@dataclass(frozen=True)
class Row:
    """A combination of settings.

    Attributes
    ----------
    settings : value of each key
    weights, epochs : of its network and its training
    planned : seeds that it is to have
    samples : its accuracies, by measure
    """

    settings: Mapping[str, Any]
    weights: int
    epochs: int
    planned: int
    samples: Mapping[Measure, Sample]


@dataclass(frozen=True)
class StudyTable:
    """All combinations of a study, in the order of its file.

    Attributes
    ----------
    title, question : of the study
    data : what results on its data are called; empty before a run is done
    chosen_on : the images that chose the best epoch, ``"test"`` or ``"validation"``, or both in words if runs differ;
        empty before a run is done
    keys : settings in which its runs differ, besides the seed
    rows : one a combination
    """

    title: str
    question: str
    data: str
    chosen_on: str
    keys: tuple[str, ...]
    rows: tuple[Row, ...]

    def base_of(self, row: Row, base: Mapping[str, str]) -> Row | None:
        """Return the row that is like another one but for some settings, given as text.

        If there is none, it is the only row with these settings, or None if there are several. Without settings it is
        the first row.
        """
        if not base:
            return self.rows[0]
        wanted = _texts(row) | dict(base)
        found = [other for other in self.rows if base.items() <= _texts(other).items()]
        alike = [other for other in found if _texts(other) == wanted]
        return alike[0] if alike else found[0] if len(found) == 1 else None

    def require_base(self, base: Mapping[str, str]) -> None:
        """Raise InputError if no row has these settings."""
        for key, value in base.items():
            self.require_keys([key])
            known = list(dict.fromkeys(_texts(row)[key] for row in self.rows))
            if value not in known:
                raise unknown_name(f"{key} of this study", value, known)
        if not any(base.items() <= _texts(row).items() for row in self.rows):
            asked = ", ".join(f"{key}={value}" for key, value in base.items())
            raise InputError(f"no row of this study has {asked}; name a row that there is")

    def require_keys(self, keys: Sequence[str]) -> None:
        """Raise InputError if the runs don't differ in one of these settings."""
        for key in keys:
            if key not in self.keys:
                raise unknown_name("setting in which the runs of this study differ", key, self.keys)


def study_table(directory: StudyDirectory) -> StudyTable:
    """Collect what came of a study's runs, as far as they are done.

    Raises
    ------
    FileError
        If there is no study, or a result is damaged.
    """
    plan: Plan = directory.read()
    documents = {run.name: _result(directory, run) for run in plan.runs}
    done = [document for document in documents.values() if document is not None]
    rows = []
    for runs in plan.by_combination():
        samples: dict[Measure, Sample] = {}
        for measure in MEASURES:
            found = {run.config.seed: documents[run.name] for run in runs}
            samples[measure] = Sample(
                {seed: document[measure]["test_accuracy"] for seed, document in found.items() if document is not None}
            )
        rows.append(Row(runs[0].settings, runs[0].weights, runs[0].config.epochs, len(runs), samples))
    return StudyTable(
        plan.title,
        plan.question,
        " and ".join(dict.fromkeys(document.get("data", "") for document in done)),
        " or ".join(sorted({document.get("chosen_on", "test") for document in done})),
        plan.keys,
        tuple(rows),
    )


def _result(directory: StudyDirectory, run: PlannedRun) -> dict[str, Any] | None:
    path = directory.run(run.name).result
    if not path.exists():
        return None
    document: dict[str, Any] = read_json(path, "the result of a run")
    accuracies_of(path, document)
    return document


def _texts(row: Row) -> dict[str, str]:
    return {key: text_of(value) for key, value in row.settings.items()}
