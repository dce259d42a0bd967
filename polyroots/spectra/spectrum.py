r"""Spectra of convolutions, from the symbol with circular padding and from the matrix with zero padding.

A convolution with circular padding is block-circulant with circulant blocks: the Fourier modes exp(i theta p) reduce it
to one small matrix per frequency, the symbol A^(theta), and its spectrum is the union of theirs [1]_, [2]_.

References
----------
.. [1] H. Sedghi, V. Gupta, P. M. Long, The Singular Values of Convolutional Layers, ICLR 2019.
.. [2] U. Trottenberg, C. W. Oosterlee, A. Schueller, Multigrid, Academic Press 2001, chapter 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Complex, Float64, Inexact, Int
from numpy.typing import DTypeLike, NDArray

from polyroots.errors import InputError
from polyroots.files import reading_archive, replacing
from polyroots.spectra.batched_qr import LANES, eigvals
from polyroots.spectra.convolution import Convolution, principal
from polyroots.spectra.general_operator import GeneralOperator
from polyroots.spectra.labelled import Labelled
from polyroots.spectra.resolution import resolution_of
from polyroots.spectra.values import high_frequencies
from polyroots.spectra.zero_padding import dense_eigenvalues
from polyroots.threads import Progress, half_chunks, in_threads


@dataclass(frozen=True, eq=False)
class Spectrum(Labelled):
    """The eigenvalues of a convolution, with the convolution.

    ``np.asarray(Lambda)`` is `values`; iteration, ``Lambda[:5]`` and masks take from them. A notebook shows a spectrum
    as a picture.

    Attributes
    ----------
    values : (N,) complex128, N = c H W
        Eigenvalues with multiplicity, closed under conjugation; with circular padding the c values of a frequency are
        consecutive. complex64 if requested.
    convolution : Convolution
        The operator: kernel, image size and geometry.
    conditions : (N,) float64 or None
        With zero padding: the condition 1 / |y* x| of each eigenvalue, its sensitivity to changes of the operator;
        infinite where equal blocks of a block triangular operator are coupled, NaN where it isn't known.
    errors : (N,) float64 or None
        With zero padding: first-order estimate of the absolute error of each computed value.

    See Also
    --------
    eigenvalues : compute a spectrum
    to_pandas, to_xarray, plot : for other libraries, and as a picture

    Examples
    --------
    >>> Lambda = eigenvalues(np.arange(9).reshape(1, 1, 3, 3), 4)
    >>> np.asarray(Lambda).shape, Lambda[0]
    ((16,), np.complex128(36+0j))
    >>> Lambda, Lambda.values[Lambda.is_high_frequency].size
    (Spectrum(16 eigenvalues of 1x1x3x3 at 4x4, circular, radius 36), 15)
    """

    values: Complex[np.ndarray, "N"]
    convolution: Convolution
    conditions: Float64[np.ndarray, "N"] | None = None
    errors: Float64[np.ndarray, "N"] | None = None

    def __repr__(self) -> str:
        shape = "x".join(str(n) for n in self.weight.shape)
        return (
            f"Spectrum({len(self)} eigenvalues of {shape} at {self.size[0]}x{self.size[1]}, {self.padding}, "
            f"radius {self.radius:.6g})"
        )

    @cached_property
    def resolution(self) -> Float64[np.ndarray, "N"]:
        """Distance below which each eigenvalue isn't told from another number, such as 0; an estimate.

        It is eps times the operator's norm times the eigenvalue's condition, and at most 1e-7 times the norm.
        """
        return resolution_of(self.values, self.convolution, self.errors)

    @property
    def weight(self) -> Float64[np.ndarray, "c c_in_group kh kw"]:
        """The kernel."""
        return self.convolution.weight

    @property
    def size(self) -> tuple[int, int]:
        """The image (H, W) in pixels."""
        return self.convolution.size

    @property
    def padding(self) -> str:
        """``"circular"`` or ``"zeros"``."""
        return self.convolution.padding

    @property
    def dilation(self) -> tuple[int, int]:
        """Dilation (y, x) of the kernel."""
        return self.convolution.dilation

    @property
    def groups(self) -> int:
        """Number of groups of channels."""
        return self.convolution.groups

    @cached_property
    def frequencies(self) -> Float64[np.ndarray, "N 2"] | None:
        """Frequency (theta_y, theta_x) of each eigenvalue in radians, in (-pi, pi]; None with zero padding.

        The eigenvectors of a zero-padded operator are not Fourier modes.
        """
        if self.padding != "circular":
            return None
        H, W = self.size
        theta = np.stack(np.meshgrid(principal(np.arange(H), H), principal(np.arange(W), W), indexing="ij"), axis=-1)
        return np.repeat(theta.reshape(-1, 2), self.weight.shape[0], axis=0)

    @cached_property
    def is_high_frequency(self) -> Bool[np.ndarray, "N"]:
        """Mask of the eigenvalues at high frequencies, those that a grid of twice the spacing can't represent.

        A frequency is high if |theta_y| >= pi / 2 or |theta_x| >= pi / 2, as in local Fourier analysis [2]_.

        Raises
        ------
        InputError
            With zero padding.
        """
        if self.padding != "circular":
            raise InputError("eigenvalues with zero padding have no frequency; compute them with circular padding")
        return np.repeat(high_frequencies(self.size).ravel(), self.weight.shape[0])

    @property
    def per_group(self) -> Complex[np.ndarray, "groups n"]:
        """Eigenvalues of the convolution of each group (circular padding).

        Raises
        ------
        InputError
            With zero padding: the values are not ordered by group.
        """
        if self.padding != "circular":
            raise InputError("eigenvalues with zero padding are not ordered by group; compute each group by itself")
        pixels = self.size[0] * self.size[1]
        return self.values.reshape(pixels, self.groups, -1).swapaxes(0, 1).reshape(self.groups, -1)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the spectrum as named arrays for an ``.npz`` archive."""
        arrays = {
            "values": self.values,
            "frequencies": self.frequencies,
            "weight": self.weight,
            "size": self.size,
            "padding": self.padding,
            "dilation": self.dilation,
            "groups": self.groups,
            "conditions": self.conditions,
            "errors": self.errors,
        }
        return {name: np.asarray(value) for name, value in arrays.items() if value is not None}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Spectrum:
        """Return the spectrum whose `to_arrays` gave these arrays.

        Raises
        ------
        KeyError, TypeError, ValueError
            If the arrays don't describe a spectrum.
        """
        convolution = Convolution.of(
            arrays["weight"],
            tuple(arrays["size"].tolist()),
            dilation=tuple(arrays["dilation"].tolist()),
            groups=int(arrays["groups"]),
            padding=str(arrays["padding"]),
            name="spectrum",
        )
        if arrays["values"].shape != (convolution.shape[0],):
            raise ValueError(f"expected c H W eigenvalues, got {arrays['values'].shape}")
        return cls(arrays["values"], convolution, arrays.get("conditions"), arrays.get("errors"))

    def save(self, path: str | Path) -> None:
        """Write the spectrum and its operator to an ``.npz`` file; a failure leaves an existing file unchanged."""
        with replacing(path) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, **self.to_arrays())  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: str | Path) -> Spectrum:
        """Return a spectrum that `save` wrote.

        Raises
        ------
        FileError
            If the file is missing, damaged, or of another kind.
        """
        with reading_archive(path, "is no spectrum", "Spectrum.save"), np.load(path, allow_pickle=False) as archive:
            return cls.from_arrays(dict(archive))


