"""Square linear operators of every kind: matrices, products with vectors, and stencils in any number of dimensions.

`as_operator` recognises what it is given. A real stencil in one or two dimensions, and a ``torch.nn.Conv2d``, become a
`Convolution`; everything else becomes a `GeneralOperator`, whose products with vectors are always known, and whose
matrix or symbol is known where it was given.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Inexact
from scipy.sparse import issparse
from scipy.sparse.linalg import LinearOperator, aslinearoperator

from polyroots.arguments import as_array, whole
from polyroots.errors import InputError
from polyroots.spectra.convolution import Convolution, power_of_two
from polyroots.spectra.lanczos import DENSE_IS_FASTER
from polyroots.spectra.layer import is_conv2d
from polyroots.spectra.matrix import DENSE_LIMIT, linear_operator
from polyroots.spectra.stencil import Stencil

# A 3x3 array without a size could be a stencil or a matrix.
_AMBIGUOUS = (3, 3)
# Steps of the power iteration that estimates the norm of products.
_STEPS = 8


@dataclass(frozen=True, eq=False)
class GeneralOperator:
    """A square linear operator; `as_operator` makes it.

    Attributes
    ----------
    products : scipy.sparse.linalg.LinearOperator
        (n, n), float64 or complex128.
    matrix : (n, n) array, sparse array or None
        The matrix, where it is known.
    stencil : Stencil or None
        The stencil, where the operator was made from one.
    name : str
        Name in messages.

    See Also
    --------
    operator_eigenvalues : its eigenvalues, and how they were computed

    Examples
    --------
    >>> A = as_operator(np.diag([1.0, 2, 3, 4]))
    >>> A
    GeneralOperator(4 x 4, float64, a dense matrix)
    >>> as_operator(np.ones((2, 2, 2)), size=8)
    GeneralOperator(512 x 512, float64, a stencil on 8x8x8)
    """

    products: LinearOperator
    matrix: Any = None
    stencil: Stencil | None = None
    name: str = "A"

    def __repr__(self) -> str:
        n = self.shape[0]
        return f"GeneralOperator({n:,} x {n:,}, {self.products.dtype}, {self.kind})"

    @property
    def kind(self) -> str:
        """What the operator was made from, in words."""
        if self.stencil is not None:
            return f"a stencil on {'x'.join(map(str, self.stencil.size))}"
        if self.matrix is None:
            return "products with vectors"
        return "a sparse matrix" if issparse(self.matrix) else "a dense matrix"

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n)."""
        return self.products.shape

    @property
    def is_complex(self) -> bool:
        """Whether the operator has complex entries, or its products are complex."""
        return self.products.dtype.kind == "c"

    @property
    def grid(self) -> tuple[int, ...]:
        """The grid of a stencil; (n,) for other operators."""
        return self.shape[:1] if self.stencil is None else self.stencil.size

    @property
    def has_symbol(self) -> bool:
        """Whether the operator is a stencil with circular padding, whose symbol has its eigenvalues."""
        return self.stencil is not None and self.stencil.padding == "circular"

    @cached_property
    def has_adjoint(self) -> bool:
        """Whether products with the adjoint are known."""
        try:
            self.products.rmatvec(np.zeros(self.shape[0], dtype=self.products.dtype))
        except NotImplementedError:
            return False
        return True

    @property
    def has_norm(self) -> bool:
        """Whether norms of polynomials of A can be computed: from blocks, or with products with the adjoint."""
        return self.has_symbol or self.shape[0] <= DENSE_IS_FASTER or self.has_adjoint

    @cached_property
    def is_hermitian(self) -> bool:
        """Whether the matrix is Hermitian up to rounding; False where it isn't known."""
        if self.matrix is None:
            return False
        difference = abs(self.matrix - self.matrix.conj().T).max()
        return bool(difference <= 8 * np.finfo(float).eps * abs(self.matrix).max())

    @cached_property
    def norm_bound(self) -> float:
        """The upper bound sqrt(|A|_1 |A|_inf) of the 2-norm, 1 for 0; an estimate if only products are known."""
        if self.stencil is not None:
            return self.stencil.norm_bound
        if self.matrix is not None:
            sizes = abs(self.matrix)
            return float(np.sqrt(sizes.sum(axis=0).max()) * np.sqrt(sizes.sum(axis=1).max())) or 1.0
        b = np.random.default_rng(self.shape[0]).standard_normal(self.shape[0]).astype(self.products.dtype)
        length, largest = float(np.linalg.norm(b)), 0.0
        for _ in range(_STEPS):
            b = self.products.matvec(b / length)
            length = _length(b)
            if not 0 < length < math.inf:
                break
            largest = max(largest, length)
        return largest or 1.0

    def normalized(self) -> tuple[GeneralOperator, float]:
        """Return the operator divided by a power of two near its norm, and that power; the division is exact."""
        scale = power_of_two(self.norm_bound)
        if scale == 1.0:
            return self, scale
        matrix = None if self.matrix is None else self.matrix / scale
        if self.stencil is not None:
            stencil = replace(self.stencil, kernel=self.stencil.kernel / scale)
            return GeneralOperator(stencil.products(), matrix, stencil, self.name), scale
        products = self.products * (1 / scale) if matrix is None else aslinearoperator(matrix)
        return GeneralOperator(products, matrix, None, self.name), scale

    def blocks(self) -> Inexact[np.ndarray, "k m m"] | None:
        """Return the symbol's blocks at all frequencies, or the dense matrix as one block; None if it is too large."""
        if self.stencil is not None and self.has_symbol:
            return self.stencil.symbol()
        n = self.shape[0]
        if n > DENSE_LIMIT:
            return None
        if issparse(self.matrix):
            return self.matrix.toarray()[None]
        if self.matrix is not None:
            return self.matrix[None]
        columns = [self.products.matvec(unit) for unit in np.eye(n, dtype=self.products.dtype)]
        return np.stack(columns, axis=1)[None]

    def as_convolution(self) -> Convolution:
        """Return a real operator that fits into a dense matrix as a 1x1 convolution of one pixel.

        Raises
        ------
        InputError
            If it is complex or too large.
        """
        blocks = None if self.is_complex or self.shape[0] > DENSE_LIMIT else replace(self, stencil=None).blocks()
        if blocks is None:
            raise InputError(
                f"{self.name}: expected a convolution, or a real matrix of at most {DENSE_LIMIT:,} unknowns, "
                f"got {self!r}"
            )
        return Convolution.of(blocks[0][:, :, None, None], 1, name=self.name)

    def require_square(self, what: str) -> None:
        """Do nothing, as a `Convolution` that is square does."""


