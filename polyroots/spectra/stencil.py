"""Stencils in any number of dimensions, real or complex: their symbol on a periodic grid, and their sparse matrix."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Complex128, Float64, Inexact
from scipy.sparse import coo_array, csr_array
from scipy.sparse.linalg import LinearOperator

from polyroots.arguments import whole
from polyroots.errors import InputError, unknown_name
from polyroots.spectra.convolution import PADDINGS, phases, power_of_two, principal, tap_offsets

# Entries of the symbol at all frequencies: 256 MiB.
_LARGEST_SYMBOL = 2**24


@dataclass(frozen=True, eq=False)
class Stencil:
    """A constant-coefficient operator on a grid, for one or more unknowns a grid point.

    Attributes
    ----------
    kernel : (c, c, k_1, ..., k_d) float64 or complex128
        Entry [i, j, o] is multiplied by unknown j at the point p + o - (k - 1) // 2 of each axis.
    size : (n_1, ..., n_d) tuple of int
        The grid.
    padding : ``"circular"`` or ``"zeros"``
        Periodic boundary, or zeros outside of the grid.
    """

    kernel: Inexact[np.ndarray, "..."]
    size: tuple[int, ...]
    padding: str

    @classmethod
    def of(cls, array: Inexact[np.ndarray, "..."], size: Any, padding: str, name: str) -> Stencil:
        """Return the stencil of an array with as many dimensions as the grid, or two more for channels.

        Raises
        ------
        InputError
            If array, size or padding don't fit, or the symbol doesn't fit into memory.
        """
        if padding not in PADDINGS:
            raise unknown_name("padding", str(padding), PADDINGS)
        # An array of four or five dimensions is a kernel with channels; of three, a stencil in three dimensions.
        dimensions = array.ndim - 2 * (array.ndim > 3) if np.ndim(size) == 0 else len(size)
        grid = tuple(whole(n, f"{name}: size") for n in ((size,) * dimensions if np.ndim(size) == 0 else size))
        if array.ndim == dimensions:
            array = array[None, None]
        if array.ndim != dimensions + 2 or array.shape[0] != array.shape[1] or not array.size or min(grid) < 1:
            raise InputError(
                f"{name}: expected a stencil with as many dimensions as the grid, or a kernel (c, c, ...) with two "
                f"more, got shape {array.shape} on the grid {'x'.join(map(str, grid))}"
            )
        entries = math.prod(grid) * array.shape[0] ** 2
        if entries > _LARGEST_SYMBOL:
            raise InputError(
                f"{name}: the symbol of the stencil has {entries:,} entries, at most {_LARGEST_SYMBOL:,} are computed; "
                "choose a smaller grid",
                fields=("size",),
            )
        return cls(array, grid, padding)

    @property
    def channels(self) -> int:
        """Number of unknowns a grid point."""
        return self.kernel.shape[0]

    @property
    def taps(self) -> tuple[int, ...]:
        """Number of taps along each axis."""
        return self.kernel.shape[2:]

    def symbol(self) -> Complex128[np.ndarray, "F c c"]:
        """Return the symbol at all frequencies 2 pi k / n, the last axis fastest."""
        result: Any = np.moveaxis(self.kernel.astype(np.complex128), (0, 1), (-2, -1))
        for n, k in zip(self.size, self.taps, strict=True):
            # The first axis of taps becomes the last axis of frequencies.
            modes = phases(np.arange(n), tap_offsets(k, 1), n)
            result = np.moveaxis(np.tensordot(modes, result, axes=(1, 0)), 0, len(self.size) - 1)
        return result.reshape(-1, self.channels, self.channels)

    def frequencies(self) -> Float64[np.ndarray, "F d"]:
        """Return the frequencies in radians, in (-pi, pi], in the order of `symbol`."""
        axes = [principal(np.arange(n), n) for n in self.size]
        return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))

    @cached_property
    def matrix(self) -> csr_array:
        """The sparse matrix; rows are (unknown, p_1, ..., p_d), as of the convolutions."""
        count = math.prod(self.size)
        points = np.stack(np.unravel_index(np.arange(count), self.size))
        by_tap = np.moveaxis(self.kernel, (0, 1), (-2, -1))
        entries: list[tuple[Any, Any, Any]] = []
        for tap in itertools.product(*(range(k) for k in self.taps)):
            block = by_tap[tap]
            offset = np.array([tap_offsets(k, 1)[index] for k, index in zip(self.taps, tap, strict=True)])
            grid = np.array(self.size)[:, None]
            read = points + offset[:, None]
            inside = np.flatnonzero(((read >= 0) & (read < grid)).all(axis=0) | (self.padding == "circular"))
            source = np.ravel_multi_index(tuple((read % grid)[:, inside]), self.size)
            entries += [
                (np.full(len(inside), block[i, j]), i * count + inside, j * count + source)
                for i, j in zip(*np.nonzero(block), strict=True)
            ]
        data, rows, columns = (
            (np.concatenate(parts) for parts in zip(*entries, strict=True)) if entries else ([], [], [])
        )
        n = self.channels * count
        return coo_array((data, (rows, columns)), shape=(n, n), dtype=self.kernel.dtype).tocsr()

    @property
    def norm_bound(self) -> float:
        """The upper bound sqrt(|A|_1 |A|_inf) of the 2-norm; 1 for the zero operator."""
        largest = float(np.abs(self.kernel).max())
        if not largest:
            return 1.0
        # Divided by a power of two, so that the product neither overflows nor vanishes.
        unit = power_of_two(largest)
        sizes = np.abs(self.kernel) / unit
        axes = tuple(range(2, sizes.ndim))
        return unit * float(np.sqrt(sizes.sum(axis=(0, *axes)).max() * sizes.sum(axis=(1, *axes)).max()))

    def products(self) -> LinearOperator:
        """Return the products with vectors; the matrix is made when it is first used."""
        n = self.channels * math.prod(self.size)
        return LinearOperator(
            (n, n),
            matvec=lambda u: self.matrix @ u,
            rmatvec=lambda v: self.matrix.conj().T @ v,
            dtype=self.kernel.dtype,
        )
