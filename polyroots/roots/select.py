"""Choosing the roots of a residual polynomial from a spectrum by the name of a strategy."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Complex128

from polyroots.arguments import whole
from polyroots.errors import InputError, PrecisionWarning, unknown_name
from polyroots.polynomials import (
    Target,
    degree_of,
    factors_from_roots,
    join_blocks,
    parse_blocks,
    relaxed_roots,
    require_degree,
)
from polyroots.roots.fitting import ChosenRoots, RootRequest, completed
from polyroots.roots.relaxation import Relaxation
from polyroots.roots.strategies import NEED_NO_EIGENVALUES, STRATEGIES
from polyroots.spectra import spectrum_or_operator
from polyroots.text import listed, quoted

DEFAULT_DEGREE = 3


@dataclass(frozen=True, eq=False)
class RootChoice:
    """Chosen roots, with their blocks and the strategy that chose them.

    Attributes
    ----------
    roots : (d + 1,) complex128
        In the order of the blocks.
    blocks : tuple of str
        The block sequence that the roots fit.
    strategy : str
        Name of the strategy.
    remarks : tuple of str
        Sentences on candidates that were left out and on roots that were chosen otherwise than the strategy says.
    relaxation : float
        The weight w by which the strategy's roots were divided.
    """

    roots: Complex128[np.ndarray, "n"]
    blocks: tuple[str, ...]
    strategy: str
    remarks: tuple[str, ...]
    relaxation: float = 1.0

    @classmethod
    def of(cls, choice: ChosenRoots, strategy: str, remarks: tuple[str, ...] = ()) -> RootChoice:
        """Return the result of a strategy with its name."""
        roots = np.array(choice.roots, dtype=np.complex128)
        return cls(roots, choice.blocks, strategy, (*remarks, *choice.remarks))

    def has_signs(self, positive: Sequence[bool]) -> bool:
        """Whether the roots of the blocks that need positive ones are positive, see `select_roots`."""
        return RootRequest(len(self.roots), self.blocks, tuple(positive)).has_signs(self.roots.tolist())

    def relaxed(self, relaxation: Relaxation, target: Target) -> RootChoice:
        """Return the choice with its roots moved along their rays."""
        w = relaxation.weight(target, factors_from_roots(self.blocks, self.roots.tolist()))
        return replace(self, roots=relaxed_roots(self.roots, w), relaxation=w * self.relaxation)


def select_roots(
    spectrum: Any,
    degree: int | None = None,
    strategy: str = "extremal",
    blocks: str | Iterable[str] | None = None,
    *,
    region: str = "all",
    relax: str | float = "none",
    positive: Sequence[bool] = (),
    size: int | tuple[int, ...] | None = None,
    **options: Any,
) -> Complex128[np.ndarray, "n"]:
    """Return the roots of a residual polynomial, chosen from a spectrum or for an operator.

    Parameters
    ----------
    spectrum : Spectrum, OperatorSpectrum, (N,) array_like of complex, Convolution, or operator
        Eigenvalues; values in the lower half-plane are reflected into the upper one. Or what `as_operator` takes: a
        square matrix (dense or sparse, real or complex), a ``scipy.sparse.linalg.LinearOperator``, and with a `size` a
        stencil, a function x -> A x or a ``torch.nn.Conv2d``. ``"harmonic-ritz"`` and ``"given"`` use its products
        only; for the others `operator_eigenvalues` computes its eigenvalues, or Ritz values if it is large, which a
        warning says. A `Convolution` is enough for those that need no eigenvalues; of others give its spectrum.
    degree : int, optional
        Degree d of p, 3 by default: d + 1 roots are chosen.
    strategy : str
        A name in `polyroots.roots.STRATEGIES`.
    blocks : str or sequence of str, optional
        A block sequence such as ``"S,S,C"`` that the roots are to fit; it determines the degree.
    region : ``"all"`` or ``"high"``
        Damp the whole spectrum, or the high frequencies only, as a multigrid smoother does.
    relax : str or float
        Divide the roots by a weight w, see `ResidualPolynomial.relaxed`; ``"auto"`` by the largest one up to 1 with
        which the blocks amplify no residual by more than 2 times, ``"auto:BOUND"`` than the bound; by default
        ``"none"``.
    positive : sequence of bool
        For each block whether it is an L that needs a positive root, as those of a network do that rectify twice
        (`polyroots.models.blocks_that_rectify_twice`). Roots by hand are left as they are.
    size : int or tuple of int, optional
        The grid of a stencil or a layer (circular padding), or the size of what a function takes, see `as_operator`.
    **options
        Options of the strategy: ``project`` (extremal), ``seed`` (random, harmonic-ritz), ``roots`` (given).

    Returns
    -------
    (degree + 1,) complex128
        Non-zero, closed under conjugation, in the order of the blocks. They are so for complex operators as well: q
        has real coefficients, and |q| is the same at an eigenvalue and at its conjugate.

    Warns
    -----
    PrecisionWarning
        If Ritz values stand for the eigenvalues of a large operator.

    Raises
    ------
    InputError
        If the operator is none, or not square, or its size is missing, the degree is negative or not that of the
        blocks, `positive` does not go with them, a name or the relaxation is unknown, the spectrum has too few distinct
        non-zero points or none that fit, or no polynomial of the degree is a smoother there (the strategies that
        optimise: ``"chebyshev"``, ``"harmonic-ritz"``, ``"least-squares"``, ``"minimax"``, ``"ideal"``,
        ``"numerical-range"``).
    ConvergenceError
        If the search of ``"minimax"``, ``"ideal"`` or ``"numerical-range"`` doesn't converge, or Lanczos' method fails
        on a large operator.

    See Also
    --------
    polyroots.ResidualPolynomial : the polynomial with these roots.

    Examples
    --------
    >>> print(select_roots([1, 2, 3, 4, 2 + 1j, 2 - 1j], degree=3))
    [1.+0.j 4.+0.j 2.+1.j 2.-1.j]
    >>> print(select_roots([1, 3], degree=1, strategy="chebyshev").real.round(4))
    [2.7071 1.2929]

    Of a sparse matrix, here the Laplacian in one dimension:

    >>> from scipy.sparse import diags_array
    >>> A = diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(50, 50))
    >>> print(select_roots(A, degree=1, strategy="minimax").real.round(2))
    [3.41 0.59]
    """
    known = spectrum
    if not isinstance(spectrum, Target):
        # The roots of some blocks are picked from eigenvalues whatever the strategy.
        needed = strategy not in NEED_NO_EIGENVALUES or (blocks is not None and strategy != "given")
        known = Target.of(spectrum_or_operator(spectrum, size, needs_eigenvalues=needed), region)
    if known.are_ritz_values:
        warnings.warn(f"{known.notes[0]}.", PrecisionWarning, stacklevel=2)
    return choose_roots(known, degree, strategy, blocks, relax=relax, positive=positive, **options).roots


def choose_roots(
    spectrum: Any,
    degree: int | None = None,
    strategy: str = "extremal",
    blocks: str | Iterable[str] | None = None,
    *,
    region: str = "all",
    relax: str | float = "none",
    positive: Sequence[bool] = (),
    **options: Any,
) -> RootChoice:
    """Return roots as `select_roots` does, with their blocks and remarks.

    Parameters
    ----------
    spectrum : Spectrum, OperatorSpectrum, Convolution, GeneralOperator, (N,) array_like of complex, or Target
        With a target `region` is ignored: it has one of its own.
    degree, strategy, blocks, region, relax, positive, **options
        As for `select_roots`.

    Returns
    -------
    RootChoice

    Raises
    ------
    InputError, ConvergenceError
        As `select_roots` does.
    """
    require_options(strategy, options)
    relaxation = Relaxation.parse(relax)
    target = spectrum if isinstance(spectrum, Target) else Target.of(spectrum, region)
    letters = None if blocks is None else parse_blocks(blocks)
    if letters is not None:
        require_degree(degree, letters)
        _require_flags(positive, letters)
        count = degree_of(letters) + 1
    elif strategy == "given" and degree is None:
        count = max(1, len(completed(options.get("roots", ()))))
    else:
        count = (DEFAULT_DEGREE if degree is None else whole(degree, "degree")) + 1
        if count < 1:
            raise InputError(f"expected a degree of at least 0, got {degree}")
    if strategy not in NEED_NO_EIGENVALUES:
        target.require_points(f"'{strategy}'")
    request = RootRequest(count, letters, tuple(positive))
    chosen = STRATEGIES[strategy](target, request, **options)
    if strategy != "given" and not request.has_signs(chosen.roots):
        raise InputError(
            f"'{strategy}' gives a negative root to a block L that rectifies twice and needs a positive one; use "
            "another strategy such as 'extremal', or signs 'paper'",
            fields=("signs",),
        )
    return RootChoice.of(chosen, strategy).relaxed(relaxation, target)


def _require_flags(positive: Sequence[bool], blocks: tuple[str, ...]) -> None:
    """Raise InputError unless there is a flag for each block, or none at all, and those of blocks L alone are set."""
    flags = tuple(positive)
    if not flags:
        return
    if len(flags) != len(blocks) or any(flag and letter != "L" for letter, flag in zip(blocks, flags, strict=True)):
        raise InputError(
            f"positive: expected for each of the blocks {join_blocks(blocks)} whether it is an L that needs a positive "
            f"root, got {quoted(flags)}"
        )


def require_strategy(strategy: str) -> None:
    """Raise InputError if there is no strategy of this name."""
    if strategy not in STRATEGIES:
        raise unknown_name("strategy", strategy, STRATEGIES)


def require_options(strategy: str, options: Iterable[str]) -> None:
    """Raise InputError if there is no strategy of this name, or it lacks one of the options."""
    require_strategy(strategy)
    known = options_of(strategy)
    for name in options:
        if name not in known:
            has = f"its options are {listed(known)}" if known else "it has none"
            raise InputError(f"the strategy '{strategy}' has no option '{name}'; {has}")


def options_of(strategy: str) -> tuple[str, ...]:
    """Return the names of the options of a strategy."""
    return tuple(inspect.signature(STRATEGIES[strategy]).parameters)[2:]
