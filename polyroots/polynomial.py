r"""The residual polynomial q and the smoothing polynomial p, in factors of one or two real or conjugate roots.

A smoother u <- u + p(A) (f - A u) multiplies the residual by q(A), q(t) = 1 - t p(t) = prod_i (1 - t / lambda_i), so
q(0) = 1. *Degree* always means d, the degree of p; q then has d + 1 roots. Everything stays in factors: monomial
coefficients lose their digits as the degree grows, factors in Leja order don't [1]_.

References
----------
.. [1] L. Reichel, The application of Leja points to Richardson iteration and polynomial preconditioning, Linear Algebra
   and its Applications 154-156 (1991), 389-414.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Complex128, Float64
from numpy.typing import ArrayLike, NDArray

from polyroots.errors import InputError

# A root counts as real, and two roots as conjugates of each other, to this relative accuracy.
_PAIRING_TOLERANCE = 1e-12


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
        """Evaluate q(t)."""
        return 1 - t / self.lam

    @classmethod
    def from_roots(cls, roots: Sequence[complex]) -> Linear:
        """Make the factor from its one real root."""
        (root,) = roots
        return cls(_real(root, cls.letter))


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
        """Evaluate q(t)."""
        return (1 - t / self.l1) * (1 - t / self.l2)

    @classmethod
    def from_roots(cls, roots: Sequence[complex]) -> RealPair:
        """Make the factor from its two real roots."""
        first, second = (_real(root, cls.letter) for root in roots)
        return cls(first, second)


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
        """Evaluate q(t)."""
        return (1 - t / self.lam) * (1 + t / self.lam)

    @classmethod
    def from_roots(cls, roots: Sequence[complex]) -> SymmetricPair:
        """Make the factor from its roots lam and -lam."""
        first, second = (_real(root, cls.letter) for root in roots)
        if abs(first + second) > _PAIRING_TOLERANCE * abs(first):
            raise InputError(f"block S needs two roots of opposite sign, got {first:g} and {second:g}; use block R")
        return cls(abs(first))


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
        """Evaluate q(t)."""
        # Scaled, so that squares neither overflow nor vanish.
        modulus = math.hypot(self.a, self.b)
        s, re, im = (t - self.a) / modulus, self.a / modulus, self.b / modulus
        return (s * s + im * im) / (re * re + im * im)

    @classmethod
    def from_roots(cls, roots: Sequence[complex]) -> ComplexPair:
        """Make the factor from a conjugate pair of roots."""
        first, second = (complex(root) for root in roots)
        if abs(first - second.conjugate()) > _PAIRING_TOLERANCE * abs(first):
            raise InputError(f"block C needs a conjugate pair of roots, got {first:g} and {second:g}")
        return cls(first.real, abs(first.imag))


Factor = Linear | RealPair | SymmetricPair | ComplexPair

#: The blocks by their letter: each applies one factor of q.
BLOCKS: dict[str, type[Factor]] = {cls.letter: cls for cls in (Linear, RealPair, SymmetricPair, ComplexPair)}


def root_count(letter: str) -> int:
    """Number of roots of a block: the degree of its p, plus one."""
    return max(BLOCKS[letter].powers) + 1


def parse_blocks(blocks: str | Iterable[str]) -> tuple[str, ...]:
    """Read a block sequence such as ``"L,L,C"``.

    Raises
    ------
    InputError
        If a letter is no block, or there is none.
    """
    letters = tuple(part.strip() for part in blocks.split(",")) if isinstance(blocks, str) else tuple(blocks)
    for letter in letters:
        if letter not in BLOCKS:
            raise InputError(
                f"unknown block '{letter}': expected letters separated by commas, L (linear), R (real pair), "
                "S (symmetric pair), C (complex pair), as in L,L,C"
            )
    if not letters:
        raise InputError("expected at least one block, as in L,L,C")
    return letters


def join_blocks(blocks: Iterable[str]) -> str:
    """Write a block sequence for a message; a long one is cut.

    >>> join_blocks("LLC"), join_blocks("LL" + "C" * 30)
    ('L,L,C', 'L,L,C,C,C,C,C,C,... (32 blocks)')
    """
    letters = tuple(blocks)
    return ",".join(letters) if len(letters) <= 10 else f"{','.join(letters[:8])},... ({len(letters)} blocks)"


def factors_from_roots(blocks: Iterable[str], roots: Sequence[complex]) -> tuple[Factor, ...]:
    """Give each block of a sequence its roots, which stand in the order of the blocks.

    Raises
    ------
    InputError
        If the number of roots is not the blocks', or a block can't have its roots.
    """
    blocks = parse_blocks(blocks)
    needed = sum(root_count(letter) for letter in blocks)
    if len(roots) != needed:
        raise InputError(f"blocks {join_blocks(blocks)} need {needed} roots, got {len(roots)}")
    factors, start = [], 0
    for letter in blocks:
        stop = start + root_count(letter)
        factors.append(BLOCKS[letter].from_roots(roots[start:stop]))
        start = stop
    return tuple(factors)


class ResidualPolynomial:
    """The residual polynomial q(t) = prod_i (1 - t / lambda_i) with real coefficients, and p(t) = (1 - q(t)) / t.

    Parameters
    ----------
    roots : (d + 1,) array_like of complex
        Finite, non-zero, closed under conjugation, in any order; repeated roots are allowed.

    Raises
    ------
    InputError
        If there is no root, or one is zero, not finite or without its conjugate.

    Examples
    --------
    >>> q = ResidualPolynomial([1, 2, 1 + 1j, 1 - 1j])
    >>> q.degree
    3
    >>> print(q.alphas)
    [ 2.5  -2.5   1.25 -0.25]
    >>> print(q(0.0), q(1.0), q.p(0.0))
    1.0 0.0 2.5
    """

    def __init__(self, roots: ArrayLike) -> None:
        values = np.atleast_1d(np.asarray(roots, dtype=np.complex128)).ravel()
        if values.size == 0:
            raise InputError("a residual polynomial needs at least one root, got none")
        if not np.isfinite(values).all():
            raise InputError("the roots of a residual polynomial must be finite")
        if (values == 0).any():
            raise InputError("zero can't be a root of a residual polynomial: q(0) = 1")
        self._factors = _leja_order(_pair_conjugates(values))

    @property
    def factors(self) -> tuple[Linear | ComplexPair, ...]:
        """Factors of q in modified Leja order: real roots one by one, conjugate pairs together."""
        return self._factors

    @property
    def roots(self) -> Complex128[np.ndarray, "d+1"]:
        """Roots in modified Leja order, conjugates side by side, the one in the upper half-plane first."""
        return np.array([root for factor in self._factors for root in factor.roots], dtype=np.complex128)

    @property
    def degree(self) -> int:
        """Degree d of p; q has degree d + 1."""
        return len(self.roots) - 1

    @property
    def alphas(self) -> Float64[np.ndarray, "d+1"]:
        """Coefficients of p(t) = sum_i alpha_i t^i: for reading and for low degree, evaluation uses the factors."""
        q = np.ones(1)
        for factor in self._factors:
            q = np.convolve(q, [1.0, *(-c for c in factor.coefficients)])
        return -q[1:]

    def __call__(self, z: ArrayLike) -> Any:
        """Evaluate q(z), elementwise; real for real z."""
        z = np.asarray(z)
        q = np.ones_like(z, dtype=np.result_type(z, np.float64))
        for factor in self._factors:
            q = q * factor(z)
        return q

    def p(self, z: ArrayLike) -> Any:
        """Evaluate p(z) = (1 - q(z)) / z, elementwise, without the division: z = 0 is allowed."""
        z = np.asarray(z)
        p = np.zeros_like(z, dtype=np.result_type(z, np.float64))
        q = np.ones_like(p)
        for factor in self._factors:
            # 1 - z (p + q p_j) = (1 - z p)(1 - z p_j) with q = 1 - z p.
            p = p + q * sum(c * z**k for k, c in zip(factor.powers, factor.coefficients, strict=True))
            q = q * factor(z)
        return p

    def __repr__(self) -> str:
        return f"ResidualPolynomial(degree {self.degree}, roots {np.array2string(self.roots, precision=4)})"


def _real(root: complex, letter: str) -> float:
    root = complex(root)
    if abs(root.imag) > _PAIRING_TOLERANCE * abs(root):
        raise InputError(f"block {letter} needs real roots, got {root:g}; use block C for a conjugate pair")
    return root.real


def _pair_conjugates(roots: NDArray[np.complex128]) -> list[Linear | ComplexPair]:
    """Real roots as Linear, the others in conjugate pairs."""
    tolerance = _PAIRING_TOLERANCE * np.abs(roots)
    real = np.abs(roots.imag) <= tolerance
    factors: list[Linear | ComplexPair] = [Linear(float(root.real)) for root in roots[real]]
    lower = list(roots[~real & (roots.imag < 0)])
    for root in roots[~real & (roots.imag > 0)]:
        distance = [abs(root.conj() - other) for other in lower]
        nearest = int(np.argmin(distance)) if distance else -1
        if nearest < 0 or distance[nearest] > _PAIRING_TOLERANCE * abs(root):
            raise InputError(f"the roots must be closed under conjugation: {root:g} is without its conjugate")
        lower.pop(nearest)
        factors.append(ComplexPair(float(root.real), float(root.imag)))
    if lower:
        raise InputError(f"the roots must be closed under conjugation: {lower[0]:g} is without its conjugate")
    return factors


def _leja_order(factors: Sequence[Linear | ComplexPair]) -> tuple[Linear | ComplexPair, ...]:
    """Modified Leja order: each next root is the farthest, in the product of distances, from all before it."""
    remaining = sorted(factors, key=lambda factor: -abs(factor.roots[0]))
    ordered = [remaining.pop(0)]
    while remaining:
        chosen = np.array([root for factor in ordered for root in factor.roots])
        scores = log_distances(np.array([factor.roots[0] for factor in remaining]), chosen)
        ordered.append(remaining.pop(int(np.argmax(scores))))
    return tuple(ordered)


def log_distances(
    candidates: Complex128[np.ndarray, "n"], chosen: Complex128[np.ndarray, "m"]
) -> Float64[np.ndarray, "n"]:
    """Log of the product of a candidate's distances to all chosen points: -inf for a repeated point, no overflow."""
    scores = np.zeros(len(candidates))
    with np.errstate(divide="ignore"):
        for point in chosen:
            scores += np.log(np.abs(candidates - point))
    return scores
