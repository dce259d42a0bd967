"""Roots in the order of the blocks that hold them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from polyroots.arguments import as_array
from polyroots.errors import InputError
from polyroots.polynomials import PAIRING_TOLERANCE, degree_of, join_blocks, root_count
from polyroots.text import count_of, quoted


@dataclass(frozen=True)
class RootRequest:
    """The number of roots to choose, and the blocks that they are to fit.

    Attributes
    ----------
    count : int
        Number of roots.
    blocks : tuple of str or None
        None if the blocks may follow from the roots.
    positive : tuple of bool
        For each block L whether its root has to be positive; empty if none has to.
    """

    count: int
    blocks: tuple[str, ...] | None = None
    positive: tuple[bool, ...] = ()

    def has_signs(self, roots: Sequence[complex]) -> bool:
        """Whether roots, in the order of the blocks, are positive where they have to be."""
        if self.blocks is None or not any(self.positive):
            return True
        starts = np.cumsum([0, *map(root_count, self.blocks[:-1])])
        return all(roots[start].real > 0 for start in starts[np.array(self.positive)])


@dataclass(frozen=True)
class ChosenRoots:
    """Roots in the order of their blocks.

    Attributes
    ----------
    roots : list of complex
    blocks : tuple of str
    remarks : tuple of str
        Sentences on roots that were chosen otherwise than the strategy says.
    """

    roots: list[complex]
    blocks: tuple[str, ...]
    remarks: tuple[str, ...] = ()


def natural(roots: Sequence[complex], remarks: Iterable[str] = ()) -> ChosenRoots:
    """Return roots with their natural blocks: one or two real roots as L, further ones as R, conjugate pairs as C.

    For two and for four roots these are the blocks L,L and L,L,C of the paper, if there are enough real roots.
    """
    reals = [root for root in roots if root.imag == 0]
    pairs = [root for root in roots if root.imag > 0]
    singles = min(len(reals), 2 - len(reals) % 2)
    blocks = ("L",) * singles + ("R",) * ((len(reals) - singles) // 2) + ("C",) * len(pairs)
    return ChosenRoots(expand_conjugates([*reals, *pairs]), blocks, tuple(remarks))


def fit(roots: Sequence[complex], blocks: tuple[str, ...], positive: tuple[bool, ...] = ()) -> ChosenRoots:
    """Return roots in the order of the blocks that hold them.

    L holds a real root, S a pair +-lambda, R and C two real roots or a conjugate pair. Blocks L with `positive` take
    positive roots as far as there are any.

    Raises
    ------
    InputError
        If the blocks can't hold the roots.
    """
    reals = [root for root in roots if root.imag == 0]
    pairs = [root for root in roots if root.imag > 0]
    slots: dict[int, list[complex]] = {}
    wanted = [index for index, is_positive in enumerate(positive) if is_positive]
    # The blocks with the strictest demands choose first.
    for letter in "SLCR":
        for index in sorted((i for i, other in enumerate(blocks) if other == letter), key=lambda i: i not in wanted):
            if index in wanted:
                # A stable sort: the order of the roots stays otherwise.
                reals.sort(key=lambda root: root.real <= 0)
            slots[index] = _for_block(letter, reals, pairs)
    is_full = all(len(slots[index]) == root_count(letter) for index, letter in enumerate(blocks))
    if len(roots) != degree_of(blocks) + 1 or not is_full:
        raise misfit(roots, blocks)
    return ChosenRoots([root for index in range(len(blocks)) for root in slots[index]], blocks)


def _for_block(letter: str, reals: list[complex], pairs: list[complex]) -> list[complex]:
    """Remove and return roots that a block can hold, preferably pairs for C and reals for R; empty if none fit."""
    if letter == "S":
        return _symmetric(reals)
    if letter == "L":
        return [reals.pop(0)] if reals else []
    if pairs and (letter == "C" or len(reals) < 2):
        return expand_conjugates([pairs.pop(0)])
    return [reals.pop(0), reals.pop(0)] if len(reals) >= 2 else []


def misfit(roots: Sequence[complex], blocks: tuple[str, ...]) -> InputError:
    """Return the error for roots that blocks can't hold."""
    n_real = sum(root.imag == 0 for root in roots)
    n_pairs = (len(roots) - n_real) // 2
    what = " and ".join(
        count_of(number, name) for number, name in ((n_real, "real root"), (n_pairs, "conjugate pair")) if number
    )
    return InputError(
        f"the blocks {join_blocks(blocks)} can't hold the chosen roots, {what}; leave the blocks out to get "
        "some that can"
    )


def expand_conjugates(points: Iterable[complex]) -> list[complex]:
    """Return points of the upper half-plane, each followed by its conjugate if it isn't real."""
    return [z for point in points for z in ([point, point.conjugate()] if point.imag else [point])]


def completed(roots: ArrayLike) -> list[complex]:
    """Return roots with missing conjugates added and nearly real ones made real.

    Parameters
    ----------
    roots : (n,) array_like of complex

    Raises
    ------
    InputError
        If `roots` are not numbers.
    """
    try:
        values = as_array(roots).astype(np.complex128).ravel().tolist()
    except (TypeError, ValueError):
        raise InputError(f"expected roots as real or complex numbers, got {quoted(roots)}") from None
    complete: list[complex] = []
    waiting: list[complex] = []
    for value in values:
        tolerance = PAIRING_TOLERANCE * abs(value)
        if abs(value.imag) <= tolerance:
            complete.append(complex(value.real))
            continue
        partner = next((other for other in waiting if abs(value.conjugate() - other) <= tolerance), None)
        if partner is not None:
            waiting.remove(partner)
        else:
            waiting.append(value)
            complete.append(complex(value.real, abs(value.imag)))
    return expand_conjugates(complete)


def _symmetric(reals: list[complex]) -> list[complex]:
    """Remove and return a pair +-lambda from real roots; empty if there is none."""
    for root in reals:
        for other in reals:
            if root.real > 0 and abs(root + other) <= 1e-7 * abs(root):
                reals.remove(root)
                reals.remove(other)
                modulus = (root.real - other.real) / 2
                return [complex(modulus), complex(-modulus)]
    return []
