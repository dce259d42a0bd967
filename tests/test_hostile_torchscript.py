"""Archives of TorchScript that are made to take long, or memory, or that hold no module."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import pytest
import torch
from bounds import within

from polyroots.checkpoints import read_layers
from polyroots.checkpoints.torchscript import read_torchscript
from polyroots.errors import FileError

#: An object without attributes, and how its attributes are given: keys and values follow, and END.
MODULE, END = b"c__torch__\nM\n)\x81", b"ub"


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def tensor(shape: bytes) -> bytes:
    """Return the instructions that make a tensor, with those of its shape."""
    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + b"K\0tQ"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\0" + shape + b"(K\1K\1K\1K\1t\x89NtR"


def script(path: Path, content: bytes, storage: bytes = b"") -> Path:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("w/data.pkl", b"\x80\x02" + content + b".")
        file.writestr("w/constants.pkl", b"")
        file.writestr("w/data/0", storage)
    return path


def levels(count: int) -> bytes:
    """Return a module that holds one twice, which holds one twice, and so on."""
    content = MODULE + b"}(" + text("weight") + tensor(b"(K\1K\1K\1K\1t") + END + b"q\0"
    for level in range(count):
        inner = b"h" + bytes([level])
        content += MODULE + b"}(" + text("a") + inner + text("b") + inner + END + b"q" + bytes([level + 1])
    return content


def many(attributes: int, times: int) -> bytes:
    """Return a module that holds one with many attributes many times."""
    inner = MODULE + b"}(" + b"".join(text(f"{n}") + b"N" for n in range(attributes)) + END + b"q\0"
    return inner + MODULE + b"}(" + b"".join(text(f"{n}") + b"h\0" for n in range(times)) + END


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"}", r"without its code \(it holds a dict and no module\)"),
        (MODULE + b"q\0}(" + text("a") + b"h\0" + END, r"without its code \(a module is in itself\)"),
        (MODULE + b"}(K\1" + tensor(b"(K\1K\1K\1K\1t") + END, "without its code"),
        (levels(30), "attributes of modules"),
        (many(10_000, 10_000), "attributes of modules"),
        (MODULE + b"}(" + text("a" * 2500) + tensor(b"(K\1K\1K\1K\1t") + END, "2,500 characters in a name"),
        (b"I0x1\n0Nr\0\0\0\x20", "is no checkpoint: expected a pickle"),
        (MODULE + b"}(" + text("a") + tensor(b"(J\xff\xff\xff\xffK\1K\1K\1t") + END, "a tensor without a shape"),
        (MODULE + b"}(" + text("a") + tensor(b"(" + b"K\1" * 99 + b"t") + END, "a tensor without a shape"),
    ],
    ids=range(9),
)
def test_hostile_modules_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = script(tmp_path / "w.pt", content)
    with within(4, 500), pytest.raises(FileError, match=message):
        read_layers(path)


def test_modules_in_several_others_are_read_under_each_name(tmp_path: Path) -> None:
    found = read_torchscript(script(tmp_path / "w.pt", levels(3), struct.pack("<f", 7)))
    assert list(found) == [f"{a}.{b}.{c}.weight" for a in "ab" for b in "ab" for c in "ab"]
    assert all(torch.equal(weight.read(), torch.full((1, 1, 1, 1), 7.0)) for weight in found.values())


def test_a_weight_without_numbers_is_not_made_up(tmp_path: Path) -> None:
    content = MODULE + b"}(" + text("a") + tensor(b"(K\2K\1K\1K\1t") + text("b") + tensor(b"(K\0K\1K\1K\1t") + END
    found = read_torchscript(script(tmp_path / "w.pt", content))
    assert found["b"].read().shape == (0, 1, 1, 1)
    with pytest.raises(FileError, match="is damaged: the tensor 0 can't be read"):
        found["a"].read()
