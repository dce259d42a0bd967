"""Coefficients without a spectrum: the authors' random baselines, and constants.

The authors' code draws a number x for each block. A linear block and a symmetric pair begin with alpha = 1/x, a
quadratic block with (2a - A) / a^2, a = |1/x|, whose q has the double real root a.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

import torch

from polyroots.errors import InputError, unknown_name
from polyroots.polynomials import BLOCKS
from polyroots.text import quoted

Kind = Literal["spectrum", "xavier", "uniform", "constant"]
# float32 still multiplies with numbers of this size, and holds the reciprocals and the squares.
_LARGEST, _NEAR_ZERO = 1e9, 1e-15
_KINDS: tuple[str, ...] = get_args(Kind)


@dataclass(frozen=True)
class AlphaInit:
    """Where a Poly-MgNet's coefficients come from.

    Attributes
    ----------
    kind : ``"spectrum"``, ``"xavier"``, ``"uniform"`` or ``"constant"``
        ``"spectrum"``: roots chosen from the spectrum of A. ``"xavier"``: the authors' draw with x uniform in (-b, b),
        b = sqrt(6 / (c + c)) for c channels. ``"uniform"``: the same with x uniform in (low, high). ``"constant"``: all
        coefficients are the value.
    numbers : tuple of float
        (low, high) of uniform, (value,) of constant.

    Notes
    -----
    L and S have alpha = 1/x. C has a double real root a = |1/x|, alpha0 = 2/a and alpha1 = -1/a^2; R, which the
    authors' code has not, begins with the same quadratic.

    With ``"xavier"`` the blocks of a level share numbers x as in the authors' code: in levels of L alone and of S alone
    all blocks have one; in others the first and the last block have one each, and those between them a third. With
    ``"uniform"`` every block has its own.
    """

    kind: Kind
    numbers: tuple[float, ...] = ()

    def __str__(self) -> str:
        numbers = ",".join(repr(number).removesuffix(".0") for number in self.numbers)
        return f"{self.kind}:{numbers}" if numbers else self.kind

    @classmethod
    def parse(cls, text: str) -> AlphaInit:
        """Read ``spectrum``, ``xavier``, ``uniform``, ``uniform:LOW,HIGH``, ``constant`` or ``constant:VALUE``.

        LOW and HIGH are -1 and 1, VALUE is 1 where they are left out.

        Raises
        ------
        InputError
            If it is none of these.

        Examples
        --------
        >>> AlphaInit.parse("uniform:0,0.5")
        AlphaInit(kind='uniform', numbers=(0.0, 0.5))
        """
        kind, colon, rest = text.partition(":")
        if kind not in _KINDS:
            raise unknown_name("initialisation of the coefficients", kind, _KINDS)
        defaults = {"uniform": (-1.0, 1.0), "constant": (1.0,)}.get(kind, ())
        if not colon:
            return cls(cast("Kind", kind), defaults)
        if not defaults:
            raise InputError(f"'{kind}' takes no numbers, got {quoted(text)}; leave them out")
        try:
            numbers = tuple(float(part) for part in rest.split(","))
        except ValueError:
            numbers = ()
        is_good = len(numbers) == len(defaults) and all(abs(number) <= _LARGEST for number in numbers)
        if kind == "uniform":
            form = f"uniform:LOW,HIGH, {1 / _LARGEST:g} apart at least"
            is_good = is_good and numbers[1] - numbers[0] >= 1 / _LARGEST
        else:
            form = f"constant:VALUE of at least {1 / _LARGEST:g}"
            is_good = is_good and abs(numbers[0]) >= 1 / _LARGEST
        if not is_good:
            raise InputError(f"expected {form} and at most {_LARGEST:g} in modulus, got {quoted(text)}")
        return cls(cast("Kind", kind), numbers)

    @property
    def needs_spectrum(self) -> bool:
        """Whether the coefficients follow from roots that are chosen from a spectrum."""
        return self.kind == "spectrum"

    def require_alone(self, **others: object) -> None:
        """Refuse what only goes with a spectrum.

        Parameters
        ----------
        **others
            Field -> whether it was asked for.

        Raises
        ------
        InputError
            If the coefficients are set without a spectrum, and one of the others was asked for.
        """
        given = [name for name, is_given in others.items() if is_given]
        if given and not self.needs_spectrum:
            raise InputError(
                f"alpha_init '{self}' sets the coefficients without a spectrum; leave {' and '.join(given)} out",
                fields=given,
            )

    def draw(self, blocks: Sequence[str], channels: int) -> list[list[float]]:
        """Draw the coefficients of a level's blocks from torch's global generator.

        Parameters
        ----------
        blocks : sequence of str
            Letters of the level's blocks.
        channels : int
            Channels of the level.

        Returns
        -------
        list of list of float
            For each block its coefficients in the order of its powers.
        """
        if self.kind == "constant":
            return [[self.numbers[0]] * len(BLOCKS[letter].powers) for letter in blocks]
        return [_coefficients(letter, x) for letter, x in zip(blocks, self._starts(blocks, channels), strict=True)]

    def _starts(self, blocks: Sequence[str], channels: int) -> list[float]:
        """Draw the number x of each block."""
        if self.kind == "uniform":
            return _uniform(len(blocks), *self.numbers)
        bound = math.sqrt(6 / (channels + channels))
        if set(blocks) in ({"L"}, {"S"}):
            return _uniform(1, -bound, bound) * len(blocks)
        drawn = _uniform(len(blocks), -bound, bound)
        return [drawn[0], *drawn[1:2] * (len(blocks) - 2), *drawn[1:][-1:]]


def _uniform(count: int, low: float, high: float) -> list[float]:
    """Draw numbers whose reciprocals and squares float32 can hold."""
    x = torch.zeros(count, dtype=torch.float64)
    while (x.abs() < _NEAR_ZERO).any():
        x.uniform_(low, high)
    drawn: list[float] = x.tolist()
    return drawn


def _coefficients(letter: str, x: float) -> list[float]:
    """Return the coefficients of a block from its number x."""
    return [2 * abs(x), -x * x] if len(BLOCKS[letter].powers) > 1 else [1 / x]
