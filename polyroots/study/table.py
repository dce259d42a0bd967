"""The accuracies of a study: a row for each combination of settings, with its seeds and its difference to another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy import stats

from polyroots.errors import InputError, unknown_name
from polyroots.files import read_json
from polyroots.study.directory import StudyDirectory
from polyroots.study.plan import Plan, PlannedRun
from polyroots.study.results import accuracies_of
from polyroots.text import listed, text_of

#: Which epoch's accuracy; that of the best one is optimistic where the test images chose it.
Measure = Literal["last", "best"]
MEASURES: tuple[Measure, ...] = ("last", "best")

_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Sample:
    """Test accuracies, shares of the images, of the seeds of one combination.

    Attributes
    ----------
    values : seed -> accuracy
    """

    values: Mapping[int, float]

    def __len__(self) -> int:
        return len(self.values)

    @property
    def mean(self) -> float:
        """Mean over the seeds; NaN without any."""
        return float(np.mean(list(self.values.values()))) if self.values else math.nan

    @property
    def deviation(self) -> float:
        """Standard deviation of the sample (n - 1); NaN for fewer than two seeds."""
        return float(np.std(list(self.values.values()), ddof=1)) if len(self.values) > 1 else math.nan


@dataclass(frozen=True)
class Difference:
    """Mean of the paired differences of two combinations, a pair for each seed that both have.

    Attributes
    ----------
    count : number of pairs
    mean : of the differences
    low, high : ends of the 95 % confidence interval of the mean by Student's t; NaN for fewer than two pairs
    """

    count: int
    mean: float
    low: float
    high: float

    @classmethod
    def between(cls, sample: Sample, base: Sample) -> Difference | None:
        """Return the difference of a sample to a base, or None if they have no seed in common.

        Examples
        --------
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
class StudyRow:
    """A combination of settings with the accuracies of its seeds.

    Attributes
    ----------
    settings : value of each key
    weights, epochs : of its network and its training
    planned : number of seeds in the study file
    samples : its accuracies, by measure
    """

    settings: Mapping[str, Any]
    weights: int
    epochs: int
    planned: int
    samples: Mapping[Measure, Sample]


@dataclass(frozen=True)
class StudyTable:
    """The combinations of a study, in the order of its file.

    Attributes
    ----------
    title, question : of the study
    data : title of its data, see `polyroots.training.Source`; empty before a run is done
    chosen_on : the images that chose the best epoch, ``"test"`` or ``"validation"``, or both joined by "or" if runs
        differ; empty before a run is done
    keys : settings in which its runs differ, besides the seed
    rows : one a combination
    """

    title: str
    question: str
    data: str
    chosen_on: str
    keys: tuple[str, ...]
    rows: tuple[StudyRow, ...]

    def base_of(self, row: StudyRow, base: Mapping[str, str]) -> StudyRow | None:
        """Return the row that another one is compared with.

        Parameters
        ----------
        row : StudyRow
        base : mapping
            Settings of the base, as text; empty for the first row of the study.

        Returns
        -------
        StudyRow or None
            The row that has the settings of `base` and equals `row` in all others. If there is none, the only row with
            the settings of `base`; None if several have them.
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
            asked = listed(f"{key}={value}" for key, value in base.items())
            raise InputError(f"no row of this study has {asked}; name a row that there is")

    def require_keys(self, keys: Sequence[str]) -> None:
        """Raise InputError if the runs don't differ in one of these settings."""
        for key in keys:
            if key not in self.keys:
                raise unknown_name("setting in which the runs of this study differ", key, self.keys)


def study_table(directory: StudyDirectory) -> StudyTable:
    """Return the table of a study's runs, as far as they are done.

    Parameters
    ----------
    directory : StudyDirectory

    Returns
    -------
    StudyTable

    Raises
    ------
    FileError
        If there is no study, or a result is damaged.

    See Also
    --------
    polyroots.study.formats : the table as text, Markdown, LaTeX and CSV
    """
    plan: Plan = directory.read()
    results = {run.name: _result(directory, run) for run in plan.runs}
    done = [result for result in results.values() if result is not None]
    rows = []
    for runs in plan.by_combination():
        by_seed = {run.config.seed: result for run in runs if (result := results[run.name]) is not None}
        samples = {
            measure: Sample({seed: result.accuracies[measure] for seed, result in by_seed.items()})
            for measure in MEASURES
        }
        rows.append(StudyRow(runs[0].settings, runs[0].weights, runs[0].config.epochs, len(runs), samples))
    return StudyTable(
        plan.title,
        plan.question,
        " and ".join(dict.fromkeys(result.data for result in done)),
        " or ".join(sorted({result.chosen_on for result in done})),
        plan.keys,
        tuple(rows),
    )


class _Result(NamedTuple):
    """What a table shows of a run that is done."""

    accuracies: Mapping[Measure, float]
    data: str
    chosen_on: str


def _result(directory: StudyDirectory, run: PlannedRun) -> _Result | None:
    """Return the result of a run; None before it is done."""
    path = directory.run(run.name).result
    if not path.exists():
        return None
    document = read_json(path, "the result of a run")
    accuracies = dict(zip(MEASURES, accuracies_of(path, document), strict=True))
    return _Result(accuracies, str(document.get("data", "")), str(document.get("chosen_on", "test")))


def _texts(row: StudyRow) -> dict[str, str]:
    return {key: text_of(value) for key, value in row.settings.items()}
