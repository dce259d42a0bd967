"""What the strategies that optimise have in common: the blocks' part of the roots, and when to give up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64

from polyroots.errors import InputError
from polyroots.polynomials import USELESS, Krylov, ResidualPolynomial, Target, join_blocks, remedy
from polyroots.roots.picking import EXTREMAL, ChosenRoots, RootRequest, fit, misfit, natural, pick_kinds, take_all
from polyroots.roots.picking import too_few_points as too_few_distinct
from polyroots.text import count_of, floored

# By how much q of the roots that are returned may miss the optimum, relative and absolute.
_MISSED, _NEGLIGIBLE = 1.01, 1e-8
# Relative to the start: a residual below is rounding.
_NOISE = 1e-13
# Relative: a root as near as this to an eigenvalue can be moved to it.
_BESIDE = 1e-12


@dataclass(frozen=True, eq=False)
class Task:
    """Which roots are to be optimised.

    Attributes
    ----------
    strategy : name
    request : what was asked for
    whole : the spectrum
    target : what the polynomial is over: the spectrum, or that of (A / unit)^2 for blocks S alone
    count : number of roots to choose
    prior : further roots of q that are fixed
    power : 1 or 2, of A
    """

    strategy: str
    request: RootRequest
    whole: Target
    target: Target
    count: int
    prior: tuple[complex, ...] = ()
    power: int = 1

    def require_points(self, available: int) -> None:
        """Raise InputError if there are fewer points than roots."""
        if available >= self.count:
            return
        if self.request.blocks is None:
            raise too_few_distinct(self.request.count, available)
        raise InputError(
            f"blocks {join_blocks(self.request.blocks)} have more roots than there is to damp: fewer of them make q "
            "zero on all distinct non-zero eigenvalues; use fewer blocks"
        )

    def require_useful(self, value: float, what: str, *, proven: bool = False) -> None:
        """Raise InputError if the best that can be reached is no smoother: its roots run away and mean nothing."""
        if value < USELESS:
            return
        reached = f"is {floored(value)} or more (proven)" if proven else f"is {floored(value)}"
        roots = count_of(self.count * self.power, "root")
        if self.prior:
            raise InputError(
                f"'{self.strategy}' has no useful roots here: beside the {count_of(len(self.prior), 'root')} that the "
                f"blocks {join_blocks(self.request.blocks or ())} fix, the least {what} that {roots} can reach "
                f"{reached}; leave the blocks out (the degree alone picks them), or use another strategy such as "
                "'extremal'"
            )
        raise InputError(
            f"'{self.strategy}' has no useful roots here: the least {what} that {roots} can reach {reached}, where "
            f"q = 1 has 1; {remedy(self.whole)}, or another strategy such as 'extremal'"
        )

    def roots(self, krylov: Krylov, s: Float64[np.ndarray, "n+1"], unit: float, why: str = "") -> list[complex]:
        """Roots of a polynomial in coordinates, times a unit, if it has as many as were asked for.

        Raises
        ------
        InputError
            If its leading coefficient is zero, or it is so far below rounding that its roots are lost.
        """
        is_complete = krylov.is_invariant or krylov.degree(s) == self.count
        if not is_complete and np.linalg.norm(s) > _NOISE * krylov.beta:
            fewer = (krylov.degree(s) + len(self.prior)) * self.power
            raise InputError(
                f"the best polynomial with {count_of(self.request.count, 'root')} has {fewer} only: {why}its leading "
                "coefficient is zero, as it is, for example, with an odd number of roots on a spectrum symmetric to 0; "
                f"degree {fewer - 1} has these {fewer}"
            )
        roots = krylov.roots(s) if is_complete else None
        if roots is None or not np.isfinite(roots).all():
            enough = (krylov.reaches(_NEGLIGIBLE) + len(self.prior)) * self.power
            raise InputError(
                f"the best polynomial with {count_of(self.request.count, 'root')} is so small that rounding hides its "
                f"roots; degree {enough - 1} is enough to get below {_NEGLIGIBLE:g}"
            )
        return (unit * roots).tolist()

    def sizes(self, q: ResidualPolynomial) -> Float64[np.ndarray, "n"]:
        """|q| at the points."""
        return np.abs(q(self.target.points))

    def beside(self, roots: list[complex]) -> list[complex]:
        """Move roots that are almost eigenvalues to them: where q is so steep that the last digit decides."""
        points = np.concatenate([self.target.points, self.target.points.conj()])
        nearest = points[np.argmin(np.abs(np.array(roots)[:, None] - points), axis=1)]
        return np.where(np.abs(nearest - roots) <= _BESIDE * np.abs(roots), nearest, roots).tolist()

    def that_reach(
        self, value: float, measure: Callable[[ResidualPolynomial], float], *candidates: list[complex]
    ) -> list[complex]:
        """Return the first roots whose q, fixed ones included, is in float64 what the optimum was.

        Raises
        ------
        InputError
            If there are none.
        """
        for roots in candidates:
            q = ResidualPolynomial([*roots, *self.prior])
            found = measure(q)
            if found <= _MISSED * value + _NEGLIGIBLE:
                return roots
        raise InputError(
            f"'{self.strategy}' can reach {value:.4g} here, but its roots in float64 only {found:.4g}: some are "
            f"too prominent (product of factors 10^{max(q.prominence.max(), 0.0):.0f}); use a lower degree, or 'leja'"
        )


#: Chooses the roots of a task.
Optimiser = Callable[[Task], list[complex]]


def optimise_roots(target: Target, request: RootRequest, optimise: Optimiser, strategy: str) -> ChosenRoots:
    """Optimise the roots that the blocks leave free.

    Blocks of S alone make q a polynomial of A^2. Among others S has the roots of `extremal`; and so has L, where the
    optimum has fewer real roots than there are L. The rest is the optimum beside them.
    """
    blocks = request.blocks
    task = Task(strategy, request, target, target, request.count)
    if blocks is None:
        return natural(_solve(optimise, task))
    if set(blocks) == {"S"}:
        return _optimise_squares(task, blocks, optimise)
    remarks: tuple[str, ...] = ()
    for letters in ("S", "SL"):
        fixed = [letter for letter in blocks if letter in letters]
        prior = _rim(target, fixed)
        free = _solve(optimise, replace(task, count=request.count - len(prior), prior=tuple(prior)))
        if letters == "S" and sum(root.imag == 0 for root in free) < blocks.count("L"):
            if set(blocks) <= set("SL"):
                raise misfit([*prior, *free], blocks)
            continue
        if fixed:
            remarks = (_remark(join_blocks(dict.fromkeys(fixed)), strategy),)
        break
    chosen = fit([*prior, *free], blocks)
    return ChosenRoots(chosen.roots, chosen.blocks, remarks)


def _optimise_squares(task: Task, blocks: tuple[str, ...], optimise: Optimiser) -> ChosenRoots:
    """Optimise over polynomials of A^2, whose roots are to be positive; if they aren't, only the last of them."""
    unit, remarks = task.whole.unit, tuple[str, ...]()
    task = replace(task, target=task.whole.squared(), count=len(blocks), power=2)
    squares = _solve(optimise, task)
    if any(square.imag or square.real < 0 for square in squares) and len(blocks) > 1:
        fixed = [(root / unit) ** 2 for root in _rim(task.whole, blocks[:-1])[::2]]
        squares = [*fixed, *_solve(optimise, replace(task, count=1, prior=tuple(fixed)))]
        remarks = (_remark("S but the last", task.strategy),)
    if any(square.imag or square.real < 0 for square in squares):
        raise InputError(
            f"'{task.strategy}' chooses imaginary roots here, which blocks S can't hold; leave the blocks out, and the "
            "degree alone picks them"
        )
    moduli = [unit * square.real**0.5 for square in squares]
    return ChosenRoots([complex(z) for modulus in moduli for z in (modulus, -modulus)], blocks, remarks)


