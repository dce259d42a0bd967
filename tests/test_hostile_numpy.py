"""Numbers and arrays of numpy in pickles: honest ones are read, those that take more memory than the file refused."""

from __future__ import annotations

import pickle
import resource
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import polyroots as pr
from polyroots.checkpoints.reading import read_document

SCALAR = b"cnumpy._core.multiarray\nscalar\n"
RECONSTRUCT = b"cnumpy._core.multiarray\n_reconstruct\n"


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def dtype(name: str) -> bytes:
    return b"cnumpy\ndtype\n" + text(name) + b"\x85R"


#: A text of one letter, whose state makes it one of 2 GB.
ENLARGED = dtype("S1") + b"(K\3" + text("|") + b"NNNJ\0\0\0\x77K\1K\0tb"


@pytest.mark.parametrize(
    "content",
    [
        SCALAR + dtype("V2000000000") + b"\x85R",
        SCALAR + dtype("S2000000000") + b"\x85R",
        SCALAR + dtype("S9") + b"\x85R",
        SCALAR + ENLARGED + b"\x85R",
        SCALAR + ENLARGED + b"U\1a\x86R",
        # An array of objects is filled with None when it is made.
        RECONSTRUCT + b"(cnumpy\nndarray\n(J\0\0\0\x08t" + text("O") + b"tR(K\1(J\0\0\0\x08t" + dtype("O") + b"\x89]tb",
        b"cnumpy.dtypes\nStrDType\nJ\0\0\0\x10\x85R",
        b"cnumpy\nndarray\n(J\0\0\0\x08t" + text("O") + b"\x86R",
        b"cnumpy\ndtype\n](" + text("a") + text("f8") + b"\x86e\x85R",
    ],
)
def test_what_takes_more_memory_than_the_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.pt"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a/data.pkl", b"\x80\x02" + content + b".")
        file.writestr("a/version", "3\n")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if content.endswith(b"\x86R") and content.startswith(b"cnumpy\nndarray"):
        assert read_document(path) is None
    else:
        with pytest.raises(pr.FileError):
            read_document(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024


def test_honest_content_is_read(tmp_path: Path) -> None:
    content: dict[str, Any] = {
        "array": np.arange(6.0).reshape(2, 3),
        "column": np.asfortranarray(np.arange(6, dtype="<i4").reshape(2, 3)),
        "swapped": np.arange(3, dtype=">f4"),
        "texts": np.array(["a", "bcd"]),
        "bytes": np.array([b"a", b"bcd"]),
        "days": np.array(["2024-02-29"], dtype="M8[D]"),
        "long": np.str_("x" * 5000),
        "number": np.float64(0.1),
        "half": np.float16(0.5),
        "truth": np.bool_(True),
        "day": np.datetime64("2024-02-29"),
        "type": np.dtype("<f4"),
    }
    torch.save(content, tmp_path / "file.pt")
    found = read_document(tmp_path / "file.pt")
    assert found.keys() == content.keys()
    for name, value in content.items():
        assert type(found[name]) is type(value)
        if name != "type":
            np.testing.assert_array_equal(found[name], value)
            # numpy itself reads swapped numbers into native ones.
            assert found[name].dtype == pickle.loads(pickle.dumps(value, 2)).dtype
    assert found["type"] == content["type"]
    assert found["column"].flags.f_contiguous
