"""Eigenvalues with their frequencies, as tables of other libraries."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64

from polyroots.errors import InputError
from polyroots.spectra.values import EigenvalueSet

if TYPE_CHECKING:
    from polyroots.spectra.convolution import Convolution


class Labelled(EigenvalueSet):
    """Base class of `polyroots.Spectrum`: tables with the frequencies as labels."""

    convolution: Convolution
    conditions: Float64[np.ndarray, "N"] | None
    errors: Float64[np.ndarray, "N"] | None
    frequencies: Any

    def to_pandas(self) -> Any:
        """Return a pandas.DataFrame with a row for each eigenvalue.

        Its columns are eigenvalue (complex); with circular padding theta_y and theta_x, in radians; with zero padding
        condition and error, where they are known.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        InputError
            If pandas is not installed.
        """
        pandas = _library("pandas", "to_pandas")
        columns: dict[str, Any] = {"eigenvalue": self.values}
        if self.frequencies is not None:
            columns |= {"theta_y": self.frequencies[:, 0], "theta_x": self.frequencies[:, 1]}
        known = {"condition": self.conditions, "error": self.errors}
        return pandas.DataFrame(columns | {name: numbers for name, numbers in known.items() if numbers is not None})

    def to_xarray(self) -> Any:
        """Return an xarray.DataArray of shape (H, W, c) on the grid of frequencies.

        Its dimensions are theta_y and theta_x, whose coordinates are in radians and ascend in (-pi, pi], and index, the
        c eigenvalues of a frequency. Padding, dilation and groups are attributes.

        Returns
        -------
        xarray.DataArray

        Raises
        ------
        InputError
            If xarray is not installed, or the padding is zeros: these eigenvalues have no frequency.
        """
        xarray = _library("xarray", "to_xarray")
        if self.frequencies is None:
            raise InputError("eigenvalues with zero padding have no frequency; compute them with circular padding")
        (H, W), convolution = self.convolution.size, self.convolution
        on_grid = self.frequencies.reshape(H, W, -1, 2)
        theta_y, theta_x = on_grid[:, 0, 0, 0], on_grid[0, :, 0, 1]
        rows, columns = np.argsort(theta_y), np.argsort(theta_x)
        return xarray.DataArray(
            self.values.reshape(H, W, -1)[np.ix_(rows, columns)],
            coords={"theta_y": theta_y[rows], "theta_x": theta_x[columns]},
            dims=("theta_y", "theta_x", "index"),
            name="eigenvalue",
            attrs={
                "padding": convolution.padding,
                "dilation": convolution.dilation,
                "groups": convolution.groups,
            },
        )


def _library(name: str, what: str) -> Any:
    """Return a library that is not installed with polyroots, or raise InputError with the command that installs it."""
    try:
        return import_module(name)
    except ImportError as error:
        raise InputError(f"{what} needs {name}, which is not installed: 'pip install {name}'") from error
