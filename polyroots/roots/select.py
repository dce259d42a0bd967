"""From a spectrum to the roots of the residual polynomial: the strategies' common entrance."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Complex128
from numpy.typing import ArrayLike

from polyroots.errors import InputError, unknown_name
from polyroots.polynomials import Target, degree_of, parse_blocks, require_degree
from polyroots.roots.picking import ChosenRoots, RootRequest, completed
from polyroots.roots.strategies import NEED_NO_EIGENVALUES, STRATEGIES
from polyroots.spectra import Convolution, Spectrum, whole

DEFAULT_DEGREE = 3


@dataclass(frozen=True, eq=False)
class RootChoice:
    """Roots and how they came about.

    Attributes
    ----------
    roots : (d + 1,) complex128
        In the order of the blocks.
    blocks : block sequence that the roots fit
    strategy : name
    remarks : what was passed over or fixed, a sentence each
    """

    roots: Complex128[np.ndarray, "d+1"]
    blocks: tuple[str, ...]
    strategy: str
    remarks: tuple[str, ...]

    @classmethod
    def of(cls, choice: ChosenRoots, strategy: str, remarks: tuple[str, ...] = ()) -> RootChoice:
        """Complete what a strategy returned."""
        roots = np.array(choice.roots, dtype=np.complex128)
        return cls(roots, choice.blocks, strategy, (*remarks, *choice.remarks))


def select_roots(
    spectrum: Spectrum | Convolution | ArrayLike,
    degree: int | None = None,
    strategy: str = "extremal",
    blocks: str | Iterable[str] | None = None,
    *,
    region: str = "all",
    **options: Any,
) -> Complex128[np.ndarray, "degree+1"]:
    """Choose the roots of a residual polynomial from a spectrum.

    Parameters
    ----------
    spectrum : Spectrum, (N,) array_like of complex, or Convolution
        Eigenvalues; of bare values those in the lower half-plane are reflected, as a real operator's are. An
        `polyroots.spectra.convolution.Operator` alone is enough for ``"harmonic-ritz"``.
    degree : int, optional
        Degree d of p, 3 by default: d + 1 roots are chosen.
    strategy : str
        A name in `polyroots.roots.strategies.STRATEGIES`.
    blocks : str or sequence of str, optional
        A block sequence such as ``"S,S,C"`` that the roots are to fit; it decides the degree.
    region : ``"all"`` or ``"high"``
        Damp the whole spectrum, or the high frequencies only, as a multigrid smoother does.
    **options
        Of the strategy: ``project`` (extremal), ``seed`` (random, harmonic-ritz), ``roots`` (given).

    Returns
    -------
    (degree + 1,) complex128
        Non-zero, closed under conjugation, in the order of the blocks.

    Raises
    ------
    InputError
        If the degree is negative or not the blocks', a name is unknown, the spectrum has too few distinct non-zero
        points or none that fit, or no polynomial of the degree is a smoother there (`harmonic-ritz`, `least-squares`,
        `minimax`); the message says what can be done.

    Examples
    --------
    >>> print(select_roots([1, 2, 3, 4, 2 + 1j, 2 - 1j], degree=3))
    [1.+0.j 4.+0.j 2.+1.j 2.-1.j]
    >>> print(select_roots([1, 3], degree=1, strategy="chebyshev").real.round(4))
    [2.7071 1.2929]
    """
    return choose_roots(spectrum, degree, strategy, blocks, region=region, **options).roots


def choose_roots(
    spectrum: Spectrum | Convolution | ArrayLike | Target,
    degree: int | None = None,
    strategy: str = "extremal",
    blocks: str | Iterable[str] | None = None,
    *,
    region: str = "all",
    **options: Any,
) -> RootChoice:
    """Choose roots as `select_roots` does, and say which blocks they fit and how they came about.

    A `Target` brings its own region.
    """
    require_options(strategy, options)
    target = spectrum if isinstance(spectrum, Target) else Target.of(spectrum, region)
    letters = None if blocks is None else parse_blocks(blocks)
    if letters is not None:
        require_degree(degree, letters)
        count = degree_of(letters) + 1
    elif strategy == "given" and degree is None:
        count = max(1, len(completed(options.get("roots", ()))))
    else:
        count = (DEFAULT_DEGREE if degree is None else whole(degree, "degree")) + 1
        if count < 1:
            raise InputError(f"expected a degree of at least 0, got {degree}")
    if strategy not in NEED_NO_EIGENVALUES:
        target.require_points(f"'{strategy}'")
    return RootChoice.of(STRATEGIES[strategy](target, RootRequest(count, letters), **options), strategy)


def require_strategy(strategy: str) -> None:
    """Raise InputError, with the nearest name, if there is no such strategy."""
    if strategy not in STRATEGIES:
        raise unknown_name("strategy", strategy, STRATEGIES)


def require_options(strategy: str, options: Iterable[str]) -> None:
    """Raise InputError if there is no such strategy, or it has no such option."""
    require_strategy(strategy)
    known = options_of(strategy)
    for name in options:
        if name not in known:
            has = f"its options are {', '.join(known)}" if known else "it has none"
            raise InputError(f"the strategy '{strategy}' has no option '{name}'; {has}")


def options_of(strategy: str) -> tuple[str, ...]:
    """Names of a strategy's options."""
    return tuple(inspect.signature(STRATEGIES[strategy]).parameters)[2:]
