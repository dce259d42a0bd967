"""The roots of blocks from their coefficients, such as those of a trained network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from polyroots.polynomials.blocks import BLOCKS
from polyroots.polynomials.coefficients import roots_of
from polyroots.polynomials.residual import ResidualPolynomial


def roots_of_block(letter: str, alphas: Sequence[float]) -> list[complex]:
    """Return the roots of a block's factor of q.

    Parameters
    ----------
    letter : str
        A letter of `polyroots.polynomials.BLOCKS`.
    alphas : sequence of float
        The block's coefficients in the order of its powers.

    Returns
    -------
    list of complex
        As many as the block has, fewer if its leading coefficient is zero.

    Raises
    ------
    InputError
        If all coefficients are zero: then p = 0 and q = 1 has no roots.
    """
    powers = BLOCKS[letter].powers
    coefficients = np.zeros(max(powers) + 1)
    for power, alpha in zip(powers, alphas, strict=True):
        coefficients[power] = alpha
    # Without the warning of `from_alphas`: a double root, which coefficients may begin with, is ill-conditioned.
    roots: list[complex] = ResidualPolynomial(roots_of(coefficients)).roots.tolist()
    return roots


def polynomial_of_blocks(blocks: Iterable[tuple[str, Sequence[float]]]) -> ResidualPolynomial:
    """Return the residual polynomial of blocks with the same A, each given by its letter and its coefficients.

    Raises
    ------
    InputError
        If all coefficients of a block are zero.
    """
    return ResidualPolynomial([root for letter, alphas in blocks for root in roots_of_block(letter, alphas)])
