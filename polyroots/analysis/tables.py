"""The spectra of a model, and the tables of layers that they are shown as."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.table import Table

from polyroots.display import Shown
from polyroots.spectra import Spectrum, departure_from_normality
from polyroots.tables import dimensions, known, number, table
from polyroots.text import count_of

if TYPE_CHECKING:
    from polyroots.analysis.layers import Layer, LayerResult

#: The text of a layer in a column, such as its name.
Cell = Callable[["Layer"], str]

#: Shares of the eigenvalues whose quantiles a sample is shown by, and the confidence of their intervals.
LEVELS = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
CONFIDENCE = 0.95

_NAMES_OF_PARTS = {"modulus": "modulus", "real": "Re", "imag": "Im"}

ABOUT_CONDITIONS = "condition: largest 1 / |y* x| of an eigenvalue."
ABOUT_DEPARTURES = "departure: Henrici's from normality, relative; 0 is normal."
ABOUT_SINGULAR_VALUES = "stable rank: squared Frobenius norm / squared spectral norm."


def grid_of(layer: Layer) -> str:
    """Return the text of a layer's grid."""
    return dimensions(layer.conv.size)


def name_of(layer: Layer) -> str:
    """Return the name of a layer's weight."""
    return layer.name


def eigenvalues_table(
    results: Sequence[LayerResult], name: Cell = name_of, size: Cell = grid_of
) -> tuple[Table, list[str]]:
    """Return the table of the layers whose eigenvalues are known, with a line on each column that needs one.

    Parameters
    ----------
    results : sequence of LayerResult
        Those without eigenvalues are left out.
    name, size : callable
        The texts of a layer's name and of its grid.
    """
    shown = [result for result in results if result.ends is not None]
    has_conditions = any(result.padding == "zeros" for result in shown)
    has_departures = not has_conditions and any(result.spectrum is not None for result in shown)
    rows = table(
        *("convolution", "shape", "size", "eigenvalues", "radius", "min Re", "max Re", "max Im"),
        *(["condition"] if has_conditions else []),
        *(["departure"] if has_departures else []),
        less_important=("shape", "eigenvalues", "departure", "condition", "max Im"),
    )
    for result in shown:
        ends = result.ends
        assert ends is not None
        rows.add_row(
            name(result.layer),
            dimensions(result.layer.shape),
            size(result.layer),
            f"{_kind_of_values(result)}{result.layer.unknowns:,}",
            known(ends.radius),
            *(known(value, ends.radius) for value in (ends.min_real, ends.max_real, ends.max_imag)),
            *([known(largest_condition(result))] if has_conditions else []),
            *([known(departure(result))] if has_departures else []),
        )
    lines = [ABOUT_CONDITIONS] if has_conditions else []
    return rows, [*lines, *([ABOUT_DEPARTURES] if has_departures else [])]


def _kind_of_values(result: LayerResult) -> str:
    return "" if result.spectrum is not None else "sample of " if result.sample is not None else "ends of "


def quantiles_table(result: LayerResult) -> tuple[Table, list[str]]:
    """Return the table of the quantiles of a layer's sample of eigenvalues, with lines on their confidence."""
    sample = result.sample
    assert sample is not None
    rows = table(f"{result.name}: share", *(f"up to {name}" for name in _NAMES_OF_PARTS.values()))
    columns = [sample.quantiles(LEVELS, part, CONFIDENCE) for part in _NAMES_OF_PARTS]
    for level, *quantiles in zip(LEVELS, *columns, strict=True):
        rows.add_row(
            f"{level:.0%}",
            *(
                f"{number(one.estimate, sample.radius)} [{number(one.low, sample.radius)}, "
                f"{number(one.high, sample.radius)}]"
                for one in quantiles
            ),
        )
    return rows, [
        f"Each interval holds the quantile of all eigenvalues with a confidence of {CONFIDENCE:.0%}; the share of them "
        f"in a region fixed beforehand is known to {sample.share_error(CONFIDENCE):.2f}."
    ]


