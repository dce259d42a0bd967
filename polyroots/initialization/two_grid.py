"""Two-grid factors of the levels of a network, each with the next one, and of the layers of a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from polyroots.errors import InputError
from polyroots.initialization.operators import OperatorToDamp
from polyroots.initialization.report import InitReport, LevelReport
from polyroots.initialization.request import OnProgress


@dataclass(frozen=True)
class LevelTwoGrid:
    """Two-grid factor of the polynomial of one level or layer.

    Attributes
    ----------
    level : int
        Number of the level, or of the layer of a file, from 1.
    title : str
        Name in messages.
    coarse : str
        The coarse operator: the next level's A, ``"R A P"`` for Galerkin's, or the stencil for twice the mesh size,
        such as ``"A/4"``.
    radius : float or None
        Spectral radius, the two-grid convergence factor; None with a reason.
    norm : float or None
        The largest factor by which one cycle multiplies an error.
    ideal : float or None
        The smoothing factor to the number of steps, the factor of an ideal coarse-grid correction.
    null : int
        Number of null vectors of A, which are left out.
    reason : str
        Why there is no factor; empty if there is one.
    """

    level: int
    title: str
    coarse: str
    radius: float | None = None
    norm: float | None = None
    ideal: float | None = None
    null: int = 0
    reason: str = ""


def two_grids(
    operators: Sequence[OperatorToDamp],
    report: InitReport,
    transfers: Sequence[tuple[Any, Any]] | None,
    steps: tuple[int, int],
    on_progress: OnProgress,
) -> tuple[LevelTwoGrid, ...]:
    """Return two-grid factors of each level of a network with the next one, or of each layer of a file.

    The polynomial of a level is the smoother. A network's R restricts, the transpose of its Pi prolongs because no
    network returns to the finer level, and the coarse operator is the next level's A or Galerkin's. Layers of a file
    have full weighting and bilinear interpolation, and the coarse operator is re-discretised or Galerkin's.

    Parameters
    ----------
    operators : sequence of OperatorToDamp
        With circular padding.
    report : InitReport
        On their polynomials.
    transfers : sequence of (Conv2d, Conv2d), or None
        R and Pi between a network's levels; None for the layers of a file.
    steps : (int, int)
        Number of smoothing steps before and after the correction.
    on_progress : callable
        Called with what is being computed, how many are done, and how many there are.

    Returns
    -------
    tuple of LevelTwoGrid
        Two for each level or layer, or one with the reason why there is none.

    See Also
    --------
    polyroots.two_grid : the analysis of one operator.
    """
    tasks = [
        (operator, level, arguments)
        for operator, level in zip(operators, report.levels, strict=True)
        for arguments in (_of_layer() if transfers is None else _of_level(operators, operator, transfers))
    ]
    rows: list[LevelTwoGrid] = []
    for done, (operator, level, arguments) in enumerate(tasks, 1):
        row = _row(operator, level, arguments, steps)
        if not row.reason or row not in rows:
            rows.append(row)
        on_progress("two grids", done, len(tasks))
    return tuple(rows)


# Title of the coarse operator (or none), restriction, prolongation and coarse operator; or why there is no two-grid.
_Arguments = tuple[str, Any, Any, Any] | str


def _of_layer() -> list[_Arguments]:
    """Return what the stencils of a file are analysed with."""
    return [("", "full-weighting", "bilinear", coarse) for coarse in ("rediscretised", "galerkin")]


def _of_level(
    operators: Sequence[OperatorToDamp], fine: OperatorToDamp, transfers: Sequence[tuple[Any, Any]]
) -> list[_Arguments]:
    """Return what a level of a network is analysed with; nothing for its coarsest level."""
    coarser = [operator for operator in operators if operator.number == fine.number + 1]
    if not coarser:
        return []
    if sum(operator.number == fine.number for operator in operators) > 1:
        return ["its steps have several convolutions A, and a two-grid cycle has one"]
    R, Pi = transfers[fine.number - 1]
    return [(f"A of level {coarser[0].number}", R, Pi, coarser[0].convolution), ("", R, Pi, "galerkin")]


def _row(operator: OperatorToDamp, level: LevelReport, arguments: _Arguments, steps: tuple[int, int]) -> LevelTwoGrid:
    """Return the factor of one operator with one coarse operator."""
    if isinstance(arguments, str):
        return LevelTwoGrid(operator.number, f"level {operator.number}", "", reason=arguments)
    title, R, P, coarse = arguments
    try:
        found = operator.two_grid(level.polynomial, steps, R, P, coarse)
    except InputError as error:
        reason = str(error).removeprefix(f"{operator.title}: ").removeprefix(f"{operator.name}: ")
        return LevelTwoGrid(operator.number, operator.title, "", reason=reason)
    smoothing = level.diagnosis.smoothing_factor
    return LevelTwoGrid(
        operator.number,
        operator.title,
        title or found.coarse,
        found.radius,
        found.norm,
        None if smoothing is None else smoothing ** sum(steps),
        found.null,
    )