def eigenvalues(
    weight: Any,
    size: int | tuple[int, int],
    *,
    padding: str = "circular",
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
    dtype: DTypeLike = np.complex128,
    workers: int | None = None,
) -> Spectrum:
    """Return all eigenvalues of a convolution with stride 1.

    With circular padding the eigenvalues of the symbol are computed at half of the frequencies, and at the others by
    conjugation. The symbol at the self-conjugate frequencies (at most four) is real and solved as such, so that the
    result is closed under conjugation to the last bit. If the symbol has a shorter period than the image (1x1 kernels,
    dilations), one period is solved. Several matrices at once are solved by a QR algorithm in the processor's vector
    units, and by LAPACK where that was not built or they are large; in `workers` threads with one BLAS thread each.

    With zero padding the eigenvalues of the explicit matrix are computed, with their conditions. Taps in a closed
    half-plane, as of causal kernels, make it block triangular, and lines of pixels are solved; there is a formula for
    those of one channel with three taps. Taps of one channel on the axes alone, as those of the 5-point Laplacian, make
    it a Kronecker sum of two lines.

    Parameters
    ----------
    weight : (c, c // groups, kh, kw) or (kh, kw) array or tensor, any real dtype; or torch.nn.Conv2d
        The kernel; computed in float64.
    size : int or (H, W)
        The image in pixels.
    padding : ``"circular"`` or ``"zeros"``
    dilation : int or (int, int)
    groups : int
    dtype : complex128 or complex64
        Precision of the solver with circular padding; complex64 takes half of the memory and the time, and gives 5 to 6
        digits.
    workers : int, optional
        Threads; by default one for each core that this process may use.

    Returns
    -------
    Spectrum

    Raises
    ------
    InputError
        If the operator is not square, not finite, or size, dilation, groups, padding or dtype don't fit, or if its
        zero-padded matrix, or a block of it, has more than 4,096 unknowns.

    See Also
    --------
    extreme_eigenvalues : the ends of a spectrum, of operators of any size
    select_roots : roots of a residual polynomial that damps the spectrum

    References
    ----------
    U. Trottenberg, C. W. Oosterlee, A. Schueller, Multigrid, Academic Press 2001, chapter 4: the symbol. E. E. Osborne,
    On pre-conditioning of matrices, Journal of the ACM 7 (1960), 338-345: the balancing of zero-padded operators.

    Examples
    --------
    The periodic 5-point Laplacian has the eigenvalues 4 - 2 cos theta_y - 2 cos theta_x:

    >>> import numpy as np
    >>> K = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]]).reshape(1, 1, 3, 3)
    >>> Lambda = eigenvalues(K, 8)
    >>> print(len(Lambda), round(Lambda.min_real, 12) + 0, round(Lambda.max_real, 12))
    64 0.0 8.0
    """
    convolution = Convolution.of(weight, size, dilation=dilation, groups=groups, padding=padding)
    return eigenvalues_of(convolution, dtype=dtype, workers=workers)


