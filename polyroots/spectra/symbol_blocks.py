"""The symbol of a convolution with circular padding as a stack of small matrices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from polyroots.spectra.convolution import Convolution
from polyroots.threads import chunks


class SymbolBlocks:
    """The symbol's blocks, one a group and frequency, of half of the frequencies of one period."""

    def __init__(self, operator: Convolution, every: int = 1) -> None:
        self.operator = operator
        ky, kx, partner = operator.one_period()
        half = np.flatnonzero(np.arange(len(partner)) <= partner)[::every]
        self.ky, self.kx = ky[half], kx[half]
        self.rows = operator.kernels.shape[1]

    def tasks(self, workers: int | None = None) -> list[NDArray[np.intp]]:
        """Positions of the blocks, divided into tasks for `polyroots.threads.in_threads`."""
        return chunks(np.arange(len(self.ky)), (self.operator.groups, self.rows, self.rows), workers)

    def stack(self, chosen: NDArray[np.intp]) -> NDArray[np.complex128]:
        """Blocks of some frequencies, (frequencies * groups, rows, rows)."""
        return self.operator.symbol_at(self.ky[chosen], self.kx[chosen]).reshape(-1, self.rows, self.rows)