def singular_values_table(
    results: Sequence[LayerResult], name: Cell = name_of, size: Cell = grid_of
) -> tuple[Table, list[str]]:
    """Return the table of the layers whose singular values are known, with a line on its last column.

    The parameters are those of `eigenvalues_table`.
    """
    rows = table(
        *("convolution", "shape", "size", "stride", "singular values", "norm", "smallest", "condition", "stable rank"),
        less_important=("shape", "singular values", "stride", "stable rank"),
    )
    for result in results:
        summary = result.singular
        if summary is None:
            continue
        rows.add_row(
            name(result.layer),
            dimensions(result.layer.shape),
            size(result.layer),
            dimensions(result.layer.conv.stride),
            "largest only" if result.sigma is None else f"{len(result.sigma):,}",
            known(summary.norm),
            known(summary.smallest, summary.norm),
            known(summary.condition),
            known(summary.stable_rank),
        )
    return rows, [ABOUT_SINGULAR_VALUES]


def largest_condition(result: LayerResult) -> float:
    """Largest known eigenvalue condition; NaN without one."""
    if result.spectrum is not None and result.spectrum.conditions is not None:
        return float(result.spectrum.conditions.max())
    if result.extremes is not None:
        known = [float(x) for end in result.extremes.ends.values() for x in end.conditions if not math.isnan(x)]
        return max(known, default=math.nan)
    return math.nan


def largest_error(result: LayerResult) -> float:
    """Largest estimated error of an eigenvalue; NaN where none is known."""
    if result.spectrum is None or result.spectrum.errors is None:
        return math.nan
    return float(result.spectrum.errors.max())


def departure(result: LayerResult) -> float:
    """Henrici's departure from normality; NaN without all eigenvalues."""
    return math.nan if result.spectrum is None else departure_from_normality(result.spectrum)


@dataclass(frozen=True, eq=False, repr=False)
class ModelSpectra(Shown, Mapping[str, "LayerResult"]):
    """The spectra of a model's convolutions: a mapping of names to layers, which ``print`` shows as tables.

    Attributes
    ----------
    layers : mapping of str to LayerResult
        Results by name, in the order of the modules.
    skipped : mapping of str to str
        Reasons by name, for each other convolution.

    See Also
    --------
    model_spectra
    """

    layers: Mapping[str, LayerResult]
    skipped: Mapping[str, str]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the layers that were analysed."""
        return iter(self.layers)

    def __len__(self) -> int:
        """Return the number of layers that were analysed."""
        return len(self.layers)

    def __getitem__(self, name: str) -> LayerResult:
        """Return the result of a layer by its name."""
        return self.layers[name]

    def __repr__(self) -> str:
        return f"ModelSpectra({count_of(len(self), 'layer')}, {len(self.skipped)} skipped)"

    @property
    def spectra(self) -> dict[str, Spectrum]:
        """Spectra by name, of the layers whose eigenvalues were all computed."""
        return {name: result.spectrum for name, result in self.layers.items() if result.spectrum is not None}

    def parts(self) -> list[str | Table]:
        """Return the tables of eigenvalues and of singular values, remarks, and the layers that were skipped."""
        results = list(self.layers.values())
        shown: list[str | Table] = []
        if any(result.ends is not None for result in results):
            rows, lines = eigenvalues_table(results)
            shown += [rows, *lines]
        for result in results:
            if result.sample is not None:
                rows, lines = quantiles_table(result)
                shown += [rows, *lines]
        if any(result.singular is not None for result in results):
            rows, lines = singular_values_table(results)
            shown += [rows, *lines]
        shown += [f"{result.name}: {result.remark}" for result in results if result.remark]
        if self.skipped:
            reasons = (f"  {name}: {reason}" for name, reason in self.skipped.items())
            shown.append("\n".join([f"Skipped {len(self.skipped)}:", *reasons]))
        return shown