def eigenvalues_of(
    convolution: Convolution,
    *,
    dtype: DTypeLike = np.complex128,
    workers: int | None = None,
    on_progress: Progress | None = None,
) -> Spectrum:
    """Return all eigenvalues of a `Convolution`; see `eigenvalues`.

    Parameters
    ----------
    convolution : Convolution
    dtype, workers
        As for `eigenvalues`.
    on_progress : callable, optional
        Called with (tasks done, tasks) while the symbol's eigenvalues are computed.

    Returns
    -------
    Spectrum

    Raises
    ------
    InputError
        If the operator is not square, dtype doesn't fit, or its zero-padded matrix, or a block of it, has more than
        4,096 unknowns.
    """
    convolution.require_square("eigenvalues")
    name, precision = convolution.name, np.dtype(dtype)
    if precision not in (np.complex128, np.complex64):
        raise InputError(f"{name}: eigenvalues are complex128 or complex64, got dtype {precision}")
    if precision == np.complex64 and np.abs(convolution.weight).sum() > np.finfo(np.float32).max:
        raise InputError(f"{name}: the weights are too large for complex64; use complex128")
    if convolution.padding == "circular":
        return Spectrum(_solve_symbol(convolution, precision, workers, on_progress), convolution)
    pairs = dense_eigenvalues(convolution)
    rounding = np.finfo(np.complex64).eps if precision == np.complex64 else 0.0
    errors = pairs.errors + rounding * np.abs(pairs.values)
    return Spectrum(pairs.values.astype(precision), convolution, pairs.conditions, errors)


def _solve_symbol(
    operator: Convolution,
    precision: np.dtype[Any],
    workers: int | None,
    on_progress: Progress | None,
) -> Complex[np.ndarray, "N"]:
    """Return the eigenvalues at all frequencies, in the order (frequency, group, value)."""
    # Normalised, so that intermediate results neither overflow nor lose digits.
    operator, scale = operator.normalized()
    groups, m, _, _, _ = operator.kernels.shape
    (H, W), (period_h, period_w) = operator.size, operator.period
    ky, kx, partner = operator.one_period()
    values = np.empty((len(partner), groups, m), dtype=precision)

    def solve(chosen: Int[np.ndarray, "F"]) -> None:
        is_real = bool((partner[chosen] == chosen).all())
        Lambda = eigenvalues_at(operator, ky[chosen], kx[chosen], is_real, precision)
        values[partner[chosen]] = Lambda.conj()
        values[chosen] = Lambda

    in_threads(solve, half_chunks(partner, (groups, m, m), workers, LANES), workers, on_progress)
    if (period_h, period_w) != (H, W):
        values = np.tile(values.reshape(period_h, period_w, groups, m), (H // period_h, W // period_w, 1, 1))
    return values.reshape(-1) * scale


def eigenvalues_at(
    operator: Convolution,
    ky: Int[np.ndarray, "F"],
    kx: Int[np.ndarray, "F"],
    is_real: bool,
    precision: DTypeLike = np.complex128,
) -> Inexact[np.ndarray, "F groups m"]:
    """Return the eigenvalues of the symbol at some frequencies, at all of which it is real or at none."""
    symbols = operator.symbol_at(ky, kx).astype(precision, copy=False)
    return eigvals(symbols.real if is_real else symbols)


def normalized_convolution(spectrum: Any, what: str) -> tuple[Convolution, float]:
    """Return the operator of a spectrum divided by a power of two, and that power; see `Convolution.normalized`.

    Raises
    ------
    InputError
        If bare eigenvalues are given (the message begins with `what`), or an operator that is no convolution and
        complex or large.
    """
    operator = getattr(spectrum, "operator", spectrum)
    if isinstance(operator, GeneralOperator):
        operator = operator.as_convolution()
    if isinstance(operator, Convolution):
        return operator.normalized()
    if not isinstance(spectrum, Spectrum):
        raise InputError(
            f"{what} needs the operator, eigenvalues alone don't determine it: expected a Spectrum, "
            f"got {type(spectrum).__name__}; use the result of eigenvalues"
        )
    return spectrum.convolution.normalized()