def as_operator(
    A: Any, size: int | tuple[int, ...] | None = None, *, padding: str = "circular", name: str = "A"
) -> Convolution | GeneralOperator:
    """Return a square linear operator.

    Parameters
    ----------
    A : array, sparse matrix or array, LinearOperator, callable, or torch.nn.Conv2d
        - Without a size: a square matrix, dense or sparse, or a ``scipy.sparse.linalg.LinearOperator``, real or
          complex. A dense matrix of 3 x 3 is refused, as it could be a stencil: make it sparse.
        - With a size: an array is a stencil with as many dimensions as the grid, or a kernel with channels
          (c, c, ...) with two more. If the size is one number, arrays of 1, 2 and 3 dimensions are stencils, those of
          4 and 5 kernels in two and three dimensions. A callable x -> A x gets vectors, or arrays of the size if that
          has several numbers.
    size : int or tuple of int, optional
        The grid of a stencil, the number of unknowns of a callable, or the shape of the arrays that it takes.
    padding : ``"circular"`` or ``"zeros"``
        Of stencils.
    name : str
        Name in messages.

    Returns
    -------
    Convolution or GeneralOperator
        A convolution for real stencils in one and two dimensions, and for layers.

    Raises
    ------
    InputError
        If A is of another kind, not square or not finite, or its size is missing.

    Examples
    --------
    The 5-point Laplacian, and the one in one dimension:

    >>> as_operator(np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]]), size=16).shape
    (256, 256)
    >>> as_operator([-1, 2, -1], size=16).size
    (1, 16)
    """
    if isinstance(A, (Convolution, GeneralOperator)) or issparse(A) or isinstance(A, LinearOperator):
        _require_no_size(size, A)
        return A if isinstance(A, (Convolution, GeneralOperator)) else _of_matrix(A, name)
    if hasattr(A, "forward"):
        # A layer: `Convolution.of` refuses other modules.
        if size is None:
            raise _no_size(f"a {type(A).__name__}")
        if is_conv2d(A):
            name = "weight" if name == "A" else name
        return Convolution.of(A, _two_numbers(size), padding=padding, name=name)
    if callable(A):
        return _of_products(A, size, name)
    array = _numbers(A, name)
    if size is not None:
        return _of_stencil(array, size, padding, name)
    if array.shape == _AMBIGUOUS:
        raise InputError(
            f"{name}: a 3x3 array without a size could be a stencil or a matrix: give size=(H, W) for the stencil, "
            "scipy.sparse.csr_array(A) for the matrix",
            fields=("size",),
        )
    if array.ndim != 2:
        raise _no_size(f"an array of shape {array.shape}, which is no matrix")
    return _of_matrix(array, name)


def products_of(operator: Convolution | GeneralOperator) -> LinearOperator:
    """Return the products of an operator with vectors."""
    return operator.products if isinstance(operator, GeneralOperator) else linear_operator(operator)


