r"""Spectra of convolutions with circular padding, through their symbol.

A convolution with periodic boundary is block-circulant with circulant blocks: the Fourier modes exp(i theta p) reduce
it to one small matrix per frequency, the symbol A^(theta), and its spectrum is the union of theirs [1]_, [2]_.

References
----------
.. [1] H. Sedghi, V. Gupta, P. M. Long, The Singular Values of Convolutional Layers, ICLR 2019.
.. [2] U. Trottenberg, C. W. Oosterlee, A. Schueller, Multigrid, Academic Press 2001, chapter 4.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from operator import index as as_index
from pathlib import Path
from threading import Lock
from typing import Any
from zipfile import BadZipFile

import numpy as np
from jaxtyping import Complex128, Float64
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from polyroots.errors import FileError, InputError
from polyroots.files import replacing

# A chunk of symbol matrices stays in the caches and keeps the memory independent of the number of frequencies.
_CHUNK_BYTES = 2**24

# The number of BLAS threads belongs to the process: calls from several threads take turns, each with all cores.
_BLAS_LIMIT = Lock()


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The eigenvalues of a convolution, each with its frequency, and the operator that they came from.

    Attributes
    ----------
    values : (N,) complex128, N = c H W
        Eigenvalues with multiplicity, closed under conjugation, the c values of a frequency side by side.
    frequencies : (N, 2) float64
        (theta_y, theta_x) in radians, in (-pi, pi].
    weight : (c, c // groups, kh, kw) float64
        The kernel.
    size : (H, W)
        The image in pixels.
    padding : str
        ``"circular"``.
    dilation : (int, int)
    groups : int
    """

    values: Complex128[np.ndarray, "N"]
    frequencies: Float64[np.ndarray, "N 2"]
    weight: Float64[np.ndarray, "c_out c_in kh kw"] = field(repr=False)
    size: tuple[int, int]
    padding: str = "circular"
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        shape = "x".join(str(n) for n in self.weight.shape)
        return (
            f"Spectrum({len(self)} eigenvalues of {shape} at {self.size[0]}x{self.size[1]}, {self.padding}, "
            f"radius {self.radius:.6g})"
        )

    @cached_property
    def radius(self) -> float:
        """Spectral radius, the largest modulus."""
        return float(np.abs(self.values).max())

    @cached_property
    def min_real(self) -> float:
        """Smallest real part."""
        return float(self.values.real.min()) + 0.0  # no negative zero

    @cached_property
    def max_real(self) -> float:
        """Largest real part."""
        return float(self.values.real.max()) + 0.0  # no negative zero

    @cached_property
    def max_imag(self) -> float:
        """Largest imaginary part."""
        return float(self.values.imag.max()) + 0.0  # no negative zero

    def save(self, path: str | Path) -> None:
        """Write the spectrum and its operator to an ``.npz`` file, whole or not at all."""
        with replacing(path) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(
                stream,
                values=self.values,
                frequencies=self.frequencies,
                weight=self.weight,
                size=self.size,
                padding=self.padding,
                dilation=self.dilation,
                groups=self.groups,
            )

    @classmethod
    def load(cls, path: str | Path) -> Spectrum:
        """Read a spectrum that `save` wrote.

        Raises
        ------
        FileError
            If the file is missing or is no such file.
        """
        try:
            with np.load(path, allow_pickle=False) as archive:
                return cls(
                    values=archive["values"],
                    frequencies=archive["frequencies"],
                    weight=archive["weight"],
                    size=_pair(archive["size"].tolist()),
                    padding=str(archive["padding"]),
                    dilation=_pair(archive["dilation"].tolist()),
                    groups=int(archive["groups"]),
                )
        except FileNotFoundError as error:
            raise FileError(f"no file {path}: expected a spectrum that Spectrum.save wrote") from error
        except (OSError, ValueError, KeyError, EOFError, AttributeError, TypeError, BadZipFile) as error:
            raise FileError(f"{path} is no spectrum: expected an .npz file that Spectrum.save wrote") from error


