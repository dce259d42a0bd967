"""All strategies on the same operators, the best first."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyroots.errors import PolyrootsError
from polyroots.initialization.operands import OperatorToDamp, choose_for_all
from polyroots.polynomials import Diagnosis, ResidualPolynomial
from polyroots.roots import STRATEGIES, options_of


@dataclass(frozen=True, eq=False)
class Row:
    """What a strategy reaches on every operator; nothing but an error where it has no roots.

    Attributes
    ----------
    strategy : name, or ``"as it is"`` for the coefficients that a network has
    blocks : block sequence of its roots on the first operator, empty with an error
    roots : one array for each operator
    diagnoses : one for each operator
    error : why it has no roots; empty if it has
    """

    strategy: str
    blocks: tuple[str, ...] = ()
    roots: tuple[NDArray[np.complex128], ...] = ()
    diagnoses: tuple[Diagnosis, ...] = ()
    error: str = ""

    @property
    def max_abs(self) -> float:
        """Largest |q| over all operators, infinite where it is unknown: what rows are ranked by."""
        values = [diagnosis.max_abs for diagnosis in self.diagnoses]
        return max((math.inf if value is None else value for value in values), default=math.inf)


def rank(
    operands: Sequence[OperatorToDamp],
    degree: int | None,
    *,
    seed: int = 7,
    given: Sequence[complex] = (),
    present: Sequence[ResidualPolynomial] = (),
    on_row: Callable[[Row], None] | None = None,
) -> list[Row]:
    """Let every strategy choose roots, and rank them by the largest |q| on the worst operator.

    Parameters
    ----------
    operands : sequence of OperatorToDamp
    degree : int, optional
        Of operators whose blocks don't decide it.
    seed : int
        Of the strategies that draw.
    given : sequence of complex
        Roots by hand, for a row of their own.
    present : sequence of ResidualPolynomial
        One for each operator: a network's coefficients as they are, for a row of their own.
    on_row : callable, optional
        Called with each row as soon as it is done.
    """
    rows = []
    if present:
        diagnoses = (operand.diagnose(q) for operand, q in zip(operands, present, strict=True))
        rows.append(Row("as it is", operands[0].blocks or (), tuple(q.roots for q in present), tuple(diagnoses)))
    for strategy in STRATEGIES:
        if strategy != "given" or given:
            options = {"roots": list(given)} if strategy == "given" else {"seed": seed}
            rows.append(_row(operands, degree, strategy, options))
            if on_row:
                on_row(rows[-1])
    return sorted(rows, key=lambda row: row.max_abs)


def _row(
    operands: Sequence[OperatorToDamp],
    degree: int | None,
    strategy: str,
    options: Mapping[str, Any],
) -> Row:
    options = {name: value for name, value in options.items() if name in options_of(strategy)}
    try:
        choices = choose_for_all(operands, degree, strategy, options)
        diagnoses = [
            operand.diagnose(ResidualPolynomial(choice.roots))
            for operand, choice in zip(operands, choices, strict=True)
        ]
    except PolyrootsError as error:
        return Row(strategy, error=str(error))
    return Row(strategy, choices[0].blocks, tuple(choice.roots for choice in choices), tuple(diagnoses))