def _remark(letters: str, strategy: str) -> str:
    return f"blocks {letters} have the roots of 'extremal'; '{strategy}' chose the others"


def _rim(target: Target, blocks: Sequence[str]) -> list[complex]:
    """Roots of `extremal` for some of the blocks."""
    if not blocks:
        return []
    target.require_points(f"the choice for blocks {join_blocks(dict.fromkeys(blocks))}")
    return pick_kinds(target, tuple(blocks), EXTREMAL).roots


def _solve(optimise: Optimiser, task: Task) -> list[complex]:
    """Optimise, unless so many roots are all distinct points: then they are the roots."""
    target = task.target
    if len(target.points) and task.strategy != "chebyshev":
        left = np.abs(target.values_of(task.prior)) > 0
        available = int(np.where(target.is_real, 1, 2)[left].sum())
        task.require_points(available)
        if available == task.count:
            return ResidualPolynomial(take_all(target.points[left].tolist())).roots.tolist()
    roots = [complex(root) for root in optimise(task)]
    near = [root for root in roots if abs(root) <= target.tolerance]
    if near:
        raise InputError(
            f"'{task.strategy}' has a root at {abs(near[0]):.1g}, which is zero relative to the spectrum: q(0) = 1 "
            "can't be met beside it; use another strategy or degree"
        )
    return ResidualPolynomial(roots).roots.tolist()