def symbol(
    weight: Any,
    size: int | tuple[int, int],
    *,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
) -> Complex128[np.ndarray, "H W//2+1 c_out c_in"]:
    r"""Fourier symbol of a convolution with circular padding, on half of the frequencies.

    .. math:: \hat A(\theta) = \sum_{y,x} K_{:,:,y,x}\, e^{i(\theta_y o(y) + \theta_x o(x))},
              \qquad \theta = 2\pi k / n

    with the tap offsets o(y) = dilation y - floor(dilation (k - 1) / 2) of ``padding="same"``. Where an offset
    reaches beyond the image, it wraps.

    Parameters
    ----------
    weight : (c_out, c_in // groups, kh, kw) array or tensor, any real dtype
        The kernel, as ``torch.nn.Conv2d`` holds it (cross-correlation).
    size : int or (H, W)
        The image in pixels.
    dilation : int or (int, int)
    groups : int
        With more than one group the symbol is block-diagonal.

    Returns
    -------
    (H, W // 2 + 1, c_out, c_in) complex128
        Entry [k_y, k_x] belongs to theta = (2 pi k_y / H, 2 pi k_x / W), the layout of ``numpy.fft.rfft2``. The other
        half follows from A^(-theta) = conj A^(theta).

    Raises
    ------
    InputError
        If the weight is no finite four-dimensional array, or size, dilation or groups don't fit.

    Examples
    --------
    The shift by one pixel to the left multiplies a mode by exp(i theta_x):

    >>> import numpy as np
    >>> K = np.zeros((1, 1, 3, 3)); K[0, 0, 1, 2] = 1
    >>> symbol(K, (1, 4))[0, :, 0, 0].round(12) + 0
    array([ 1.+0.j,  0.+1.j, -1.+0.j])
    """
    operator = _Operator.of(weight, size, dilation, groups, name="weight")
    H, W = operator.size
    ky, kx = np.divmod(np.arange(H * (W // 2 + 1)), W // 2 + 1)
    blocks = operator.symbol_at(ky, kx)
    frequencies, g, m_out, m_in = blocks.shape
    if g == 1:
        return blocks.reshape(H, W // 2 + 1, m_out, m_in)
    full = np.zeros((frequencies, g, m_out, g, m_in), dtype=np.complex128)
    for j in range(g):
        full[:, j, :, j, :] = blocks[:, j]
    return full.reshape(H, W // 2 + 1, g * m_out, g * m_in)


def eigenvalues(
    weight: Any,
    size: int | tuple[int, int],
    *,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
    workers: int | None = None,
    name: str = "weight",
) -> Spectrum:
    """All eigenvalues of a convolution with circular padding and stride 1.

    Half of the frequencies are solved, the others follow by conjugation; the self-conjugate frequencies (at most four)
    are solved as real matrices, so that the result is closed under conjugation to the last bit. LAPACK runs in
    `workers` threads with one BLAS thread each.

    Parameters
    ----------
    weight : (c, c // groups, kh, kw) array or tensor, any real dtype
        The kernel; computed in float64.
    size : int or (H, W)
        The image in pixels.
    dilation : int or (int, int)
    groups : int
    workers : int, optional
        Threads; by default one for each core that this process may use.
    name : str
        What error messages call the operator.

    Returns
    -------
    Spectrum

    Raises
    ------
    InputError
        If the operator is not square, not finite, or size, dilation or groups don't fit.

    Examples
    --------
    The periodic 5-point Laplacian has the eigenvalues 4 - 2 cos theta_y - 2 cos theta_x:

    >>> import numpy as np
    >>> K = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]]).reshape(1, 1, 3, 3)
    >>> Lambda = eigenvalues(K, 8)
    >>> print(len(Lambda), round(Lambda.min_real, 12) + 0, round(Lambda.max_real, 12))
    64 0.0 8.0
    """
    operator = _Operator.of(weight, size, dilation, groups, name=name)
    _, m_out, m_in, _, _ = operator.kernels.shape
    if m_out != m_in:
        raise InputError(
            f"{name}: eigenvalues need as many output as input channels, "
            f"got {operator.groups * m_out} from {operator.groups * m_in}"
        )
    H, W = operator.size
    index = np.arange(H * W)
    ky, kx = np.divmod(index, W)
    partner = (-ky % H) * W + (-kx % W)

    values = np.empty((H * W, operator.groups, m_out), dtype=np.complex128)

    def solve(chosen: NDArray[np.intp]) -> None:
        symbols = operator.symbol_at(ky[chosen], kx[chosen])
        is_real = bool((partner[chosen] == chosen).all())
        Lambda = np.linalg.eigvals(symbols.real if is_real else symbols)
        values[partner[chosen]] = Lambda.conj()
        values[chosen] = Lambda

    workers = workers or usable_cores()
    chunk = max(1, min(_CHUNK_BYTES // (16 * operator.groups * m_out * m_in), H * W // (8 * workers)))
    tasks = _chunks(index[index == partner], chunk) + _chunks(index[index < partner], chunk)
    with _BLAS_LIMIT, threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(workers) as pool:
        for future in [pool.submit(solve, task) for task in tasks]:
            future.result()

    theta = np.stack([_principal(ky, H), _principal(kx, W)], axis=-1)
    return Spectrum(
        values=values.reshape(-1),
        frequencies=np.repeat(theta, operator.groups * m_out, axis=0),
        weight=operator.weight,
        size=operator.size,
        dilation=operator.dilation,
        groups=operator.groups,
    )


def require_finite(weight: Any, name: str) -> None:
    """Raise InputError, with the operator's name, if a weight holds NaN or infinite entries."""
    array = _as_float64(weight)
    bad = int(array.size - np.isfinite(array).sum())
    if bad:
        raise InputError(
            f"{name}: {bad} of {array.size} entries are NaN or infinite; "
            "use a checkpoint from before the training diverged"
        )


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


@dataclass(frozen=True)
class _Operator:
    """A checked convolution: kernels per group and the geometry."""

    weight: NDArray[np.float64]
    kernels: NDArray[np.float64]  # (groups, c_out // groups, c_in // groups, kh, kw)
    size: tuple[int, int]
    dilation: tuple[int, int]
    groups: int

    @classmethod
    def of(
        cls, weight: Any, size: int | tuple[int, int], dilation: int | tuple[int, int], groups: int, name: str
    ) -> _Operator:
        K = _as_float64(weight)
        if K.ndim != 4 or K.size == 0:
            raise InputError(f"{name}: expected a kernel of shape (c_out, c_in, kh, kw), got shape {K.shape}")
        require_finite(K, name)
        if groups < 1 or K.shape[0] % groups:
            raise InputError(f"{name}: {K.shape[0]} output channels can't be split into {groups} groups")
        grid, step = _pair(size), _pair(dilation)
        if min(grid) < 1:
            raise InputError(f"{name}: expected an image of at least 1x1 pixels, got {grid[0]}x{grid[1]}")
        if min(step) < 1:
            raise InputError(f"{name}: expected a dilation of at least 1, got {step[0]}x{step[1]}")
        kernels = K.reshape(groups, K.shape[0] // groups, *K.shape[1:])
        return cls(K, kernels, grid, step, groups)

    def symbol_at(self, ky: NDArray[np.intp], kx: NDArray[np.intp]) -> NDArray[np.complex128]:
        """Symbol at the frequencies 2 pi (ky / H, kx / W): (F, groups, c_out // groups, c_in // groups) complex128."""
        (H, W), (dy, dx) = self.size, self.dilation
        *block, kh, kw = self.kernels.shape
        modes = _phases(ky, _tap_offsets(kh, dy), H)[:, :, None] * _phases(kx, _tap_offsets(kw, dx), W)[:, None, :]
        modes = modes.reshape(len(ky), kh * kw)
        taps = self.kernels.reshape(-1, kh * kw).T
        # The kernel is real: two real products instead of a complex one.
        result = np.empty((len(ky), taps.shape[1]), dtype=np.complex128)
        result.real = modes.real @ taps
        result.imag = modes.imag @ taps
        return result.reshape(len(ky), *block)


def _tap_offsets(k: int, dilation: int) -> NDArray[np.intp]:
    """Where torch's padding="same" places the taps of a kernel of length k, relative to the output pixel."""
    return dilation * np.arange(k) - dilation * (k - 1) // 2


def _phases(k: NDArray[np.intp], offsets: NDArray[np.intp], n: int) -> NDArray[np.complex128]:
    """exp(2 pi i k o / n), shape (len(k), len(offsets)), with the angle reduced exactly in integers."""
    angle = _principal(np.outer(k, offsets), n)
    # sin(pi) is not 0 in floating point, and the symbol at theta = pi is to be a real matrix.
    return np.cos(angle) + 1j * np.where(angle == np.pi, 0.0, np.sin(angle))


def _principal(k: NDArray[np.intp], n: int) -> NDArray[np.float64]:
    """2 pi k / n, brought to (-pi, pi]."""
    k = k % n
    return 2 * np.pi * (np.where(2 * k > n, k - n, k) / n)


def _chunks(array: NDArray[np.intp], length: int) -> list[NDArray[np.intp]]:
    return [array[start : start + length] for start in range(0, len(array), length)]


def _pair(value: Any) -> tuple[int, int]:
    """Return an int or a pair of ints as a pair."""
    try:
        first, second = (value, value) if np.ndim(value) == 0 else value
        return as_index(first), as_index(second)
    except (TypeError, ValueError):
        raise InputError(f"expected a whole number or a pair of them, got {value!r}") from None


def _as_float64(weight: Any) -> NDArray[np.float64]:
    """Return an array or a tensor (on any device, also bfloat16) as a float64 array."""
    if hasattr(weight, "detach"):
        # By duck typing: this module works without torch.
        weight = weight.detach().cpu()
        weight = weight.numpy() if weight.is_complex() else weight.double().numpy()
    array = np.asarray(weight)
    if array.dtype.kind not in "fiub":
        raise InputError(f"expected a real kernel, got dtype {array.dtype}")
    return array.astype(np.float64)
