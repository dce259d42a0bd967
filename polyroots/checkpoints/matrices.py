"""Files with one matrix: MatrixMarket, and the sparse matrices of scipy."""

from __future__ import annotations

from pathlib import Path
from zipfile import BadZipFile, ZipFile

from scipy.sparse import csr_array, load_npz

from polyroots.errors import FileError, InputError
from polyroots.files import require_readable
from polyroots.limits import is_archive

_MATRIX_MARKET = (".mtx", ".mtx.gz", ".mtx.bz2")
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
    except (BadZipFile, OSError):
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
        If the file is missing or damaged.
    InputError
        If the matrix is not square.
    """
    from scipy.io import mmread

    path = Path(path)
    require_readable(path)
    try:
        matrix = load_npz(path) if path.suffix.lower() == ".npz" else mmread(path, spmatrix=False)
    except (ValueError, OverflowError, OSError, EOFError, KeyError, TypeError, BadZipFile, StopIteration) as error:
        raise FileError(
            f"{path} is damaged: expected a matrix in the format of MatrixMarket or of scipy.sparse.save_npz ({error})"
        ) from error
    if len(matrix.shape) != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.shape[0]:
        raise InputError(
            f"{path}: expected a square matrix, got {' x '.join(f'{n:,}' for n in matrix.shape)}; others have no "
            "eigenvalues"
        )
    return csr_array(matrix)
