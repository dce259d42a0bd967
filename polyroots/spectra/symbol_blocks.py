"""The symbol of a convolution with circular padding as stacks of small matrices."""

from __future__ import annotations

import numpy as np
from jaxtyping import Complex128, Int

from polyroots.spectra.convolution import Convolution
from polyroots.threads import chunks


class SymbolBlocks:
    """The blocks of the symbol, one for each group and frequency, at half of the frequencies of one period.

    Parameters
    ----------
    operator : Convolution
        Square.
    every : int
        Take every n-th frequency only.
    """

    def __init__(self, operator: Convolution, every: int = 1) -> None:
        self.operator = operator
        ky, kx, partner = operator.one_period()
        half = np.flatnonzero(np.arange(len(partner)) <= partner)[::every]
        self.ky, self.kx = ky[half], kx[half]
        self.rows = operator.kernels.shape[1]

    def tasks(self, workers: int | None = None) -> list[Int[np.ndarray, "_"]]:
        """Return the positions of the frequencies, divided into tasks for `polyroots.threads.in_threads`."""
        return chunks(np.arange(len(self.ky)), (self.operator.groups, self.rows, self.rows), workers)

    def stack(self, chosen: Int[np.ndarray, "F"]) -> Complex128[np.ndarray, "blocks rows rows"]:
        """Return the blocks at the chosen frequencies."""
        return self.operator.symbol_at(self.ky[chosen], self.kx[chosen]).reshape(-1, self.rows, self.rows)