def _of_matrix(A: Any, name: str) -> GeneralOperator:
    """Return the operator of a matrix or of scipy's LinearOperator."""
    if len(A.shape) != 2 or A.shape[0] != A.shape[1] or not A.shape[0]:
        raise InputError(f"{name}: expected a square matrix, got shape {tuple(A.shape)}")
    if isinstance(A, LinearOperator):
        if A.dtype.kind not in "fc":
            A = LinearOperator(A.shape, matvec=A.matvec, rmatvec=A.rmatvec, dtype=np.float64)
        return GeneralOperator(A, name=name)
    matrix = A.tocsr() if issparse(A) else A
    matrix = matrix.astype(np.complex128 if matrix.dtype.kind == "c" else np.float64)
    entries = matrix.data if issparse(matrix) else matrix
    if not np.isfinite(entries).all():
        bad = int(entries.size - np.isfinite(entries).sum())
        raise InputError(f"{name}: {bad} of {entries.size} entries of the matrix are NaN or infinite; expected numbers")
    return GeneralOperator(aslinearoperator(matrix), matrix, name=name)


def _of_products(product: Callable[[Any], Any], size: Any, name: str) -> GeneralOperator:
    """Return the operator of a function x -> A x."""
    if size is None:
        raise _no_size("a function")
    shape = (size,) if np.ndim(size) == 0 else tuple(size)
    shape = tuple(whole(n, f"{name}: size") for n in shape)
    n = math.prod(shape)
    if min(shape, default=0) < 1:
        raise InputError(f"{name}: expected a size of at least 1, got {size}", fields=("size",))

    def matvec(x: Any) -> Any:
        return np.asarray(product(np.asarray(x).reshape(shape))).reshape(-1)

    first = np.asarray(product(np.ones(shape)))
    if first.shape != shape or first.dtype.kind not in "fciub" or not np.isfinite(first).all():
        raise InputError(
            f"{name}: expected a function that maps an array of shape {shape} to finite numbers of the same shape, got "
            f"shape {first.shape} of {first.dtype}; its size is the shape of what it takes"
        )
    dtype = np.complex128 if first.dtype.kind == "c" else np.float64
    return GeneralOperator(LinearOperator((n, n), matvec=matvec, dtype=dtype), name=name)


def _of_stencil(array: Inexact[np.ndarray, "..."], size: Any, padding: str, name: str) -> Convolution | GeneralOperator:
    """Return the operator of an array of weights on a grid."""
    if array.ndim == 2 and np.ndim(size) == 0 and array.shape == (size, size) and array.shape != _AMBIGUOUS:
        raise InputError(
            f"{name}: a {size} x {size} array with the size {size} could be a matrix or a stencil: leave the size out "
            "for the matrix, give size=(H, W) for the stencil",
            fields=("size",),
        )
    stencil = Stencil.of(array, size, padding, name)
    if len(stencil.size) > 2 or array.dtype.kind == "c":
        if not np.isfinite(array).all():
            raise InputError(f"{name}: expected a stencil of finite numbers, got NaN or infinite entries")
        # The symbol of a periodic stencil has its eigenvalues; the others need the matrix.
        return GeneralOperator(stencil.products(), stencil.matrix if padding == "zeros" else None, stencil, name)
    kernel, grid = stencil.kernel, stencil.size
    if len(grid) == 1:
        kernel, grid = kernel[:, :, None, :], (1, *grid)
    return Convolution.of(kernel, _two_numbers(grid), padding=padding, name=name)


def _length(b: Inexact[np.ndarray, "n"]) -> float:
    """Return the 2-norm of a vector, also where the squares of its entries overflow or vanish."""
    largest = float(np.abs(b).max())
    if not 0 < largest < math.inf:
        return largest
    unit = power_of_two(largest)
    return unit * float(np.linalg.norm(b / unit))


def _numbers(A: Any, name: str) -> Inexact[np.ndarray, "..."]:
    """Return an array of float64 or complex128, or raise InputError."""
    try:
        array = as_array(A)
    except (TypeError, ValueError):
        array = np.empty(0, dtype=object)
    if array.dtype.kind not in "fciub":
        raise InputError(
            f"{name}: expected a square matrix (dense or sparse), a scipy LinearOperator, a function, a stencil or a "
            f"torch.nn.Conv2d, got {type(A).__name__}"
        )
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def _two_numbers(size: Any) -> tuple[int, int]:
    """Return the height and width of a grid; `Convolution.of` checks them."""
    return size if np.ndim(size) else (size, size)


def _require_no_size(size: Any, A: Any) -> None:
    """Raise InputError if a size is given for what has one."""
    if size is not None:
        raise InputError(f"a {type(A).__name__} has a size of its own, and size {size} was given; leave it out")


def _no_size(what: str) -> InputError:
    """Return the error for a missing size."""
    return InputError(
        f"{what} needs a size: expected size=(H, W) for a stencil or a layer, size=n for a function of vectors",
        fields=("size",),
    )
