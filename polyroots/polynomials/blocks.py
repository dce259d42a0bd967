"""Factors of the residual polynomial q, each applied by one block of a network in real arithmetic.

A block sequence such as "L,L,C" names the factors of a level. The blocks R and C have the same two coefficients, so
both take two real roots as well as a conjugate pair.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Complex128

from polyroots.errors import InputError
from polyroots.text import count_of, quoted, shortened

#: The relative tolerance to which a root counts as real and two roots as conjugates of each other.
PAIRING_TOLERANCE = 1e-12

_SMALL = 2.0**-1000

# More than any network or polynomial is trained with; refused before they are built.
_MOST_BLOCKS = 1000


@dataclass(frozen=True)
class Linear:
    """One real root, q(t) = 1 - t / lam, so p = 1 / lam: the block L."""

    lam: float

    letter: ClassVar[str] = "L"
    powers: ClassVar[tuple[int, ...]] = (0,)

    @property
    def roots(self) -> tuple[complex, ...]:
        """The root."""
        return (complex(self.lam),)

    @property
    def coefficients(self) -> tuple[float, ...]:
        """Coefficients of p at the block's `powers`."""
        return (1 / self.lam,)

    def __call__(self, t: Any) -> Any:
        """Return q(t), elementwise, for a number or an array of any shape."""
        # Not 1 - t / lam: numpy divides complex numbers by way of a reciprocal, and 1 - lam / lam would not be 0.
        return _quotient(self.lam - t, self.lam)


@dataclass(frozen=True)
class RealPair:
    """Two real roots, q(t) = (1 - t / l1)(1 - t / l2), so p = 1/l1 + 1/l2 - t / (l1 l2): the block R."""

    l1: float
    l2: float

    letter: ClassVar[str] = "R"
    powers: ClassVar[tuple[int, ...]] = (0, 1)

    @property
    def roots(self) -> tuple[complex, ...]:
        """The two roots."""
        return (complex(self.l1), complex(self.l2))

    @property
    def coefficients(self) -> tuple[float, ...]:
        """Coefficients of p at the block's `powers`."""
        return (1 / self.l1 + 1 / self.l2, -1 / self.l1 / self.l2)

    def __call__(self, t: Any) -> Any:
        """Return q(t), elementwise, for a number or an array of any shape."""
        return _quotient(self.l1 - t, self.l1) * _quotient(self.l2 - t, self.l2)


@dataclass(frozen=True)
class SymmetricPair:
    """Two real roots of opposite sign, q(t) = 1 - t^2 / lam^2, so p = t / lam^2: the block S ("double" block)."""

    lam: float

    letter: ClassVar[str] = "S"
    powers: ClassVar[tuple[int, ...]] = (1,)

    @property
    def roots(self) -> tuple[complex, ...]:
        """The two roots."""
        return (complex(self.lam), complex(-self.lam))

    @property
    def coefficients(self) -> tuple[float, ...]:
        """Coefficients of p at the block's `powers`."""
        return (1 / self.lam / self.lam,)

    def __call__(self, t: Any) -> Any:
        """Return q(t), elementwise, for a number or an array of any shape."""
        return _quotient(self.lam - t, self.lam) * _quotient(self.lam + t, self.lam)


@dataclass(frozen=True)
class ComplexPair:
    """Two roots a +- ib, q(t) = 1 - (2 a t - t^2) / (a^2 + b^2): the block C, in real arithmetic."""

    a: float
    b: float

    letter: ClassVar[str] = "C"
    powers: ClassVar[tuple[int, ...]] = (0, 1)

    @property
    def roots(self) -> tuple[complex, ...]:
        """The two roots."""
        return (complex(self.a, self.b), complex(self.a, -self.b))

    @property
    def coefficients(self) -> tuple[float, ...]:
        """Coefficients of p at the block's `powers`."""
        modulus = math.hypot(self.a, self.b)
        return (2 * (self.a / modulus) / modulus, -1 / modulus / modulus)

    def __call__(self, t: Any) -> Any:
        """Return q(t), elementwise, for a number or an array of any shape."""
        # Scaled by the modulus, so that squares neither overflow nor underflow.
        modulus = math.hypot(self.a, self.b)
        if np.iscomplexobj(t):
            # This product is exactly zero at the roots.
            upper, lower = self.roots
            return _quotient(t - upper, modulus) * _quotient(t - lower, modulus)
        s, re, im = _quotient(t - self.a, modulus), self.a / modulus, self.b / modulus
        return (s * s + im * im) / (re * re + im * im)


