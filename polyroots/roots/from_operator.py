"""The strategies that choose roots from the operator A itself, not only from its eigenvalues."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from jaxtyping import Float64, Inexact

from polyroots.arguments import whole
from polyroots.errors import ConvergenceError, InputError
from polyroots.polynomials import (
    RangePolygon,
    ResidualPolynomial,
    Target,
    arnoldi,
    ideal as ideal_polynomial,
    minimax as minimax_polynomial,
    norm_on_blocks,
)
from polyroots.roots.fitting import ChosenRoots, RootRequest
from polyroots.roots.optimal import OptimisationProblem, optimise_roots
from polyroots.spectra import Convolution, GeneralOperator, OperatorBlocks, high_frequencies, products_of


def harmonic_ritz(target: Target, request: RootRequest, *, seed: int = 7) -> ChosenRoots:
    """The roots of the GMRES polynomial: harmonic Ritz values of A from Arnoldi's method with a random start.

    The method needs no eigenvalues, takes the non-normality of A into account, and works with any padding. For the
    region of high frequencies the start has no low ones (circular padding only). If A is singular the start is in its
    range, which leaves the null space out unless zero is a defective eigenvalue. For a complex A the residual norm is
    the least among q with real coefficients.

    References
    ----------
    J. A. Loe, R. B. Morgan, Toward efficient polynomial preconditioning for GMRES, Numerical Linear Algebra with
    Applications 29 (2022), e2427; N. M. Nachtigal, L. Reichel, L. N. Trefethen, A hybrid GMRES algorithm for
    nonsymmetric linear systems, SIAM Journal on Matrix Analysis and Applications 13 (1992), 796-825.
    """
    if target.operator is None:
        raise InputError(
            "'harmonic-ritz' needs the operator, eigenvalues alone don't determine it: expected a Spectrum; use the "
            "result of eigenvalues, or 'least-squares'"
        )
    operator, scale = target.operator.normalized()
    A = products_of(operator)
    b = np.random.default_rng(require_seed(seed)).standard_normal(A.shape[0])
    if target.region == "high":
        b = high_frequency_part(b, operator)
    b = b.astype(A.dtype)
    if target.null:
        b = A.matvec(b)
    b /= np.linalg.norm(b)

    def optimise(problem: OptimisationProblem) -> list[complex]:
        # The roots of a problem over A^2 are those of (A / unit)^2.
        unit = scale if problem.power == 1 else (scale / target.unit) ** 2

        def product(x: Inexact[np.ndarray, "N"]) -> Inexact[np.ndarray, "N"]:
            for _ in range(problem.power):
                x = A.matvec(x)
            return x

        start = b
        for root in problem.prior:
            # Fixed roots are real: those of S or their squares, and those of L.
            start = start - product(start) / (root.real / unit)
        krylov = arnoldi(product, start, problem.count)
        problem.require_dimension(krylov.H.shape[1])
        s = krylov.residual(krylov.least())
        reached = float(np.linalg.norm(s))
        problem.require_useful(reached, "residual norm |q(A) b| / |b|")
        roots = problem.roots(krylov, s, unit, "the Hessenberg matrix of Arnoldi's method is singular, ")

        def measure(q: ResidualPolynomial) -> float:
            q = ResidualPolynomial(q.roots / unit)
            return float(np.linalg.norm(b - product(q.smooth(product, b))))

        return problem.that_reach(reached, measure, roots)

    return optimise_roots(target, request, optimise, "harmonic-ritz")


def ideal(target: Target, request: RootRequest) -> ChosenRoots:
    """The roots with the least norm of q(A), the polynomial of ideal GMRES.

    That is the largest norm of q of the symbol over all frequencies, or of the explicit matrix for zero padding. For a
    normal A it is `minimax`. The frequencies are those of the region, and q(A) is taken on the range of a singular A.

    References
    ----------
    A. Greenbaum, L. N. Trefethen, GMRES/CR and Arnoldi/Lanczos as matrix approximation problems, SIAM Journal on
    Scientific Computing 15 (1994), 359-368; computed as polyroots.polynomials.ideal describes.
    """

    def optimise(problem: OptimisationProblem) -> list[complex]:
        blocks, unit = _blocks_of(problem)
        if len(problem.target.points):
            # The norm is at least max |q|, whose least value takes a fraction of the time.
            with suppress(ConvergenceError):
                lower = minimax_polynomial(problem.target, problem.count, problem.prior)
                problem.require_useful(lower.value, "max|q|, and with it the norm of q(A),", bound=lower.bound)
        best = ideal_polynomial(blocks, problem.count, [root.real / unit for root in problem.prior])
        problem.require_dimension(best.krylov.H.shape[1], "q(A) is zero")
        problem.require_useful(best.value, "norm of q(A)", bound=best.bound)
        roots = problem.roots(best.krylov, best.coordinates, unit)
        candidates = [roots, problem.beside(roots)] if len(problem.target.points) else [roots]
        return problem.that_reach(best.value, lambda q: norm_on_blocks(blocks, q, unit), *candidates)

    return optimise_roots(target, request, optimise, "ideal")


def numerical_range(target: Target, request: RootRequest) -> ChosenRoots:
    """The roots with the least max |q| over the numerical range W(A), which bounds the norm of q(A).

    The norm is at most 1 + sqrt(2) times max |q| over W(A). W(A) is taken as a polygon around it with 64 edges, over
    the frequencies of the region and on the range of a singular A.

    References
    ----------
    M. Crouzeix, C. Palencia, The numerical range is a (1 + sqrt(2))-spectral set, SIAM Journal on Matrix Analysis and
    Applications 38 (2017), 649-655.
    """

    def optimise(problem: OptimisationProblem) -> list[complex]:
        blocks, unit = _blocks_of(problem)
        polygon = RangePolygon.of(blocks)
        if polygon.holds_zero:
            raise InputError(
                f"'numerical-range' has no useful roots here: 0 lies in the numerical range of "
                f"A{'^2' if problem.power == 2 else ''}, and q(0) = 1, so that max|q| over it is at least 1; use a "
                "shifted A, or another strategy such as 'ideal'"
            )
        points = unit * polygon.points(problem.count + len(problem.prior))
        outline = Target.of(points)
        best = minimax_polynomial(outline, problem.count, problem.prior)
        if best.krylov.H.shape[1] < problem.count:
            raise InputError(
                f"the numerical range of A is a point, and degree {problem.request.count - 1} has "
                f"{problem.request.count} roots; use degree 0"
            )
        problem.require_useful(best.value, "max|q| over the numerical range", bound=best.bound)
        roots = problem.roots(best.krylov, best.coordinates, best.unit)
        return problem.that_reach(best.value, lambda q: float(np.abs(q(points)).max()), roots)

    return optimise_roots(target, request, optimise, "numerical-range")


def _blocks_of(problem: OptimisationProblem) -> tuple[OperatorBlocks, float]:
    """Return the blocks that q is a polynomial in, over a unit, and this unit."""
    blocks = problem.whole.blocks
    if problem.power == 1:
        return blocks, blocks.scale
    # The roots of a problem over A^2 are those of (A / unit)^2.
    return blocks.squared(), (blocks.scale / problem.whole.unit) ** 2


def require_seed(seed: int) -> int:
    """Return a seed, or raise InputError if it is negative or no whole number."""
    if whole(seed, "seed") < 0:
        raise InputError(f"seed: expected a whole number of at least 0, got {seed}")
    return seed


def high_frequency_part(
    b: Float64[np.ndarray, "N"], operator: Convolution | GeneralOperator
) -> Float64[np.ndarray, "N"]:
    """Return a vector without its low frequencies, those with |theta| < pi / 2 along every axis of the grid."""
    size = operator.grid if isinstance(operator, GeneralOperator) else operator.size
    axes = tuple(range(1, len(size) + 1))
    modes = np.fft.fftn(b.reshape(-1, *size), axes=axes) * high_frequencies(size)
    return np.fft.ifftn(modes, axes=axes).real.ravel()
