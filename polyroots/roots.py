"""From a spectrum to the roots of the residual polynomial.

A strategy is a function ``(values, blocks) -> roots``: given the eigenvalues (closed under conjugation) and a block
sequence, it returns the roots in the order of the blocks. `STRATEGIES` names them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Complex128
from numpy.typing import ArrayLike, NDArray

from polyroots.errors import InputError, unknown_name
from polyroots.polynomial import join_blocks, log_distances, parse_blocks, root_count
from polyroots.spectrum import Spectrum

# Relative to the spectral radius: what is closer to zero counts as zero, what is closer to the real axis as real, and
# what is closer to each other as equal. A defective double eigenvalue is known to sqrt(eps) = 1.5e-8 only.
_RESOLUTION = 1e-7

DEFAULT_DEGREE = 3

Strategy = Callable[[NDArray[np.complex128], tuple[str, ...]], list[complex]]


def select_roots(
    spectrum: Spectrum | ArrayLike,
    degree: int | None = None,
    strategy: str = "extremal",
    blocks: str | Iterable[str] | None = None,
) -> Complex128[np.ndarray, "degree+1"]:
    """Choose the roots of a residual polynomial from a spectrum.

    Parameters
    ----------
    spectrum : Spectrum or (N,) array_like of complex
        Eigenvalues; of bare values those in the lower half-plane are reflected, as a real operator's are.
    degree : int, optional
        Degree d of p, 3 by default: d + 1 roots are chosen.
    strategy : str
        A name in `STRATEGIES`: ``"extremal"``.
    blocks : str or sequence of str, optional
        A block sequence such as ``"S,S,C"`` that the roots are to fit; it decides the degree. By default
        `blocks_for_degree`, with real roots in place of the conjugate pairs that a real spectrum doesn't have.

    Returns
    -------
    (degree + 1,) complex128
        Non-zero, closed under conjugation, in the order of the blocks.

    Raises
    ------
    InputError
        If the degree is negative or not the blocks', the strategy is unknown, or the spectrum has too few distinct
        non-zero points.

    Examples
    --------
    >>> print(select_roots([1, 2, 3, 4, 2 + 1j, 2 - 1j], degree=3))
    [1.+0.j 4.+0.j 2.+1.j 2.-1.j]
    """
    require_strategy(strategy)
    values = np.asarray(spectrum.values if isinstance(spectrum, Spectrum) else spectrum, dtype=np.complex128).ravel()
    if values.size == 0 or not np.isfinite(values).all():
        raise InputError("expected a spectrum of finite eigenvalues, got none or some that are not finite")
    values = values.real + 1j * np.abs(values.imag)

    if blocks is None:
        letters = blocks_for_degree(DEFAULT_DEGREE if degree is None else degree)
        pairs = len(_pick_pairs(values, letters.count("C")))
        letters = _without_pairs(letters, letters.count("C") - pairs)
    else:
        letters = parse_blocks(blocks)
        require_degree(degree, letters)
    return np.array(STRATEGIES[strategy](values, letters), dtype=np.complex128)


def blocks_for_degree(degree: int) -> tuple[str, ...]:
    """Block sequence of a degree: one real root if d + 1 is odd and two if it is even, then conjugate pairs.

    >>> [",".join(blocks_for_degree(d)) for d in range(5)]
    ['L', 'L,L', 'L,C', 'L,L,C', 'L,C,C']
    """
    if degree < 0:
        raise InputError(f"expected a degree of at least 0, got {degree}")
    pairs = degree // 2
    return ("L",) * (degree + 1 - 2 * pairs) + ("C",) * pairs


def degree_of(blocks: Iterable[str]) -> int:
    """Degree d of p for a block sequence: the number of its roots minus one."""
    return sum(root_count(letter) for letter in blocks) - 1


def require_degree(degree: int | None, blocks: tuple[str, ...]) -> None:
    """Raise InputError if a degree is given that is not the block sequence's."""
    if degree is not None and degree != degree_of(blocks):
        raise InputError(
            f"degree {degree} does not fit the blocks {join_blocks(blocks)}: "
            f"they have {degree_of(blocks) + 1} roots, which is degree {degree_of(blocks)}"
        )


def require_strategy(strategy: str) -> None:
    """Raise InputError, with the nearest name, if there is no such strategy."""
    if strategy not in STRATEGIES:
        raise unknown_name("strategy", strategy, STRATEGIES)


