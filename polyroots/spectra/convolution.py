r"""A convolution as a linear operator: its checked geometry, its taps and its Fourier symbol."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from operator import index as as_index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyroots.errors import InputError, unknown_name

PADDINGS = ("circular", "zeros")


@dataclass(frozen=True, eq=False)
class Convolution:
    """A checked convolution with "same" padding: kernel and geometry.

    Attributes
    ----------
    weight : (c_out, c_in // groups, kh, kw) float64
    size : (H, W) of the input in pixels
    stride, dilation : (int, int)
    groups : int
    padding : ``"circular"`` or ``"zeros"``
    name : what error messages call it
    """

    weight: NDArray[np.float64]
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
        """Check a convolution.

        Raises
        ------
        InputError
            If the weight is no finite four-dimensional real array, or size, stride, dilation, groups or padding don't
            fit.
        """
        K = as_float64(weight, name)
        if K.ndim != 4 or K.size == 0:
            raise InputError(f"{name}: expected a kernel of shape (c_out, c_in, kh, kw), got shape {K.shape}")
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
        """Output channels."""
        return self.weight.shape[0]

    @property
    def c_in(self) -> int:
        """Input channels."""
        return self.weight.shape[1] * self.groups

    @property
    def kernels(self) -> NDArray[np.float64]:
        """The kernel per group, (groups, c_out // groups, c_in // groups, kh, kw)."""
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
    def offsets(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Where the taps (y, x) lie relative to the output pixel, as torch's padding="same" places them."""
        kh, kw = self.weight.shape[2:]
        return _tap_offsets(kh, self.dilation[0]), _tap_offsets(kw, self.dilation[1])

    @property
    def period(self) -> tuple[int, int]:
        """Period of the symbol in the frequency index, a divisor of the size.

        It is shorter than the size where all offsets share a divisor with it: one tap, or a dilation. The symbol then
        takes the same values again and again, and one period is enough.
        """
        H, W = self.size
        oy, ox = self.offsets
        return H // math.gcd(H, *oy.tolist()), W // math.gcd(W, *ox.tolist())

    def normalized(self) -> tuple[Convolution, float]:
        """The operator divided by a power of two near its largest entry, and that power: exact, and safe to square."""
        largest = float(np.abs(self.weight).max())
        scale = 2.0 ** math.floor(math.log2(largest)) if largest else 1.0
        return replace(self, weight=self.weight / scale), scale

    def by_group(self) -> list[Convolution]:
        """The convolution of each group: the operator is their direct sum."""
        return [replace(self, weight=kernel, groups=1) for kernel in self.kernels]

    def one_period(self) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
        """Frequency indices (ky, kx) of one period, and the position of each one's conjugate partner -k among them."""
        return conjugate_grid(*self.period)

    def require_square(self, what: str) -> None:
        """Raise InputError, which offers singular values, unless the operator maps a space to itself."""
        if self.c_out != self.c_in:
            raise InputError(
                f"{self.name}: {what} need as many output as input channels, got {self.c_out} from {self.c_in}; "
                "its singular values exist (singular_values, --kind singular)"
            )
        if self.stride != (1, 1):
            raise InputError(
                f"{self.name}: {what} need stride 1, got {self.stride[0]}x{self.stride[1]}, which maps an image to a "
                "smaller one; its singular values exist (singular_values, --kind singular)"
            )

    def symbol_at(self, ky: NDArray[np.intp], kx: NDArray[np.intp]) -> NDArray[np.complex128]:
        """Symbol at the frequencies 2 pi (ky / H, kx / W): (F, groups, c_out // groups, c_in // groups) complex128."""
        (H, W), (oy, ox) = self.size, self.offsets
        return self._combine(_phases(ky, oy, H), _phases(kx, ox, W))

    def symbol_at_angles(self, theta: NDArray[np.float64]) -> NDArray[np.complex128]:
        """Symbol at any frequencies theta, (F, 2) in radians: (F, groups, c_out // groups, c_in // groups)."""
        oy, ox = self.offsets
        return self._combine(np.exp(1j * np.outer(theta[:, 0], oy)), np.exp(1j * np.outer(theta[:, 1], ox)))

    def _combine(self, y: NDArray[np.complex128], x: NDArray[np.complex128]) -> NDArray[np.complex128]:
        *block, kh, kw = self.kernels.shape
        modes = (y[:, :, None] * x[:, None, :]).reshape(len(y), kh * kw)
        # The kernel is real: two real products instead of a complex one.
        result = np.empty((len(y), self._taps.shape[1]), dtype=np.complex128)
        result.real = modes.real @ self._taps
        result.imag = modes.imag @ self._taps
        return result.reshape(len(y), *block)

    @cached_property
    def _taps(self) -> NDArray[np.float64]:
        kh, kw = self.weight.shape[2:]
        return np.ascontiguousarray(self.weight.reshape(-1, kh * kw).T)


def conjugate_grid(rows: int, columns: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Indices (ky, kx) of a grid, row by row, and the position of each one's conjugate partner -k, modulo the grid."""
    ky, kx = np.divmod(np.arange(rows * columns), columns)
    return ky, kx, (-ky % rows) * columns + (-kx % columns)


def principal(k: NDArray[np.intp], n: int) -> NDArray[np.float64]:
    """2 pi k / n, brought to (-pi, pi]."""
    k = k % n
    return 2 * np.pi * (np.where(2 * k > n, k - n, k) / n)


def norm_bound(operator: Convolution) -> float:
    """Return an upper bound on the 2-norm, sqrt(|A|_1 |A|_inf); 1 for the zero operator."""
    taps = np.abs(operator.kernels)
    return float(np.sqrt(taps.sum(axis=(2, 3, 4)).max() * taps.sum(axis=(1, 3, 4)).max())) or 1.0


def require_finite(weight: Any, name: str) -> None:
    """Raise InputError, with the operator's name, if a weight holds NaN or infinite entries."""
    _require_finite(as_float64(weight, name), name)


def _require_finite(array: NDArray[np.float64], name: str) -> None:
    bad = int(array.size - np.isfinite(array).sum())
    if bad:
        raise InputError(
            f"{name}: {bad} of {array.size} entries are NaN or infinite; "
            "use a checkpoint from before the training diverged"
        )


def _tap_offsets(k: int, dilation: int) -> NDArray[np.intp]:
    return dilation * np.arange(k) - dilation * (k - 1) // 2


def _phases(k: NDArray[np.intp], offsets: NDArray[np.intp], n: int) -> NDArray[np.complex128]:
    """exp(2 pi i k o / n), shape (len(k), len(offsets)), with the angle reduced exactly in integers."""
    angle = principal(np.outer(k, offsets), n)
    # sin(pi) is not 0 in floating point, and the symbol at theta = pi is to be a real matrix.
    return np.cos(angle) + 1j * np.where(angle == np.pi, 0.0, np.sin(angle))


def whole(value: Any, what: str) -> int:
    """Return a whole number, or raise InputError."""
    try:
        return as_index(value)
    except TypeError:
        raise InputError(f"{what}: expected a whole number, got {value!r}") from None


def pair(value: Any, what: str) -> tuple[int, int]:
    """Return an int or a pair of ints as a pair."""
    try:
        first, second = (value, value) if np.ndim(value) == 0 else value
        return as_index(first), as_index(second)
    except (TypeError, ValueError):
        raise InputError(f"{what}: expected a whole number or a pair of them, got {value!r}") from None


def as_float64(weight: Any, name: str) -> NDArray[np.float64]:
    """Return an array or a tensor (on any device, also bfloat16) as a float64 array.

    Raises
    ------
    InputError
        If it holds other than real numbers.
    """
    array = as_array(weight)
    if array.dtype.kind not in "fiub":
        raise InputError(f"{name}: expected real numbers, got dtype {array.dtype}")
    return array.astype(np.float64)


def as_array(values: Any) -> NDArray[Any]:
    """Return an array or a tensor (on any device, also bfloat16) as an array."""
    if hasattr(values, "detach"):
        # By duck typing: this module works without torch.
        values = values.detach().cpu()
        values = values.numpy() if values.is_complex() else values.double().numpy()
    return np.asarray(values)
