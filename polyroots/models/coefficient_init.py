"""Coefficients without a spectrum: the authors' random baselines, and constants."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, cast, get_args

import torch

from polyroots.errors import InputError, unknown_name

Kind = Literal["spectrum", "xavier", "uniform", "constant"]
# float32 still multiplies with numbers of this size, and holds the reciprocals.
_LARGEST, _NEAR_ZERO = 1e9, 1e-30
_KINDS: tuple[str, ...] = get_args(Kind)


@dataclass(frozen=True)
class AlphaInit:
    """Where a Poly-MgNet's coefficients come from.

    Attributes
    ----------
    kind : ``"spectrum"``, ``"xavier"``, ``"uniform"`` or ``"constant"``
        ``"spectrum"``: roots chosen from the spectrum of A. ``"xavier"``: each coefficient is 1/x with x uniform in
        (-b, b), b = sqrt(6 / (c + c)) for c channels. ``"uniform"``: 1/x with x uniform in (low, high).
        ``"constant"``: all coefficients are the value.
    numbers : tuple of float
        (low, high) of uniform, (value,) of constant.
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
            raise InputError(f"'{kind}' takes no numbers, got {text!r}; leave them out")
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
            raise InputError(f"expected {form} and at most {_LARGEST:g} in modulus, got {text!r}")
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

    def draw(self, powers: int, channels: int) -> list[float]:
        """Draw the coefficients of a block from torch's global generator.

        Parameters
        ----------
        powers : int
            Number of powers in the block's p.
        channels : int
            Channels of the block's A.
        """
        return [self._number(channels) for _ in range(powers)]

    def _number(self, channels: int) -> float:
        if self.kind == "constant":
            return self.numbers[0]
        bound = math.sqrt(6 / (channels + channels))
        low, high = self.numbers or (-bound, bound)
        x = 0.0
        while abs(x) < _NEAR_ZERO:
            x = float(torch.empty((), dtype=torch.float64).uniform_(low, high))
        return 1 / x
