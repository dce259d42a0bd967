"""Convolutions as linear operators: kernel, geometry and Fourier symbol."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Complex128, Float64, Int

from polyroots.arguments import as_array, pair, whole
from polyroots.errors import InputError, unknown_name
from polyroots.spectra.layer import is_conv2d, unpacked

PADDINGS = ("circular", "zeros")


@dataclass(frozen=True, eq=False)
class Convolution:
    """A convolution with "same" padding as a linear operator; `Convolution.of` checks its arguments.

    Attributes
    ----------
    weight : (c_out, c_in // groups, kh, kw) float64
        The kernel, as ``torch.nn.Conv2d`` holds it (cross-correlation).
    size : (int, int)
        Height and width of the input in pixels.
    stride, dilation : (int, int)
    groups : int
    padding : ``"circular"`` or ``"zeros"``
    name : str
        Name in error messages.

    See Also
    --------
    eigenvalues_of, singular_values_of, extreme_eigenvalues_of : its spectra

    Examples
    --------
    >>> A = Convolution.of(np.ones((4, 2, 3, 3)), 8, groups=2)
    >>> A.c_in, A.shape
    (4, (256, 256))
    """

    weight: Float64[np.ndarray, "c_out c_in_group kh kw"]
    size: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    padding: str
    name: str

    @classmethod
    def of(
        cls,
        weight: Any,
        size: int | tuple[int, int],
        *,
        stride: int | tuple[int, int] = 1,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        padding: str = "circular",
        name: str = "weight",
    ) -> Convolution:
        """Return a convolution whose kernel and geometry fit together.

        Parameters
        ----------
        weight : (c_out, c_in // groups, kh, kw) or (kh, kw) array or tensor, any real dtype; or torch.nn.Conv2d
            On any device; stored as float64. (kh, kw) is a stencil of one channel. A layer brings its stride, dilation
            and groups; its padding has to be "same", and its bias is left out.
        size : int or (H, W)
            The input image in pixels.
        stride, dilation : int or (int, int)
        groups : int
        padding : ``"circular"`` or ``"zeros"``
        name : str
            Name in error messages, such as that of a layer.

        Returns
        -------
        Convolution

        Raises
        ------
        InputError
            If the weight is not a finite, real array of these dimensions, or size, stride, dilation, groups or padding
            don't fit.
        """
        if is_conv2d(weight):
            weight, own = unpacked(weight, name, stride=stride, dilation=dilation, groups=groups)
            stride, dilation, groups = own["stride"], own["dilation"], own["groups"]
        if hasattr(weight, "forward"):
            raise InputError(
                f"{name}: expected an array, a tensor or a torch.nn.Conv2d, got {type(weight).__name__}; of a network "
                "model_spectra takes all convolutions",
            )
        K = as_float64(weight, name)
        K = K[None, None] if K.ndim == 2 else K
        if K.ndim != 4 or K.size == 0:
            raise InputError(
                f"{name}: expected a kernel of shape (c_out, c_in, kh, kw), a stencil (kh, kw) or a torch.nn.Conv2d, "
                f"got shape {K.shape}"
            )
        _require_finite(K, name)
        if padding not in PADDINGS:
            raise unknown_name("padding", str(padding), PADDINGS)
        count = whole(groups, f"{name}: groups")
        if count < 1 or K.shape[0] % count:
            raise InputError(f"{name}: {K.shape[0]} output channels can't be split into {count} groups")
        grid, step, spread = (
            pair(value, f"{name}: {what}")
            for value, what in ((size, "size"), (stride, "stride"), (dilation, "dilation"))
        )
        for values, what in ((grid, "an image"), (step, "a stride"), (spread, "a dilation")):
            if min(values) < 1:
                unit = " pixels" if values is grid else ""
                raise InputError(f"{name}: expected {what} of at least 1x1{unit}, got {values[0]}x{values[1]}")
        return cls(K, grid, step, spread, count, padding, name)

    @property
    def c_out(self) -> int:
        """Number of output channels."""
        return self.weight.shape[0]

    @property
    def c_in(self) -> int:
        """Number of input channels."""
        return self.weight.shape[1] * self.groups

    @property
    def kernels(self) -> Float64[np.ndarray, "groups m_out m_in kh kw"]:
        """The kernel of each group, (groups, c_out // groups, c_in // groups, kh, kw)."""
        return self.weight.reshape(self.groups, -1, *self.weight.shape[1:])

    @property
    def out_size(self) -> tuple[int, int]:
        """(H, W) of the output in pixels, ceil(input / stride)."""
        return -(-self.size[0] // self.stride[0]), -(-self.size[1] // self.stride[1])

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the operator's matrix, (outputs, inputs)."""
        return self.c_out * math.prod(self.out_size), self.c_in * math.prod(self.size)

    @cached_property
    def offsets(self) -> tuple[Int[np.ndarray, "kh"], Int[np.ndarray, "kw"]]:
        """Offsets (y, x) of the taps from the output pixel, as torch's padding="same" places them."""
        kh, kw = self.weight.shape[2:]
        return tap_offsets(kh, self.dilation[0]), tap_offsets(kw, self.dilation[1])

    @property
    def period(self) -> tuple[int, int]:
        """Period of the symbol in the frequency index, (y, x); it divides the size.

        It is shorter than the size if the size and all offsets have a common divisor, as for one tap or a dilation.
        """
        H, W = self.size
        oy, ox = self.offsets
        return H // math.gcd(H, *oy.tolist()), W // math.gcd(W, *ox.tolist())

    def normalized(self) -> tuple[Convolution, float]:
        """Return the operator divided by a power of two near its largest entry, and that power.

        The division is exact, and squares of the entries neither overflow nor vanish.
        """
        largest = float(np.abs(self.weight).max())
        scale = power_of_two(largest) if largest else 1.0
        return replace(self, weight=self.weight / scale), scale

    def by_group(self) -> list[Convolution]:
        """Return the convolution of each group; the operator is their direct sum."""
        return [replace(self, weight=kernel, groups=1) for kernel in self.kernels]

    def one_period(self) -> tuple[Int[np.ndarray, "F"], Int[np.ndarray, "F"], Int[np.ndarray, "F"]]:
        """Return the frequency indices ky and kx of one period, and the position of -k for each k among them."""
        return conjugate_grid(*self.period)

    def require_square(self, what: str) -> None:
        """Raise InputError unless the operator is square and has stride 1; `what` is the subject of the message."""
        if self.c_out != self.c_in:
            raise InputError(
                f"{self.name}: {what} need as many output as input channels, got {self.c_out} from {self.c_in}; "
                "compute its singular values",
                fields=["kind"],
            )
        if self.stride != (1, 1):
            raise InputError(
                f"{self.name}: {what} need stride 1, got {self.stride[0]}x{self.stride[1]}, which maps an image to a "
                "smaller one; compute its singular values",
                fields=["kind"],
            )

    def symbol_at(
        self, ky: Int[np.ndarray, "F"], kx: Int[np.ndarray, "F"]
    ) -> Complex128[np.ndarray, "F groups m_out m_in"]:
        """Return the symbol of each group at the frequencies 2 pi (ky / H, kx / W)."""
        (H, W), (oy, ox) = self.size, self.offsets
        return self._combine(phases(ky, oy, H), phases(kx, ox, W))

    def full_symbol_at(
        self, ky: Int[np.ndarray, "F"], kx: Int[np.ndarray, "F"]
    ) -> Complex128[np.ndarray, "F c_out c_in"]:
        """Return the symbol at the frequencies 2 pi (ky / H, kx / W), with groups block-diagonal."""
        blocks = self.symbol_at(ky, kx)
        frequencies, g, m_out, m_in = blocks.shape
        full = np.zeros((frequencies, g, m_out, g, m_in), dtype=np.complex128)
        for j in range(g):
            full[:, j, :, j, :] = blocks[:, j]
        return full.reshape(frequencies, self.c_out, self.c_in)

    def symbol_at_angles(self, theta: Float64[np.ndarray, "F 2"]) -> Complex128[np.ndarray, "F groups m_out m_in"]:
        """Return the symbol of each group at frequencies theta = (theta_y, theta_x) in radians."""
        oy, ox = self.offsets
        return self._combine(np.exp(1j * np.outer(theta[:, 0], oy)), np.exp(1j * np.outer(theta[:, 1], ox)))

    def _combine(
        self, y: Complex128[np.ndarray, "F kh"], x: Complex128[np.ndarray, "F kw"]
    ) -> Complex128[np.ndarray, "F groups m_out m_in"]:
        """Sum the kernel's entries times the modes exp(i theta_y o_y) exp(i theta_x o_x)."""
        *block, kh, kw = self.kernels.shape
        modes = (y[:, :, None] * x[:, None, :]).reshape(len(y), kh * kw)
        # The kernel is real, so that two real products do instead of a complex one.
        result = np.empty((len(y), self._taps.shape[1]), dtype=np.complex128)
        result.real = modes.real @ self._taps
        result.imag = modes.imag @ self._taps
        return result.reshape(len(y), *block)

    @cached_property
    def _taps(self) -> Float64[np.ndarray, "taps entries"]:
        kh, kw = self.weight.shape[2:]
        return np.ascontiguousarray(self.weight.reshape(-1, kh * kw).T)


def symbol(
    weight: Any,
    size: int | tuple[int, int],
    *,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
) -> Complex128[np.ndarray, "H half_W c_out c_in"]:
    r"""Return the Fourier symbol of a convolution with circular padding, on half of the frequencies.

    .. math:: \hat A(\theta) = \sum_{y,x} K_{:,:,y,x}\, e^{i(\theta_y o(y) + \theta_x o(x))},
              \qquad \theta = 2\pi k / n

    with the tap offsets o(y) = dilation y - floor(dilation (k - 1) / 2) of ``padding="same"``. Offsets
    beyond the image wrap around.

    Parameters
    ----------
    weight : (c_out, c_in // groups, kh, kw) or (kh, kw) array or tensor, any real dtype; or torch.nn.Conv2d
        The kernel, as ``torch.nn.Conv2d`` holds it (cross-correlation); see `Convolution.of`.
    size : int or (H, W)
        The image in pixels.
    dilation : int or (int, int)
    groups : int
        With more than one group the symbol is block-diagonal.

    Returns
    -------
    (H, W // 2 + 1, c_out, c_in) complex128
        Entry [k_y, k_x] is the symbol at theta = (2 pi k_y / H, 2 pi k_x / W), as ``numpy.fft.rfft2`` orders them. The
        other half follows from A^(-theta) = conj A^(theta).

    Raises
    ------
    InputError
        If the weight is not a finite array of these dimensions, has a stride, or size, dilation or groups don't fit.

    See Also
    --------
    eigenvalues : the union of the symbol's eigenvalues over all frequencies
    Convolution.symbol_at_angles : the symbol at any frequencies, group by group

    References
    ----------
    H. Sedghi, V. Gupta, P. M. Long, The Singular Values of Convolutional Layers, ICLR 2019.

    Examples
    --------
    A shift by one pixel to the left multiplies a mode by exp(i theta_x):

    >>> K = np.zeros((1, 1, 3, 3)); K[0, 0, 1, 2] = 1
    >>> symbol(K, (1, 4))[0, :, 0, 0].round(12) + 0
    array([ 1.+0.j,  0.+1.j, -1.+0.j])
    """
    operator = Convolution.of(weight, size, dilation=dilation, groups=groups)
    if operator.stride != (1, 1):
        raise InputError(
            f"weight: the symbol of one frequency needs stride 1, the Conv2d has {operator.stride}; give its weight",
        )
    H, W = operator.size
    ky, kx = np.divmod(np.arange(H * (W // 2 + 1)), W // 2 + 1)
    return operator.full_symbol_at(ky, kx).reshape(H, W // 2 + 1, operator.c_out, operator.c_in)


def conjugate_grid(rows: int, columns: int) -> tuple[Int[np.ndarray, "F"], Int[np.ndarray, "F"], Int[np.ndarray, "F"]]:
    """Return the indices ky and kx of a grid, row by row, and the position of -k, modulo the grid, for each k."""
    ky, kx = np.divmod(np.arange(rows * columns), columns)
    return ky, kx, (-ky % rows) * columns + (-kx % columns)


def principal(k: Int[np.ndarray, "*shape"], n: int) -> Float64[np.ndarray, "*shape"]:
    """Return 2 pi k / n, reduced to (-pi, pi]."""
    k = k % n
    return 2 * np.pi * (np.where(2 * k > n, k - n, k) / n)


def norm_bound(operator: Convolution) -> float:
    """Return the upper bound sqrt(|A|_1 |A|_inf) of the 2-norm; 1 for the zero operator."""
    # Normalised, so that the product neither overflows nor vanishes.
    operator, scale = operator.normalized()
    taps = np.abs(operator.kernels)
    return scale * float(np.sqrt(taps.sum(axis=(2, 3, 4)).max() * taps.sum(axis=(1, 3, 4)).max())) or 1.0


def power_of_two(size: float) -> float:
    """Return the power of two next below a positive number; at least 2^-1022, as its reciprocal doesn't overflow."""
    return 2.0 ** max(math.floor(math.log2(size)), -1022)


def require_finite(weight: Any, name: str) -> None:
    """Raise InputError if a weight has NaN or infinite entries, or ones whose sum is beyond the range of float64."""
    _require_finite(as_float64(weight, name), name)


def _require_finite(array: Float64[np.ndarray, "*shape"], name: str) -> None:
    bad = int(array.size - np.isfinite(array).sum())
    if bad:
        raise InputError(
            f"{name}: {bad} of {array.size} entries are NaN or infinite; "
            "use a checkpoint from before the training diverged"
        )
    with np.errstate(over="ignore"):
        # An upper bound of each eigenvalue and singular value; the factor is for what is computed from them.
        bound = 4 * np.abs(array).sum()
    if np.isinf(bound):
        raise InputError(
            f"{name}: with entries of up to {np.abs(array).max():.1e} the spectrum exceeds the largest number of "
            f"float64, {np.finfo(np.float64).max:.1e}; divide the weights by a number first"
        )


def tap_offsets(k: int, dilation: int) -> Int[np.ndarray, "k"]:
    """Return the offsets of the taps of a "same" convolution from the output pixel along one axis."""
    return dilation * np.arange(k) - dilation * (k - 1) // 2


def phases(k: Int[np.ndarray, "F"], offsets: Int[np.ndarray, "taps"], n: int) -> Complex128[np.ndarray, "F taps"]:
    """Return exp(2 pi i k o / n), with the angle reduced exactly in integers."""
    angle = principal(np.outer(k, offsets), n)
    # The symbol at theta = pi is a real matrix; sin(pi) is not 0 in floating point.
    return np.cos(angle) + 1j * np.where(angle == np.pi, 0.0, np.sin(angle))


def as_float64(weight: Any, name: str) -> Float64[np.ndarray, "*shape"]:
    """Return an array or a tensor (on any device, also bfloat16) as a float64 array.

    Raises
    ------
    InputError
        If its entries are not real numbers.
    """
    array = as_array(weight)
    if array.dtype.kind not in "fiub":
        raise InputError(f"{name}: expected real numbers, got dtype {array.dtype}")
    return array.astype(np.float64)
