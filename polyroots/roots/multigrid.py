"""Polynomial smoothers for a multilevel hierarchy of pyamg, with roots from the spectrum of each level's matrix.

pyamg [1]_ isn't imported: what is used of a hierarchy are its levels, each with a matrix ``A`` and the smoothers
``presmoother(A, x, b)`` and ``postsmoother(A, x, b)``, which change x in place.

References
----------
.. [1] N. Bell, L. N. Olson, J. Schroder, B. Southworth, PyAMG: Algebraic multigrid solvers in Python, Journal of Open
   Source Software 8 (2023), 5495.
.. [2] M. Adams, M. Brezina, J. Hu, R. Tuminaro, Parallel multigrid smoothing: polynomial versus Gauss-Seidel, Journal
   of Computational Physics 188 (2003), 593-610: the part of a spectrum that polynomial smoothers are to damp.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from polyroots.errors import InputError
from polyroots.polynomials import ResidualPolynomial, Target
from polyroots.roots.select import select_roots
from polyroots.spectra import OperatorSpectrum, operator_eigenvalues

# Steps of Arnoldi's method on each level: with as many unknowns a dense solver is as fast.
_STEPS = 40
# The spectrum reaches beyond Ritz values: those near the rim count a second time, farther out.
_RIM, _MARGIN = 0.9, 1.05
# Up to this degree the monomial coefficients of p keep their digits, and Horner's rule has fewer vector operations.
_HORNER = 3


def change_smoothers(
    hierarchy: Any,
    degree: int = 2,
    strategy: str = "minimax",
    *,
    above: float = 0.2,
    polynomials: Sequence[ResidualPolynomial] | None = None,
    **options: Any,
) -> list[ResidualPolynomial]:
    """Give the levels of a pyamg hierarchy polynomial smoothers, as ``pyamg.relaxation.smoothing.change_smoothers``.

    Before and after the coarse-grid correction of each level, x <- x + p(A) (b - A x), with roots from the eigenvalues
    of the level's A, or from 40 Ritz values of Arnoldi's method, whose rim counts a second time 5 % farther out.

    Parameters
    ----------
    hierarchy : pyamg.multilevel.MultilevelSolver
        Changed in place, but for its coarsest level.
    degree : int
        Degree d of p: a smoothing step takes d + 1 products with A. pyamg's ``chebyshev`` of degree d + 1 has as many.
    strategy : str
        Name of a strategy that takes eigenvalues, see `polyroots.select_roots`.
    above : float
        In [0, 1): damp the eigenvalues whose modulus is above this share of the spectral radius, and leave the others
        to the coarser levels.
    polynomials : sequence of ResidualPolynomial, optional
        One for each level but the coarsest, instead of the choice by degree and strategy.
    **options
        Options of the strategy, see `polyroots.select_roots`.

    Returns
    -------
    list of ResidualPolynomial
        The polynomial of each level, the finest first.

    Raises
    ------
    InputError
        If the hierarchy has no levels with matrices, `above` is not in [0, 1), there are more or fewer polynomials than
        levels to smooth, or a level's spectrum doesn't have the roots (the message begins with the level).

    Examples
    --------
    >>> import pyamg
    >>> A = pyamg.gallery.poisson((40, 40), format="csr")
    >>> hierarchy = pyamg.smoothed_aggregation_solver(A)
    >>> smoothers = change_smoothers(hierarchy, degree=2)
    >>> x = hierarchy.solve(np.ones(1600), tol=1e-8)
    >>> print(np.linalg.norm(1 - A @ x) < 1e-8 * 40)
    True
    """
    levels = getattr(hierarchy, "levels", None)
    if not levels or not all(hasattr(level, "A") for level in levels):
        raise InputError(
            f"expected a hierarchy of pyamg with levels that have a matrix A, got {type(hierarchy).__name__}"
        )
    if not 0 <= above < 1:
        raise InputError(f"above: expected a share of the spectral radius in [0, 1), got {above}")
    smoothed = levels[:-1]
    if polynomials is None:
        polynomials = [
            _choose(level.A, number, degree, strategy, above, options) for number, level in enumerate(smoothed)
        ]
    if len(polynomials) != len(smoothed):
        raise InputError(
            f"expected a polynomial for each of the {len(smoothed)} levels but the coarsest, got {len(polynomials)}"
        )
    for level, q in zip(smoothed, polynomials, strict=True):
        level.presmoother = level.postsmoother = _smoother(q)
    # Polynomials of a symmetric A are symmetric, and so is a cycle with the same ones before and after.
    hierarchy.symmetric_smoothing = True
    return list(polynomials)


def _choose(
    A: Any, number: int, degree: int, strategy: str, above: float, options: dict[str, Any]
) -> ResidualPolynomial:
    """Return the polynomial of a level."""
    try:
        spectrum = operator_eigenvalues(A, steps=_STEPS)
        assert isinstance(spectrum, OperatorSpectrum)
        values = spectrum.values
        values = values[np.abs(values) > above * spectrum.radius]
        if not spectrum.is_complete:
            rim = values[np.abs(values) >= _RIM * spectrum.radius]
            values = np.concatenate([values, _MARGIN * rim])
        # As many roots as there are points make q zero there.
        count = min(degree + 1, Target.of(values).distinct)
        return ResidualPolynomial(select_roots(values, count - 1, strategy, **options))
    except InputError as error:
        raise InputError(f"level {number} of the hierarchy: {error}", fields=error.fields) from error


def _smoother(q: ResidualPolynomial) -> Callable[[Any, Any, Any], None]:
    """Return the function (A, x, b) that smooths x in place."""

    def by_factors(A: Any, x: Any, b: Any) -> None:
        # From zero, a product with A is saved.
        x[...] = q.smooth(A, b, x if x.any() else None)

    def by_horners_rule(A: Any, x: Any, b: Any) -> None:
        r = b - A @ x if x.any() else b
        h = highest * r
        for alpha in others:
            h = A @ h + alpha * r
        x += h

    if q.degree > _HORNER:
        return by_factors
    highest, *others = q.alphas[::-1].tolist()
    return by_horners_rule
