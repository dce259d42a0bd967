"""Files of matrices that are damaged, or declare far more than they hold."""

from __future__ import annotations

import gzip
import io
import random
import zipfile
from pathlib import Path

import numpy as np
import pytest
from bounds import within
from scipy.io import mmwrite
from scipy.sparse import csr_array, save_npz

from polyroots.checkpoints import holds_matrix, read_matrix
from polyroots.errors import FileError, InputError

HEADER = "%%MatrixMarket matrix "


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "coordinate real general\n1000000000 1000000000 1\n1 1 1.0\n",
        "coordinate complex hermitian\n10 10 3000000\n1 1 1.0 0.0\n",
        "array real general\n100000 100000\n1.0\n",
    ],
)
def test_what_a_matrix_declares_is_counted_first(tmp_path: Path, text: str) -> None:
    path = tmp_path / "A.mtx"
    path.write_text(HEADER + text)
    with within(2, 500), pytest.raises(FileError, match=r"A\.mtx has [\d,]+ MiB of rows and entries"):
        read_matrix(path)


def arrays(path: Path, **given: object) -> Path:
    """Write a file as save_npz does, with other arrays."""
    A = csr_array(np.eye(3))
    known = {"indices": A.indices, "indptr": A.indptr, "format": b"csr", "shape": A.shape, "data": A.data}
    np.savez(path, **{**known, **given})
    return path


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"format": b"coo", "row": [0], "col": [0], "data": [1.0], "shape": [10**9, 10**9]}, "MiB of rows"),
        ({"indices": [0, 1, 10**6]}, "is damaged"),
        ({"indptr": [0, 1, 2, 900]}, "is damaged"),
    ],
)
def test_arrays_that_fit_no_matrix_are_refused(tmp_path: Path, given: dict[str, object], message: str) -> None:
    with pytest.raises(FileError, match=message):
        read_matrix(arrays(tmp_path / "A.npz", **given))


def test_an_archive_of_zeros_is_no_matrix(tmp_path: Path) -> None:
    path = arrays(tmp_path / "A.npz")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as file, file.open("z.npy", "w") as stream:
        for _ in range(150):
            stream.write(bytes(2**20))
    with pytest.raises(FileError, match=r"15[01] MiB of content"):
        read_matrix(path)


@pytest.mark.parametrize("end", [b"1\0", b"1\0\n", b"1G", b"1", b"1\n"])
def test_a_text_without_an_end_ends_no_process(tmp_path: Path, end: bytes) -> None:
    """scipy's own reader ends the process for the first and the third."""
    path = tmp_path / "A.mtx"
    path.write_bytes(f"{HEADER}coordinate real general\n2 2 2\n1 1 1\n2 2 ".encode() + end)
    for copy in (path, compressed(path)):
        if end.strip() == b"1":
            np.testing.assert_array_equal(read_matrix(copy).toarray(), np.eye(2))
        elif b"\0" in end:
            with pytest.raises(FileError, match="is damaged"):
                read_matrix(copy)
        else:
            assert read_matrix(copy).shape == (2, 2)


def compressed(path: Path) -> Path:
    copy = path.with_name("A.mtx.gz")
    copy.write_bytes(gzip.compress(path.read_bytes()))
    return copy


def test_a_compressed_text_of_zeros_is_no_matrix(tmp_path: Path) -> None:
    (tmp_path / "A.mtx.gz").write_bytes(gzip.compress(bytes(150 * 2**20), 1))
    with pytest.raises(FileError, match="129 MiB of text"):
        read_matrix(tmp_path / "A.mtx.gz")


def test_damaged_matrices_are_refused_in_a_sentence(tmp_path: Path) -> None:
    """Each of 400 copies has a byte changed; zlib, tokenize and zipfile raise errors of their own for some."""
    A = csr_array(np.diag(np.arange(1.0, 40)) + np.eye(39, k=1))
    whole = {}
    save_npz(tmp_path / "A.npz", A)
    stream = io.BytesIO()
    mmwrite(stream, A)
    whole = {"A.npz": (tmp_path / "A.npz").read_bytes(), "A.mtx": stream.getvalue()}
    rng = random.Random(5)
    refused = 0
    for name, content in whole.items():
        for _ in range(200):
            damaged = bytearray(content)
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
            (tmp_path / name).write_bytes(damaged)
            try:
                if holds_matrix(tmp_path / name):
                    read_matrix(tmp_path / name)
            except (FileError, InputError):
                refused += 1
    assert refused > 100


def test_a_directory_that_zipfile_does_not_read_holds_no_matrix(tmp_path: Path) -> None:
    path = arrays(tmp_path / "A.npz")
    content = bytearray(path.read_bytes())
    place = content.rindex(b"PK\1\2")
    content[place + 6] = 99  # the version that is needed
    path.write_bytes(content)
    assert not holds_matrix(path)