def extremal(values: Complex128[np.ndarray, "N"], blocks: tuple[str, ...]) -> list[complex]:
    """Roots at the rim of the spectrum, the choice of Poly-MgNet's Figure 3.

    - Real roots (L, R): the smallest and the largest real part, projected to the real axis; further ones from the real
      parts in Leja order. A single one is the extreme real part of larger modulus.
    - Symmetric pairs (S): +- the modulus of the smallest, then of the largest real part; further ones in Leja order.
    - Conjugate pairs (C): the pair with the largest imaginary part; further ones from the spectrum in Leja order.

    Leja order takes the point with the largest product of distances to all roots before it, in the order of this list,
    and to zero: q(0) = 1, so a root near zero would make q large everywhere else. Points that are relatively zero, or
    equal to one chosen before for the same item of this list, are passed over.

    References
    ----------
    A. van Betteray, M. Rottmann, K. Kahl, Poly-MgNet, ICPRAM 2025, Figure 3.
    """
    radius = float(np.abs(values).max())
    real_parts = np.unique(values.real)
    ends = [real_parts[0], real_parts[-1]]
    n_real = sum(root_count(letter) for letter in blocks if letter in "LR")
    reals = _pick(real_parts, radius, n_real, first=sorted(ends, key=abs)[1:] if n_real == 1 else ends)
    moduli = _pick(
        np.unique(np.abs(real_parts)), radius, blocks.count("S"), first=np.abs(ends), known=reals, partner=np.negative
    )
    pairs = _pick_pairs(values, blocks.count("C"), known=[*reals, *moduli, *(-m for m in moduli)])

    for found, wanted, what in (
        (len(reals), n_real, "distinct non-zero real parts"),
        (len(moduli), blocks.count("S"), "real parts of distinct non-zero modulus"),
        (len(pairs), blocks.count("C"), "distinct conjugate pairs off the real axis"),
    ):
        if found < wanted:
            raise InputError(
                f"blocks {join_blocks(blocks)} need {wanted} {what}, the spectrum has {found}; choose other "
                "blocks or a lower degree"
            )
    real_roots: Iterator[complex] = iter(reals)
    symmetric: Iterator[complex] = iter(moduli)
    upper: Iterator[complex] = iter(pairs)
    roots: list[complex] = []
    for letter in blocks:
        if letter == "S":
            root = next(symmetric)
            roots += [root, -root]
        elif letter == "C":
            root = next(upper)
            roots += [root, root.conjugate()]
        else:
            roots += [next(real_roots) for _ in range(root_count(letter))]
    return roots


#: Every strategy by the name that `select_roots` and ``--roots`` know it by.
STRATEGIES: dict[str, Strategy] = {"extremal": extremal}


def _without_pairs(blocks: tuple[str, ...], surplus: int) -> tuple[str, ...]:
    """Replace the last `surplus` conjugate pairs by two real roots each."""
    kept = blocks.count("C") - surplus
    return ("L",) * (blocks.count("L") + 2 * surplus) + ("C",) * kept


def _pick_pairs(values: Complex128[np.ndarray, "N"], count: int, known: Sequence[complex] = ()) -> list[complex]:
    """At most `count` eigenvalues in the upper half-plane: the largest imaginary part, then Leja order."""
    radius = float(np.abs(values).max())
    upper = values[values.imag > _RESOLUTION * radius]
    first = upper[[np.argmax(upper.imag)]] if len(upper) else upper
    return _pick(upper, radius, count, first, known, partner=np.conj)


def _pick(
    candidates: NDArray[Any],
    radius: float,
    count: int,
    first: Sequence[complex] | NDArray[Any],
    known: Sequence[complex] = (),
    partner: Callable[[Any], Any] | None = None,
) -> list[complex]:
    """At most `count` points: the nearest to each of `first`, then Leja's with respect to zero, `known` and themselves.

    Relatively zero and repeated points are passed over. A point's `partner` (its conjugate, its negative) is chosen
    together with it.
    """
    tolerance = _RESOLUTION * radius
    candidates = candidates[np.abs(candidates) > tolerance]
    chosen: list[complex] = []
    before = np.array([0, *known], dtype=np.complex128)
    while len(chosen) < count and len(candidates):
        if len(chosen) < len(first):
            best = candidates[np.argmin(np.abs(candidates - first[len(chosen)]))]
        else:
            best = candidates[np.argmax(log_distances(candidates, before))]
        chosen.append(complex(best))
        before = np.append(before, [best, partner(best)] if partner else best)
        candidates = candidates[np.abs(candidates - best) > tolerance]
    return chosen
