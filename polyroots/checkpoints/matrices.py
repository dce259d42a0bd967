"""Files with one matrix: MatrixMarket, and the sparse matrices of scipy."""

from __future__ import annotations

import bz2
import gzip
import io
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from scipy.sparse import csr_array, load_npz

from polyroots.errors import FileError, InputError
from polyroots.files import require_readable
from polyroots.limits import DAMAGED, is_archive, read_at_most, require_archive, require_size
from polyroots.text import shortened

_MATRIX_MARKET = (".mtx", ".mtx.gz", ".mtx.bz2")
# Bytes of a number, or of an index.
_NUMBER = 8
# The arrays in each file of scipy.sparse.save_npz, and in no other archive of numpy.
_OF_SCIPY = {"format.npy", "shape.npy", "data.npy"}


def holds_matrix(path: str | Path) -> bool:
    """Return whether a file is one of a matrix, by its name and, for ``.npz``, by the arrays in it."""
    path = Path(path)
    if path.name.lower().endswith(_MATRIX_MARKET):
        return True
    if path.suffix.lower() != ".npz" or not path.is_file() or not is_archive(path):
        return False
    try:
        with ZipFile(path) as archive:
            return is_of_scipy(archive.namelist())
    except DAMAGED:
        return False


def is_of_scipy(names: list[str]) -> bool:
    """Return whether the names in an archive are those of a sparse matrix of scipy."""
    return set(names) >= _OF_SCIPY


def read_matrix(path: str | Path) -> csr_array:
    """Return the square matrix in a MatrixMarket file or an ``.npz`` file of ``scipy.sparse.save_npz``.

    Parameters
    ----------
    path : str or Path
        MatrixMarket files may be compressed.

    Returns
    -------
    csr_array
        Real or complex; symmetric, skew-symmetric and Hermitian ones of MatrixMarket in full.

    Raises
    ------
    FileError
        If the file is missing or damaged, or declares a far larger matrix than it can hold.
    InputError
        If the matrix is not square.
    """
    path = Path(path)
    require_readable(path)
    try:
        matrix = _of_scipy(path) if path.suffix.lower() == ".npz" else _of_matrix_market(path)
    except FileError:
        raise
    except Exception as error:  # Damaged archives make zipfile, zlib, numpy and its parser of headers raise any error.
        raise FileError(
            f"{path} is damaged: expected a matrix in the format of MatrixMarket or of scipy.sparse.save_npz "
            f"({shortened(str(error), 150) or type(error).__name__})"
        ) from error
    if len(matrix.shape) != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.shape[0]:
        raise InputError(
            f"{path}: expected a square matrix, got {' x '.join(f'{n:,}' for n in matrix.shape)}; others have no "
            "eigenvalues"
        )
    return csr_array(matrix)


def _of_scipy(path: Path) -> Any:
    """Return the matrix in a file of scipy.sparse.save_npz."""
    require_archive(path)
    matrix = load_npz(path)
    # Rows in compressed formats have a number each, which the other formats don't store.
    require_size(path, _NUMBER * matrix.shape[0], "rows")
    if hasattr(matrix, "check_format"):
        # Indices out of range would be read, and written, beyond the arrays.
        matrix.check_format(full_check=True)
    return matrix


def _of_matrix_market(path: Path) -> Any:
    """Return the matrix in a MatrixMarket file, of which the first line declares the size."""
    from scipy.io import mminfo, mmread

    opened: Any = {".gz": gzip.open, ".bz2": bz2.open}.get(path.suffix.lower(), open)
    with opened(path, "rb") as stream:
        content = read_at_most(path, stream, "text")
    # scipy looks for the end of a line until it finds one, also beyond a zero byte and the end of the text.
    if b"\0" in content:
        raise ValueError("it is no text")
    content += b"\n"
    rows, _, entries, _, _, symmetry = mminfo(io.BytesIO(content))
    # A complex entry has four numbers: two indices, and two parts.
    count = rows + 4 * entries * (1 if symmetry == "general" else 2)
    require_size(path, _NUMBER * count, "rows and entries")
    return mmread(io.BytesIO(content), spmatrix=False)
