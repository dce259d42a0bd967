"""All strategies on the same operators, the best first."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from polyroots.diagnosis import Diagnosis
from polyroots.errors import PolyrootsError
from polyroots.levels import Operand, choose_for_all
from polyroots.polynomial import ResidualPolynomial
from polyroots.roots import options_of
from polyroots.strategies import STRATEGIES


@dataclass(frozen=True)
class Row:
    """What a strategy reaches on every operator; nothing but an error where it has no roots.

    Attributes
    ----------
    strategy : name, or ``"as it is"`` for the coefficients that a network has
    blocks : block sequence of its roots, empty with an error
    diagnoses : one for each operator
    error : why it has no roots; empty if it has
    """

    strategy: str
    blocks: tuple[str, ...] = ()
    diagnoses: tuple[Diagnosis, ...] = ()
    error: str = ""

    @property
    def max_abs(self) -> float:
        """Largest |q| over all operators, infinite where it is unknown: what rows are ranked by."""
        values = [diagnosis.max_abs for diagnosis in self.diagnoses]
        return max((math.inf if value is None else value for value in values), default=math.inf)


def rank(
    operands: Sequence[Operand],
    degree: int | None,
    blocks: Sequence[str] | None = None,
    *,
    seed: int = 7,
    present: Sequence[ResidualPolynomial] = (),
    on_row: Callable[[Row], None] | None = None,
) -> list[Row]:
    """Let every strategy choose roots, and rank them by the largest |q| on the worst operator.

    Parameters
    ----------
    operands : sequence of Operand
    degree : int, optional
    blocks : sequence of str, optional
        That the roots are to fit.
    seed : int
        Of the strategies that draw.
    present : sequence of ResidualPolynomial
        One for each operator: a network's coefficients as they are, for a row of their own.
    on_row : callable, optional
        Called with each row as soon as it is done.
    """
    rows = []
    if present:
        diagnoses = (operand.diagnose(q) for operand, q in zip(operands, present, strict=True))
        rows.append(Row("as it is", tuple(blocks or ()), tuple(diagnoses)))
    for strategy in STRATEGIES:
        if strategy != "given":
            rows.append(_row(operands, degree, strategy, blocks, seed))
            if on_row:
                on_row(rows[-1])
    return sorted(rows, key=lambda row: row.max_abs)


def _row(
    operands: Sequence[Operand], degree: int | None, strategy: str, blocks: Sequence[str] | None, seed: int
) -> Row:
    options = {"seed": seed} if "seed" in options_of(strategy) else {}
    try:
        choices = choose_for_all(operands, degree, strategy, blocks, options)
        diagnoses = [
            operand.diagnose(ResidualPolynomial(choice.roots))
            for operand, choice in zip(operands, choices, strict=True)
        ]
    except PolyrootsError as error:
        return Row(strategy, error=str(error))
    return Row(strategy, choices[0].blocks, tuple(diagnoses))