Factor = Linear | RealPair | SymmetricPair | ComplexPair

#: The factor that each block is named after, by the block's letter; R and C can apply each other's.
BLOCKS: dict[str, type[Factor]] = {cls.letter: cls for cls in (Linear, RealPair, SymmetricPair, ComplexPair)}


def root_count(letter: str) -> int:
    """Return the number of roots of a block: the degree of its p, plus one."""
    return max(BLOCKS[letter].powers) + 1


def parse_blocks(blocks: str | Iterable[str]) -> tuple[str, ...]:
    """Return the letters of a block sequence such as ``"L,L,C"``.

    Parameters
    ----------
    blocks : str or iterable of str
        Letters of `BLOCKS`, separated by commas if they are one string.

    Returns
    -------
    tuple of str

    Raises
    ------
    InputError
        If a letter is unknown, or there is none.
    """
    try:
        letters = tuple(part.strip() for part in blocks.split(",")) if isinstance(blocks, str) else tuple(blocks)
    except TypeError:
        raise InputError(f"expected a block sequence such as L,L,C, got {quoted(blocks)}") from None
    if len(letters) > _MOST_BLOCKS:
        raise InputError(f"expected {_MOST_BLOCKS:,} blocks at most, got {len(letters):,}")
    for letter in letters:
        if letter not in BLOCKS:
            raise InputError(
                f"unknown block '{shortened(letter, 60)}': expected letters separated by commas, L (linear), "
                "R (real pair), S (symmetric pair), C (complex pair), as in L,L,C"
            )
    if not letters:
        raise InputError("expected at least one block, as in L,L,C")
    return letters


def join_blocks(blocks: Iterable[str]) -> str:
    """Return a block sequence as text for a message, shortened if it is long.

    >>> join_blocks("LLC"), join_blocks("LL" + "C" * 30)
    ('L,L,C', 'L,L,C,C,C,C,C,C,... (32 blocks)')
    """
    letters = tuple(blocks)
    return ",".join(letters) if len(letters) <= 10 else f"{','.join(letters[:8])},... ({len(letters)} blocks)"


def blocks_for_degree(degree: int) -> tuple[str, ...]:
    """Return the block sequence of a degree d: one real root if d + 1 is odd, two if it is even, then pairs.

    >>> [",".join(blocks_for_degree(d)) for d in range(5)]
    ['L', 'L,L', 'L,C', 'L,L,C', 'L,C,C']
    """
    if degree < 0:
        raise InputError(f"expected a degree of at least 0, got {degree}")
    if degree >= 2 * _MOST_BLOCKS:
        raise InputError(f"expected a degree below {2 * _MOST_BLOCKS:,}, got {degree:,}")
    pairs = degree // 2
    return ("L",) * (degree + 1 - 2 * pairs) + ("C",) * pairs


def degree_of(blocks: Iterable[str]) -> int:
    """Return the degree d of p for a block sequence: the number of its roots, minus one."""
    return sum(root_count(letter) for letter in blocks) - 1


def require_degree(degree: int | None, blocks: tuple[str, ...]) -> None:
    """Raise InputError if a degree is given and the block sequence has another one."""
    if degree is not None and degree != degree_of(blocks):
        raise InputError(
            f"degree {degree} does not fit the blocks {join_blocks(blocks)}: they have "
            f"{count_of(degree_of(blocks) + 1, 'root')}, which is degree {degree_of(blocks)}"
        )


