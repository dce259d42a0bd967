"""All strategies on the same operators, the best first."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Complex128

from polyroots.errors import PolyrootsError
from polyroots.initialization.operators import OperatorToDamp, choose_for_all
from polyroots.polynomials import Diagnosis, ResidualPolynomial
from polyroots.roots import NOT_RELAXED, STRATEGIES, Relaxation, options_of


@dataclass(frozen=True, eq=False)
class RankedStrategy:
    """Roots and diagnoses of a strategy on every operator, or the error for which it has none.

    Attributes
    ----------
    strategy : str
        Name, or ``"as it is"`` for the coefficients that a network has.
    blocks : tuple of str
        Block sequence of the roots on the first operator; empty with an error.
    roots : tuple of (n,) complex128
        One array for each operator.
    diagnoses : tuple of Diagnosis
        One for each operator.
    error : str
        Why the strategy has no roots; empty if it has.
    """

    strategy: str
    blocks: tuple[str, ...] = ()
    roots: tuple[Complex128[np.ndarray, "_"], ...] = ()
    diagnoses: tuple[Diagnosis, ...] = ()
    error: str = ""

    @property
    def max_abs(self) -> float:
        """Largest |q| over all operators, infinite where it is unknown; strategies are ranked by it."""
        values = [diagnosis.max_abs for diagnosis in self.diagnoses]
        return max((math.inf if value is None else value for value in values), default=math.inf)


def rank(
    operators: Sequence[OperatorToDamp],
    degree: int | None,
    *,
    seed: int = 7,
    given: Sequence[complex] = (),
    present: Sequence[ResidualPolynomial] = (),
    relaxation: Relaxation = NOT_RELAXED,
    on_row: Callable[[RankedStrategy, int, int], None] | None = None,
) -> list[RankedStrategy]:
    """Return what every strategy reaches, ranked by the largest |q| on the worst operator.

    Parameters
    ----------
    operators : sequence of OperatorToDamp
    degree : int or None
        Degree of p for operators without blocks; 3 if it is None.
    seed : int
        Of the strategies that draw.
    given : sequence of complex
        Roots by hand; with some, the strategy ``"given"`` is ranked as well.
    present : sequence of ResidualPolynomial
        One for each operator: a network's coefficients as they are, which are then ranked as well.
    relaxation : Relaxation, optional
        Of all strategies' roots.
    on_row : callable, optional
        Called after each strategy with its result, the number of strategies that are done, and that of all.

    Returns
    -------
    list of RankedStrategy
        The best strategy first.
    """
    rows = []
    if present:
        diagnoses = (operator.diagnose(q) for operator, q in zip(operators, present, strict=True))
        rows.append(
            RankedStrategy("as it is", operators[0].blocks or (), tuple(q.roots for q in present), tuple(diagnoses))
        )
    names = [name for name in STRATEGIES if name != "given" or given]
    for done, strategy in enumerate(names, 1):
        options = {"roots": list(given)} if strategy == "given" else {"seed": seed}
        rows.append(_ranked(operators, degree, strategy, options, relaxation))
        if on_row:
            on_row(rows[-1], done, len(names))
    return sorted(rows, key=lambda row: row.max_abs)


def _ranked(
    operators: Sequence[OperatorToDamp],
    degree: int | None,
    strategy: str,
    options: Mapping[str, Any],
    relaxation: Relaxation,
) -> RankedStrategy:
    """Return what one strategy reaches, with those of the options that it has."""
    options = {name: value for name, value in options.items() if name in options_of(strategy)}
    try:
        choices = choose_for_all(operators, degree, strategy, options, relaxation)
        diagnoses = [
            operator.diagnose(ResidualPolynomial(choice.roots), strategy)
            for operator, choice in zip(operators, choices, strict=True)
        ]
    except PolyrootsError as error:
        return RankedStrategy(strategy, error=str(error))
    return RankedStrategy(strategy, choices[0].blocks, tuple(choice.roots for choice in choices), tuple(diagnoses))
