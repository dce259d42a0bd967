"""The strategies that choose roots from a spectrum, one function each; those from the operator are in `from_operator`.

A strategy is a function ``(target, request, **options) -> ChosenRoots``. A new one is written here and entered in
`STRATEGIES`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from polyroots.errors import InputError
from polyroots.polynomials import (
    Target,
    arnoldi,
    blocks_for_degree,
    join_blocks,
    log_distances,
    minimax as minimax_polynomial,
)
from polyroots.roots.chebyshev_ellipse import best_ellipse
from polyroots.roots.fitting import ChosenRoots, RootRequest, completed, fit, natural
from polyroots.roots.from_operator import harmonic_ritz, ideal, numerical_range, require_seed
from polyroots.roots.optimal import OptimisationProblem, optimise_roots
from polyroots.roots.picking import (
    EXTREMAL,
    PickingRule,
    even_degrees,
    farthest,
    outermost,
    pick_eigenvalues,
    pick_kinds,
    too_few_points,
)
from polyroots.text import count_of

Strategy = Callable[..., ChosenRoots]


def extremal(target: Target, request: RootRequest, *, project: bool = True) -> ChosenRoots:
    """Roots at the rim of the spectrum, the choice of Poly-MgNet's Figure 3.

    - Real roots (L, R): the smallest and the largest real part, projected to the real axis; further ones from the real
      parts in Leja order. A single one is the extreme real part of larger modulus.
    - Symmetric pairs (S): +- the modulus of the smallest, then of the largest real part; further ones in Leja order.
    - Conjugate pairs (C): the pair with the largest imaginary part; further ones from the spectrum in Leja order.

    Without blocks there are one or two real roots, and then conjugate pairs. Leja order takes the point with the
    largest product of distances to zero and to all roots before it, in the order of this list.

    With ``project=False`` the roots are eigenvalues: those with the extreme real parts, with their conjugates, then the
    pair with the largest imaginary part; further ones in Leja order.

    References
    ----------
    A. van Betteray, M. Rottmann, K. Kahl, Poly-MgNet, ICPRAM 2025, Figure 3.
    """
    if not project:
        free = pick_eigenvalues(target, RootRequest(request.count), EXTREMAL)
        return free if request.blocks is None else fit(free.roots, request.blocks, request.positive)
    if request.blocks is not None:
        return pick_kinds(target, request.blocks, EXTREMAL, positive=request.positive)
    if request.count > target.distinct:
        raise too_few_points(request.count, target.distinct)
    letters = blocks_for_degree(request.count - 1)
    surplus = max(0, letters.count("C") - int((~target.is_real).sum()))
    blocks = ("L",) * (letters.count("L") + 2 * surplus) + ("C",) * (letters.count("C") - surplus)
    try:
        chosen = pick_kinds(target, blocks, EXTREMAL)
    except InputError:
        if request.count % 2:
            raise
        chosen = pick_eigenvalues(target, request, EXTREMAL)
        remark = "too few real parts are different from zero: eigenvalues are chosen instead"
        return ChosenRoots(chosen.roots, chosen.blocks, (*chosen.remarks, remark))
    return natural(chosen.roots, chosen.remarks)


def real(target: Target, request: RootRequest) -> ChosenRoots:
    """Real roots only: the smallest and the largest real part, further real parts in Leja order, as `extremal` does.

    References
    ----------
    A. van Betteray, M. Rottmann, K. Kahl, Poly-MgNet, ICPRAM 2025: linear blocks, real roots.
    """
    if request.blocks is None:
        chosen = extremal(target, RootRequest(request.count, ("L",) * request.count))
        return natural(chosen.roots, chosen.remarks)
    # C has the coefficients of R: it takes two real roots as well.
    chosen = pick_kinds(target, request.blocks, EXTREMAL, pairs_are_real=True, positive=request.positive)
    return ChosenRoots(chosen.roots, request.blocks, chosen.remarks)


def complex_pairs(target: Target, request: RootRequest) -> ChosenRoots:
    """Conjugate pairs only: the one with the largest imaginary part, further ones in Leja order, as `extremal` does.

    References
    ----------
    A. van Betteray, M. Rottmann, K. Kahl, Poly-MgNet, ICPRAM 2025: quadratic blocks, complex roots.
    """
    pairs = int((~target.is_real).sum())
    if request.count % 2 and 2 * pairs > request.count:
        raise InputError(
            f"degree {request.count - 1} has {count_of(request.count, 'root')}, an odd number, and 'complex' chooses "
            f"conjugate pairs; {even_degrees(request.count)} fits, or the strategy 'extremal'"
        )
    if 2 * pairs < request.count:
        fits = f"degree {2 * pairs - 1} at most, or " if pairs else ""
        raise InputError(
            f"'complex' chooses conjugate pairs, of which the spectrum has {pairs or 'none'}, and degree "
            f"{request.count - 1} has {count_of(request.count, 'root')}; use {fits}the strategy 'extremal'"
        )
    chosen = extremal(target, RootRequest(request.count, ("C",) * (request.count // 2)))
    return chosen if request.blocks is None else fit(chosen.roots, request.blocks)


def largest(target: Target, request: RootRequest) -> ChosenRoots:
    """The eigenvalues of largest modulus, whose error components a Richardson step amplifies most.

    References
    ----------
    Y. Saad, Numerical Methods for Large Eigenvalue Problems, 2nd edition, SIAM 2011, section 4.2 (deflation).
    """
    return pick_eigenvalues(target, request, PickingRule(outermost))


def smallest(target: Target, request: RootRequest) -> ChosenRoots:
    """The non-zero eigenvalues of smallest modulus, whose error components converge slowest, as in deflation.

    References
    ----------
    R. A. Nicolaides, Deflation of conjugate gradients with applications to boundary value problems, SIAM Journal on
    Numerical Analysis 24 (1987), 355-365.
    """
    return pick_eigenvalues(target, request, PickingRule(lambda z, before: -outermost(z, before)))


def leja(target: Target, request: RootRequest) -> ChosenRoots:
    """Leja points of the spectrum: each next root is the eigenvalue with the largest |q| of the roots before it.

    The first is the eigenvalue of largest modulus.

    References
    ----------
    L. Reichel, The application of Leja points to Richardson iteration and polynomial preconditioning, Linear Algebra
    and its Applications 154-156 (1991), 389-414.
    """
    greedy = PickingRule(lambda z, before: log_distances(z, before) if len(before) else outermost(z, before))
    # Real parts can lie near zero even if no eigenvalue does, so picking by kind counts zero among the roots before.
    return pick_eigenvalues(target, request, greedy, by_kind=PickingRule(farthest))


def random(target: Target, request: RootRequest, *, seed: int = 7) -> ChosenRoots:
    """Eigenvalues at random, all distinct ones equally likely, as a baseline for the other strategies."""
    generator = np.random.default_rng(require_seed(seed))
    return pick_eigenvalues(target, request, PickingRule(lambda z, before: generator.random(len(z))))


def given(target: Target, request: RootRequest, *, roots: Sequence[complex] = ()) -> ChosenRoots:
    """Roots given by the user; missing conjugates are added.

    Raises
    ------
    InputError
        If there are none, one is zero relative to the spectrum, or there are more or fewer than the degree asks for.
    """
    values = np.array(completed(roots))
    if not len(values) or not np.isfinite(values).all():
        raise InputError("'given' needs finite roots, such as 0.3 and 0.1+0.2j (conjugates are completed)")
    near = values[np.abs(values) <= target.zero]
    if len(near):
        raise InputError(f"{near[0]:g} can't be a root: relative to the spectral radius {target.radius:.3g} it is zero")
    complete = values.tolist()
    if len(complete) != request.count and request.blocks is not None:
        raise InputError(
            f"blocks {join_blocks(request.blocks)} need {count_of(request.count, 'root')}, and {len(complete)} were "
            "given with their conjugates; leave the blocks out to get blocks that fit the roots"
        )
    if len(complete) != request.count:
        raise InputError(
            f"roots were given for degree {len(complete) - 1} ({count_of(len(complete), 'root')} with conjugates), "
            f"and degree {request.count - 1} was asked for, which has {request.count}; leave the degree out"
        )
    return natural(complete) if request.blocks is None else fit(complete, request.blocks)


def chebyshev(target: Target, request: RootRequest) -> ChosenRoots:
    """Roots of the Chebyshev polynomial of an interval, or of the best ellipse where the spectrum is complex.

    On an interval no polynomial has a smaller max |q|. The best ellipse is the one with the least asymptotic
    convergence factor.

    References
    ----------
    T. A. Manteuffel, The Tchebychev iteration for nonsymmetric linear systems, Numerische Mathematik 28 (1977),
    307-327; G. H. Golub, R. S. Varga, Chebyshev semi-iterative methods, Numerische Mathematik 3 (1961), 147-168.
    """

    def optimise(problem: OptimisationProblem) -> list[complex]:
        points, unit = problem.target.points, problem.target.unit
        if problem.target.holds_zero:
            low, high = points.real.min(), points.real.max()
            raise InputError(
                f"the spectrum has real parts from {low:.3g} to {high:.3g}, not on one side of 0, and so Chebyshev "
                "polynomials don't damp it; use a shifted A, or another strategy such as 'extremal'"
                if problem.power == 1
                else "the eigenvalues of A^2, which blocks S alone work on, are not on one side of 0, and so Chebyshev "
                "polynomials don't damp them; leave the blocks out, or use another strategy such as 'extremal'"
            )
        ellipse = best_ellipse(points / unit)
        if ellipse.factor(points / unit) >= 1:
            raise InputError(
                "no ellipse around the spectrum leaves 0 outside, and so Chebyshev polynomials don't damp it; use "
                "another strategy such as 'minimax' or 'extremal'"
            )
        return (unit * ellipse.roots(problem.count)).tolist()

    return optimise_roots(target, request, optimise, "chebyshev")


def least_squares(target: Target, request: RootRequest) -> ChosenRoots:
    """The roots with the least mean of |q|^2 over the eigenvalues, counted with multiplicity.

    References
    ----------
    Y. Saad, Practical use of polynomial preconditionings for the conjugate gradient method, SIAM Journal on Scientific
    and Statistical Computing 6 (1985), 865-881; on a discrete spectrum: polyroots.polynomials.arnoldi.
    """

    def optimise(problem: OptimisationProblem) -> list[complex]:
        points, weights = problem.target.points / problem.target.unit, problem.target.weights
        krylov = arnoldi(
            lambda x: points * x, np.sqrt(weights) * problem.target.values_of(problem.prior), problem.count
        )
        problem.require_points(krylov.H.shape[1])
        s = krylov.residual(krylov.least())
        reached = float(np.linalg.norm(s))
        problem.require_useful(reached, "root mean square of |q|")
        roots = problem.roots(krylov, s, problem.target.unit)
        return problem.that_reach(
            reached, lambda q: float(np.sqrt(problem.sizes(q) ** 2 @ weights)), roots, problem.beside(roots)
        )

    return optimise_roots(target, request, optimise, "least-squares")


def minimax(target: Target, request: RootRequest) -> ChosenRoots:
    """The roots with the least max |q| over the spectrum.

    References
    ----------
    A. Greenbaum, L. N. Trefethen, GMRES/CR and Arnoldi/Lanczos as matrix approximation problems, SIAM Journal on
    Scientific Computing 15 (1994), 359-368; computed as polyroots.polynomials.minimax describes.
    """

    def optimise(problem: OptimisationProblem) -> list[complex]:
        best = minimax_polynomial(problem.target, problem.count, problem.prior)
        problem.require_points(best.krylov.H.shape[1])
        problem.require_useful(best.value, "max|q|", bound=best.bound)
        roots = problem.roots(best.krylov, best.coordinates, best.unit)
        return problem.that_reach(best.value, lambda q: float(problem.sizes(q).max()), roots, problem.beside(roots))

    return optimise_roots(target, request, optimise, "minimax")


#: The strategies by name.
STRATEGIES: dict[str, Strategy] = {
    "extremal": extremal,
    "real": real,
    "complex": complex_pairs,
    "largest": largest,
    "smallest": smallest,
    "leja": leja,
    "chebyshev": chebyshev,
    "harmonic-ritz": harmonic_ritz,
    "least-squares": least_squares,
    "minimax": minimax,
    "ideal": ideal,
    "numerical-range": numerical_range,
    "random": random,
    "given": given,
}


#: The strategies that work without eigenvalues.
NEED_NO_EIGENVALUES = ("harmonic-ritz", "ideal", "numerical-range", "given")
