"""The common part of the strategies that optimise: roots fixed by the blocks, and errors if no roots are useful."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64

from polyroots.errors import InputError
from polyroots.polynomials import KrylovBasis, ResidualPolynomial, Target, is_useless, join_blocks, remedy
from polyroots.roots.fitting import ChosenRoots, RootRequest, expand_conjugates, fit, misfit, natural
from polyroots.roots.picking import EXTREMAL, pick_kinds, too_few_points
from polyroots.text import count_of, floored

# The measure of q from its roots in float64 may exceed that of the optimum, which is between 0 and 1, by this share of
# its distance from them and by this absolute value.
_MISSED, _NEGLIGIBLE = 0.01, 1e-8
# Relative to the start: a residual of smaller norm is rounding.
_NOISE = 1e-13
# Strategies that measure q elsewhere.
_OFF_THE_SPECTRUM = ("chebyshev", "harmonic-ritz", "ideal", "numerical-range")
# Relative distance within which a root may be moved to an eigenvalue.
_BESIDE = 1e-12


@dataclass(frozen=True, eq=False)
class OptimisationProblem:
    """The roots to be optimised, and the spectrum to optimise them on.

    Attributes
    ----------
    strategy : str
        Name of the strategy, for messages.
    request : RootRequest
        The request of the user.
    whole : Target
        The spectrum of A.
    target : Target
        The spectrum that q is a polynomial on: that of A, or of (A / unit)^2 for blocks S alone.
    count : int
        Number of roots to choose.
    prior : tuple of complex
        Further roots of q, which are fixed.
    power : int
        1, or 2 if q is a polynomial in A^2.
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
            raise too_few_points(self.request.count, available)
        raise InputError(
            f"blocks {join_blocks(self.request.blocks)} have more roots than are needed: fewer make q zero on all "
            "distinct non-zero eigenvalues; use fewer blocks"
        )

    def require_dimension(self, available: int, what: str = "q(A) b is zero for the start b") -> None:
        """Raise InputError if the Krylov space has fewer dimensions than roots; `what` holds with enough of them."""
        if available >= self.count:
            return
        enough = (available + len(self.prior)) * self.power
        raise InputError(
            f"'{self.strategy}' has {count_of(enough, 'root')} here, and {self.request.count} are asked for: with "
            f"these {what}; use degree {enough - 1} or a lower one"
        )

    def require_useful(self, value: float, what: str, *, bound: float | None = None) -> None:
        """Raise InputError if the optimum isn't told from that of q = 1: its roots are arbitrary then.

        Parameters
        ----------
        value : float
            The measure of the optimum.
        what : str
            Name of the measure, for messages.
        bound : float, optional
            A proven lower bound, where the optimum isn't known to all digits.
        """
        if not is_useless(value, value if bound is None else bound):
            return
        reached = f"is {floored(value)}" if bound is None else f"is {floored(bound)} or more (proven)"
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

    def roots(self, krylov: KrylovBasis, s: Float64[np.ndarray, "m"], unit: float, why: str = "") -> list[complex]:
        """Return the roots of the polynomial with the coordinates s, times a unit.

        Raises
        ------
        InputError
            If it has fewer roots than `count` as its leading coefficient is zero, or if it is so small on the spectrum
            that rounding errors hide its roots.
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
            enough = (krylov.roots_to_reach(_NEGLIGIBLE) + len(self.prior)) * self.power
            raise InputError(
                f"the best polynomial with {count_of(self.request.count, 'root')} is so small that rounding hides its "
                f"roots; degree {enough - 1} is enough to get below {_NEGLIGIBLE:g}"
            )
        return (unit * roots).tolist()

    def sizes(self, q: ResidualPolynomial) -> Float64[np.ndarray, "n"]:
        """Return |q| at the points of the target."""
        return np.abs(q(self.target.points))

    def beside(self, roots: list[complex]) -> list[complex]:
        """Return the roots with those next to an eigenvalue moved onto it: a steep q needs their last digit."""
        points = np.concatenate([self.target.points, self.target.points.conj()])
        nearest = points[np.argmin(np.abs(np.array(roots)[:, None] - points), axis=1)]
        return np.where(np.abs(nearest - roots) <= _BESIDE * np.abs(roots), nearest, roots).tolist()

    def that_reach(
        self, value: float, measure: Callable[[ResidualPolynomial], float], *candidates: list[complex]
    ) -> list[complex]:
        """Return the first candidate whose q, fixed roots included, measures in float64 what the optimum does.

        Parameters
        ----------
        value : float
            The measure of the optimum.
        measure : callable
            The norm of q that the strategy minimises.
        *candidates : list of complex
            Roots, the same up to rounding.

        Returns
        -------
        list of complex

        Raises
        ------
        InputError
            If there is none.
        """
        for roots in candidates:
            q = ResidualPolynomial([*roots, *self.prior])
            found = measure(q)
            if found <= value + _MISSED * min(value, 1 - value) + _NEGLIGIBLE:
                return roots
        raise InputError(
            f"'{self.strategy}' can reach {value:.4g} here, but its roots in float64 only {found:.4g}: some are "
            f"too prominent (product of factors 10^{max(q.prominence.max(), 0.0):.0f}); use a lower degree, or 'leja'"
        )


#: A function that returns the optimal roots of a problem.
Optimiser = Callable[[OptimisationProblem], list[complex]]


def optimise_roots(target: Target, request: RootRequest, optimise: Optimiser, strategy: str) -> ChosenRoots:
    """Return roots that are optimal, as far as the blocks allow.

    Blocks S alone make q a polynomial in A^2, which is optimised as such. Beside other blocks S gets the roots of
    `extremal`, and so does L if the optimum has fewer real roots than there are blocks L. The other roots are optimal
    given these.

    Parameters
    ----------
    target : Target
    request : RootRequest
    optimise : callable
        Returns the optimal roots of an `OptimisationProblem`.
    strategy : str
        Name of the strategy, for messages.

    Returns
    -------
    ChosenRoots

    Raises
    ------
    InputError
        If no polynomial with as many roots is a smoother, or the blocks can't hold the roots.
    """
    blocks = request.blocks
    problem = OptimisationProblem(strategy, request, target, target, request.count)
    if blocks is None:
        return natural(_solve(optimise, problem))
    if set(blocks) == {"S"}:
        return _optimise_squares(problem, blocks, optimise)
    remarks: tuple[str, ...] = ()
    for letters in ("S", "SL"):
        fixed = [letter for letter in blocks if letter in letters]
        positive = tuple(flag for letter, flag in zip(blocks, request.positive, strict=False) if letter in letters)
        prior = _rim(target, fixed, positive)
        free = _solve(optimise, replace(problem, count=request.count - len(prior), prior=tuple(prior)))
        fits = sum(root.imag == 0 for root in free) >= blocks.count("L")
        if fits and letters == "S" and sum(root.imag == 0 < root.real for root in free) < sum(request.positive):
            if set(blocks) <= set("SL"):
                break
            continue
        if letters == "S" and not fits:
            if set(blocks) <= set("SL"):
                raise misfit([*prior, *free], blocks)
            continue
        if fixed:
            remarks = (_remark(join_blocks(dict.fromkeys(fixed)), strategy),)
        break
    chosen = fit([*prior, *free], blocks, request.positive)
    return ChosenRoots(chosen.roots, chosen.blocks, remarks)


def _optimise_squares(problem: OptimisationProblem, blocks: tuple[str, ...], optimise: Optimiser) -> ChosenRoots:
    """Optimise over polynomials in A^2, whose roots have to be positive; if they aren't, optimise the last one only."""
    unit, remarks = problem.whole.unit, tuple[str, ...]()
    problem = replace(problem, target=problem.whole.squared(), count=len(blocks), power=2)
    squares = _solve(optimise, problem)
    if any(square.imag or square.real < 0 for square in squares) and len(blocks) > 1:
        fixed = [(root / unit) ** 2 for root in _rim(problem.whole, blocks[:-1])[::2]]
        squares = [*fixed, *_solve(optimise, replace(problem, count=1, prior=tuple(fixed)))]
        remarks = (_remark("S but the last", problem.strategy),)
    if any(square.imag or square.real < 0 for square in squares):
        raise InputError(
            f"'{problem.strategy}' chooses imaginary roots here, which blocks S can't hold; leave the "
            "blocks out to get some that can"
        )
    moduli = [unit * square.real**0.5 for square in squares]
    return ChosenRoots([complex(z) for modulus in moduli for z in (modulus, -modulus)], blocks, remarks)


