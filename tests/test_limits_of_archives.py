"""Archives that zipfile and torch read differently: their pickles are counted as torch reads them, or refused."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
import zlib
from pathlib import Path

import pytest
import torch

from polyroots.checkpoints import read_layers
from polyroots.errors import FileError
from polyroots.limits import require_pickles, without_limits
from polyroots_cli.layer_names import layer_names

#: A pickle with more instructions than are carried out, and a harmless one.
LONG = b"\x80\x02(" + b"]" * 1_200_000 + b"t."
SHORT = b"\x80\x02N."


def archive(**entries: bytes) -> bytes:
    """Return a zip file; two underscores in a name stand for a slash."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in {**entries, "a__version": b"3\n"}.items():
            file.writestr(name.replace("__", "/").replace("_dot_", "."), content)
    return stream.getvalue()


def wrong_checksum() -> bytes:
    """Return an archive whose pickle has another checksum than both of its headers say."""
    content = archive(a__data_dot_pkl=LONG)
    checksum = struct.pack("<I", zlib.crc32(LONG))
    assert content.count(checksum) == 2
    return content.replace(checksum, b"\0\0\0\0")


def two_directories() -> bytes:
    """Return an archive whose end declares the place of one directory, before which zipfile finds another one."""
    first = archive(a__data_dot_pkl=LONG)
    entries, end = first[:-22], first[-22:]
    (length,) = struct.unpack("<I", end[12:16])
    # zipfile takes the bytes before the end, and moves all places by the difference.
    second = archive(a__data_dot_pkl=SHORT)
    at = struct.unpack("<I", second[-6:-2])[0]
    directory = second[at:-22]
    assert len(directory) == length
    return entries + second[:at] + directory + end


def test_the_premise_that_torch_looks_at_no_checksum(tmp_path: Path) -> None:
    path = tmp_path / "file.pt"
    path.write_bytes(wrong_checksum())
    assert len(torch.load(path, weights_only=True)) == 1_200_000
    with zipfile.ZipFile(path) as file, pytest.raises(zipfile.BadZipFile):
        file.read("a/data.pkl")


WHOLE, OFF = "is no checkpoint: expected a whole zip archive", "is no checkpoint: expected a pickle, and it breaks off"
#: Files, whose archives have the time in them, with what is said of them.
ATTACKS = {
    "wrong checksum": (wrong_checksum(), "instructions"),
    "capitals": (archive(a__DATA_dot_PKL=LONG), "instructions"),
    "small letters and capitals": (archive(a__data_dot_pkl=SHORT, a__Data_dot_pkl=LONG), "instructions"),
    "two directories": (two_directories(), WHOLE),
    "a pickle before": (LONG + archive(a__data_dot_pkl=SHORT), "instructions"),
    "pickles before": (SHORT * 3 + LONG + archive(a__data_dot_pkl=SHORT), "instructions"),
    "a byte after": (archive(a__data_dot_pkl=SHORT) + b"\0", WHOLE),
    "a byte missing": (archive(a__data_dot_pkl=SHORT)[:-1], WHOLE),
    "a pickle without an end": (archive(a__data_dot_pkl=SHORT[:-1]), OFF),
    # Python's reader takes this number, pickletools doesn't.
    "a number that only Python reads": (archive(a__data_dot_pkl=b"\x80\x02I0x1\n."), OFF),
    "two long pickles": (
        archive(**{f"{n}__data_dot_pkl": b"(" + b"]" * 600_000 + b"t." for n in range(2)}),
        "instructions",
    ),
}


@pytest.mark.many_calls
@pytest.mark.parametrize("name", ATTACKS)
def test_what_torch_reads_is_counted_or_refused(tmp_path: Path, name: str) -> None:
    content, message = ATTACKS[name]
    path = tmp_path / "file.pt"
    path.write_bytes(content)
    for read in (require_pickles, read_layers):
        with pytest.raises(FileError, match=message):
            read(path)


def test_a_damaged_archive_with_another_compression_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as file:
        file.writestr("a/data.pkl", SHORT)
    with pytest.raises(FileError, match="expected a whole zip archive"):
        require_pickles(path)
    with without_limits():
        require_pickles(path)


def rewritten(path: Path, compression: int) -> None:
    """Write a file of torch.save anew with zipfile."""
    stored = path.with_suffix(".stored")
    path.rename(stored)
    with zipfile.ZipFile(stored) as source, zipfile.ZipFile(path, "w", compression) as file:
        for name in source.namelist():
            with file.open(name, "w", force_zip64=True) as stream:
                stream.write(source.read(name))


@pytest.mark.parametrize("compression", [None, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_honest_archives_pass(tmp_path: Path, compression: int | None) -> None:
    path = tmp_path / "file.pt"
    torch.save({f"{n}.weight": torch.ones(2, 2, 3, 3) for n in range(50)}, path)
    if compression is not None:
        rewritten(path, compression)
    require_pickles(path)
    assert len(read_layers(path).layers) == 50
    assert len(layer_names(path)) == 50


def test_the_older_format_passes_even_if_it_ends_as_a_damaged_archive(tmp_path: Path) -> None:
    path = tmp_path / "file.pt"
    torch.save({"a.weight": torch.ones(2, 2, 3, 3)}, path, _use_new_zipfile_serialization=False)
    with path.open("ab") as stream:
        stream.write(b"PK\x05\x06" + b"\xff" * 18)
    require_pickles(path)
    assert len(read_layers(path).layers) == 1


def test_a_number_that_only_python_reads_ends_the_older_format(tmp_path: Path) -> None:
    """The completion of a command line reads it with Python's own reader, and torch doesn't read it at all."""
    path = tmp_path / "file.pt"
    path.write_bytes(pickle.dumps(1, 2) * 3 + b"\x80\x02I0x1\n0Nr\0\0\0\x20.")
    assert layer_names(path) == []
    with pytest.raises(FileError, match="is no checkpoint"):
        require_pickles(path, whole=True)
    with pytest.raises(FileError, match="is no checkpoint: expected a file with a state dict"):
        read_layers(path)


@pytest.mark.parametrize("damage", ["not a zip file", "not deflated"])
def test_completion_answers_a_damaged_archive_with_no_names(tmp_path: Path, damage: str) -> None:
    """The checks of limits pass on what they don't look at, and zipfile reads the entry once more."""
    content = archive(a__data_dot_pkl=pickle.dumps({"a": 1}, 2))
    place = 30 + len("a/data.pkl")
    path = tmp_path / "file.pt"
    path.write_bytes(content.replace(b"a/data.pkl", b"b/data.pkl", 1) if "zip" in damage else flipped(content, place))
    with without_limits():
        assert layer_names(path) == []


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]
