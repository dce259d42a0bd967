"""The matrices whose direct sum is an operator, on the part of space that a polynomial in it is to damp."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Bool, Inexact, Int

from polyroots.errors import InputError
from polyroots.spectra.convolution import Convolution, norm_bound
from polyroots.spectra.general_operator import GeneralOperator
from polyroots.spectra.matrix import DENSE_LIMIT, explicit_matrix, fits
from polyroots.spectra.symbol_blocks import SymbolBlocks
from polyroots.spectra.values import high_frequencies
from polyroots.threads import chunks, in_threads

# Relative to the norm of A: a smaller singular value isn't told from zero.
_SINGULAR = 8 * float(np.finfo(float).eps)


class OperatorBlocks:
    """The blocks of A / scale, whose direct sum it is up to a unitary similarity.

    With circular padding they are the symbols, for a convolution at half of the frequencies; those at the others are
    the conjugates. With zero padding they are the explicit matrices of the groups, and for other operators the matrix.

    A singular block is restricted to its range, which holds the residuals of solvable equations: q = 1 on the null
    space whatever the roots. A non-zero eigenvalue of the restriction takes the place of the null space, so that all
    blocks have as many rows; it changes neither the norm of q(A) on the range nor the numerical range there.

    Parameters
    ----------
    operator : Convolution or GeneralOperator
        Square.
    region : ``"all"`` or ``"high"``
        Take all frequencies, or those with |theta| >= pi / 2 in a direction.
    is_regular : bool
        Whether A is known to have no null space; otherwise the singular values of all blocks are computed.

    Attributes
    ----------
    scale : float
        A power of two near the largest entry or the norm.
    rows : int
        Rows of a block.
    numbers : (n,) int
        Numbers of the blocks, for `stack`.
    nullity : int
        Dimension of the null space, counted at the frequencies of the blocks.

    Raises
    ------
    InputError
        If the operator is too large for its explicit matrix.
    """

    def __init__(
        self, operator: Convolution | GeneralOperator, region: str = "all", *, is_regular: bool = False
    ) -> None:
        operator.require_square("roots")
        self.operator: Convolution | GeneralOperator
        self.operator, self.scale = operator.normalized()
        self.groups = self.operator.groups if isinstance(self.operator, Convolution) else 1
        self.power, self.nullity = 1, 0
        #: What was computed from the blocks, by what it depends on.
        self.solved: dict[Any, Any] = {}
        self._replaced: dict[int, Inexact[np.ndarray, "_ _"]] = {}
        self._matrices: Inexact[np.ndarray, "k _ _"] | None = None
        if isinstance(self.operator, Convolution) and self.operator.padding == "circular":
            symbols = SymbolBlocks(self.operator)
            self.rows, self._ky, self._kx = symbols.rows, symbols.ky, symbols.kx
            frequencies = np.arange(len(symbols.ky))
            if region == "high":
                (H, W), (rows, columns) = self.operator.size, self.operator.period
                # A frequency of one period stands for those of the grid that have the same symbol.
                by_period = high_frequencies((H, W)).reshape(H // rows, rows, W // columns, columns)
                is_high: Bool[np.ndarray, "rows columns"] = np.any(by_period, axis=(0, 2))
                frequencies = frequencies[is_high[symbols.ky, symbols.kx]]
            self.numbers = (frequencies[:, None] * self.groups + np.arange(self.groups)).ravel()
        else:
            self._matrices = _matrices(self.operator)
            self.rows, self.numbers = self._matrices.shape[1], np.arange(len(self._matrices))
            stencil = getattr(self.operator, "stencil", None)
            if region == "high" and stencil is not None:
                self.numbers = np.flatnonzero(high_frequencies(stencil.size))
        if not is_regular:
            self._restrict_to_range()

    def squared(self) -> OperatorBlocks:
        """Return the blocks of (A / scale)^2."""
        if "squared" not in self.solved:
            blocks = object.__new__(OperatorBlocks)
            vars(blocks).update(vars(self) | {"power": 2, "solved": {}})
            self.solved["squared"] = blocks
        return self.solved["squared"]

    @property
    def norm_bound(self) -> float:
        """An upper bound of the norms of the blocks."""
        operator = self.operator
        bound = operator.norm_bound if isinstance(operator, GeneralOperator) else norm_bound(operator)
        return bound**self.power

    def tasks(self, workers: int | None = None) -> list[Int[np.ndarray, "_"]]:
        """Return the numbers of the blocks, divided into tasks for `polyroots.threads.in_threads`."""
        return self.divided(self.numbers, workers)

    def divided(self, numbers: Int[np.ndarray, "n"], workers: int | None = None) -> list[Int[np.ndarray, "_"]]:
        """Return numbers, one for each of some blocks, divided into tasks."""
        return chunks(numbers, (1, self.rows, self.rows), workers)

    def stack(self, numbers: Int[np.ndarray, "k"]) -> Inexact[np.ndarray, "k rows rows"]:
        """Return some of the blocks, float64 or complex128."""
        blocks: Inexact[np.ndarray, "k _ _"]
        if self._matrices is None:
            assert isinstance(self.operator, Convolution)
            where, inverse = np.unique(numbers // self.groups, return_inverse=True)
            symbols = self.operator.symbol_at(self._ky[where], self._kx[where])
            blocks = symbols[inverse, numbers % self.groups]
        else:
            blocks = self._matrices[numbers]
        if self._replaced:
            blocks = blocks.astype(np.result_type(blocks, *self._replaced.values()))
            for place in np.flatnonzero(np.isin(numbers, list(self._replaced))):
                blocks[place] = self._replaced[int(numbers[place])]
        return blocks if self.power == 1 else blocks @ blocks

    def product(self, x: Inexact[np.ndarray, "N"]) -> Inexact[np.ndarray, "N"]:
        """Return the product of the direct sum of all blocks with a vector."""
        parts = x.reshape(len(self.numbers), self.rows, 1)
        place, products = 0, []
        for numbers in self.tasks():
            products.append(self.stack(numbers) @ parts[place : place + len(numbers)])
            place += len(numbers)
        return np.concatenate(products).ravel()

    def _restrict_to_range(self) -> None:
        """Replace each singular block by its restriction, and leave out those that are zero."""
        least = np.zeros(len(self.numbers))
        largest = np.zeros(len(self.numbers))
        places = np.arange(len(self.numbers))

        def solve(chosen: Int[np.ndarray, "_"]) -> None:
            values = np.linalg.svd(self.stack(self.numbers[chosen]), compute_uv=False)
            largest[chosen], least[chosen] = values[:, 0], values[:, -1]

        in_threads(solve, self.divided(places))
        zero = _SINGULAR * float(largest.max(initial=0.0))
        kept = np.ones(len(self.numbers), dtype=bool)
        for place in np.flatnonzero(least <= zero):
            number = int(self.numbers[place])
            restricted, rank = restriction_to_range(self.stack(self.numbers[place : place + 1])[0], zero)
            self.nullity += self.rows - rank
            kept[place] = rank > 0
            self._replaced[number] = restricted
        self.numbers = self.numbers[kept]


def restriction_to_range(block: Inexact[np.ndarray, "n n"], zero: float) -> tuple[Inexact[np.ndarray, "n n"], int]:
    """Return a matrix on its range, filled to its size by one of its eigenvalues there, and its rank.

    Parameters
    ----------
    block : (n, n) float64 or complex128
    zero : float
        Singular values up to it are zero.

    Returns
    -------
    matrix : (n, n), dtype of `block`, or complex128 if the eigenvalue is complex
    rank : int
    """
    basis, values, _ = np.linalg.svd(block)
    rank = int((values > zero).sum())
    if not rank:
        return block, 0
    basis = basis[:, :rank]
    inside = basis.conj().T @ block @ basis
    eigenvalues = np.linalg.eigvals(inside)
    # A real block has a real matrix if it has a real eigenvalue.
    filling = eigenvalues[np.argmax(np.abs(eigenvalues) * (1 + (eigenvalues.imag == 0)))]
    dtype = np.result_type(block, np.float64 if filling.imag == 0 else np.complex128)
    filled = np.zeros(block.shape, dtype=dtype)
    filled[:rank, :rank] = inside
    rest = np.arange(rank, len(block))
    filled[rest, rest] = filling if np.iscomplexobj(filled) else filling.real
    return filled, rank


def _matrices(operator: Convolution | GeneralOperator) -> Inexact[np.ndarray, "k n n"]:
    """Return the explicit matrices of the groups of a convolution, and the blocks of another operator."""
    if isinstance(operator, GeneralOperator):
        blocks, unknowns = operator.blocks(), operator.shape[0]
    else:
        parts = operator.by_group()
        unknowns = parts[0].shape[0]
        blocks = np.stack([explicit_matrix(part) for part in parts]) if fits(parts[0]) else None
    if blocks is None:
        raise InputError(
            f"{operator.name}: 'ideal' and 'numerical-range' work on the symbol or on the explicit matrix, and "
            f"{unknowns:,} unknowns are too many for the matrix (limit {DENSE_LIMIT:,}); use circular padding, a "
            "smaller size, or 'harmonic-ritz'"
        )
    return blocks