def factor_of_block(letter: str, roots: Sequence[complex]) -> Factor:
    """Return the factor of q that a block applies, from its roots.

    Raises
    ------
    InputError
        If the block can't hold these roots.
    """
    if letter == "L":
        (root,) = roots
        return Linear(_real(root, letter))
    if letter == "S":
        lam, other = (_real(root, letter) for root in roots)
        if abs(lam + other) > PAIRING_TOLERANCE * abs(lam):
            raise InputError(f"block S needs two roots of opposite sign, got {lam:g} and {other:g}; use block R")
        return SymmetricPair(abs(lam))
    first, second = (complex(root) for root in roots)
    if abs(first.imag) <= PAIRING_TOLERANCE * abs(first) and abs(second.imag) <= PAIRING_TOLERANCE * abs(second):
        return RealPair(first.real, second.real)
    if abs(first - second.conjugate()) > PAIRING_TOLERANCE * abs(first):
        raise InputError(
            f"block {letter} needs a conjugate pair of roots or two real ones, got {first:g} and {second:g}"
        )
    return ComplexPair(first.real, abs(first.imag))


def factors_from_roots(blocks: Iterable[str], roots: Sequence[complex]) -> tuple[Factor, ...]:
    """Return the factors of q that a block sequence applies, from roots in the order of the blocks.

    Parameters
    ----------
    blocks : str or iterable of str
    roots : sequence of complex
        One after the other for each block, as many as it has.

    Returns
    -------
    tuple of factors
        `Linear`, `RealPair`, `SymmetricPair` or `ComplexPair`, one for each block.

    Raises
    ------
    InputError
        If there are more or fewer roots than the blocks have, or a block can't hold its roots.
    """
    blocks = parse_blocks(blocks)
    needed = sum(root_count(letter) for letter in blocks)
    if len(roots) != needed:
        raise InputError(f"blocks {join_blocks(blocks)} need {needed} roots, got {len(roots)}")
    factors, start = [], 0
    for letter in blocks:
        stop = start + root_count(letter)
        factors.append(factor_of_block(letter, roots[start:stop]))
        start = stop
    return tuple(factors)


def _quotient(value: Any, size: float) -> Any:
    """Return a quotient; numpy's reciprocal of a very small or very large real number overflows or loses digits."""
    if not _SMALL < abs(size) < 1 / _SMALL:
        shift = 2.0**200 if abs(size) < 1 else 2.0**-200
        value, size = value * shift, size * shift
    return value / size


def multiplied(product: Any, factor: Any) -> Any:
    """Return a product of arrays in which zero times an infinite value is zero: a root of q stays one."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.where((product == 0) | (factor == 0), 0, product * factor)


def divided(factors: Iterable[Factor], number: float) -> tuple[Factor, ...]:
    """Return the factors of q(number t): those whose roots are divided by a number."""
    scale = 1 / number
    return tuple(
        replace(factor, **{field.name: getattr(factor, field.name) * scale for field in fields(factor)})
        for factor in factors
    )


def require_relaxation_weight(w: float) -> float:
    """Return a weight of relaxation, or raise InputError unless it is positive and finite."""
    if not 0 < w < math.inf:
        raise InputError(f"expected a positive weight of relaxation, got {w:g}", fields=("relax",))
    return w


def _real(root: complex, letter: str) -> float:
    """Return a real root as a float, or raise InputError."""
    root = complex(root)
    if abs(root.imag) > PAIRING_TOLERANCE * abs(root):
        raise InputError(f"block {letter} needs real roots, got {root:g}; use block C for a conjugate pair")
    return root.real


def pair_conjugates(roots: Complex128[np.ndarray, "n"]) -> list[Linear | ComplexPair]:
    """Return the factors of real roots and of conjugate pairs."""
    tolerance = PAIRING_TOLERANCE * np.abs(roots)
    real = np.abs(roots.imag) <= tolerance
    factors: list[Linear | ComplexPair] = [Linear(float(root.real)) for root in roots[real]]
    lower = list(roots[~real & (roots.imag < 0)])
    for root in roots[~real & (roots.imag > 0)]:
        distance = [abs(root.conj() - other) for other in lower]
        nearest = int(np.argmin(distance)) if distance else -1
        if nearest < 0 or distance[nearest] > PAIRING_TOLERANCE * abs(root):
            raise InputError(f"the roots must be closed under conjugation: {root:g} is without its conjugate")
        lower.pop(nearest)
        factors.append(ComplexPair(float(root.real), float(root.imag)))
    if lower:
        raise InputError(f"the roots must be closed under conjugation: {lower[0]:g} is without its conjugate")
    return factors
