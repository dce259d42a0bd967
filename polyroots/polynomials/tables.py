"""The table of diagnoses; what makes tables is imported when there is one to make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from polyroots.text import share

if TYPE_CHECKING:
    from rich.table import Table


def diagnosis_table(*first: str) -> Table:
    """Return an empty table for `diagnosis_cells` behind other columns."""
    from polyroots.tables import table

    heads = ("max|q|", "mean|q|", "rms", "damped", "smoothing", "|q(A)|", "growth", "best possible")
    less = ("rms", "mean|q|", "growth", "smoothing")
    return table(*first, *heads, left=len(first), less_important=less)


def diagnosis_cells(diagnoses: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the numbers of `Diagnosis` documents, of several the worst, in the order of `diagnosis_table`."""
    from polyroots.tables import number

    def worst(name: str) -> str:
        values = [diagnosis[name] for diagnosis in diagnoses]
        return "-" if None in values else number(max(values))

    damped = [diagnosis["damped"] for diagnosis in diagnoses]
    return [
        *(worst(name) for name in ("max_abs", "mean_abs", "rms")),
        "-" if None in damped else share(min(damped)),
        *(worst(name) for name in ("smoothing_factor", "norm", "growth", "best")),
    ]