def _remark(letters: str, strategy: str) -> str:
    """Return the remark that some blocks have the roots of `extremal`."""
    return f"blocks {letters} have the roots of 'extremal'; '{strategy}' chose the others"


def _rim(target: Target, blocks: Sequence[str], positive: tuple[bool, ...] = ()) -> list[complex]:
    """Return the roots of `extremal` for some of the blocks, positive ones where they have to be."""
    if not blocks:
        return []
    target.require_points(f"the choice for blocks {join_blocks(dict.fromkeys(blocks))}")
    return pick_kinds(target, tuple(blocks), EXTREMAL, positive=positive).roots


def _solve(optimise: Optimiser, problem: OptimisationProblem) -> list[complex]:
    """Return the optimal roots: all distinct points if there are as many of them as roots.

    That is so where |q| is measured on the spectrum. Of a defective A, q(A) isn't zero if q is zero on the spectrum.
    """
    target = problem.target
    if len(target.points) and problem.strategy not in _OFF_THE_SPECTRUM:
        left = np.abs(target.values_of(problem.prior)) > 0
        available = int(np.where(target.is_real, 1, 2)[left].sum())
        problem.require_points(available)
        if available == problem.count:
            return ResidualPolynomial(expand_conjugates(target.points[left].tolist())).roots.tolist()
    roots = [complex(root) for root in optimise(problem)]
    near = [root for root in roots if abs(root) <= target.zero]
    if near:
        raise InputError(
            f"'{problem.strategy}' has a root at {abs(near[0]):.1g}, which is zero relative to the spectrum and so "
            "contradicts q(0) = 1; use another strategy or degree"
        )
    return ResidualPolynomial(roots).roots.tolist()
