"""Files that are made to take long, to take memory, to run code, or to write to the terminal."""

from __future__ import annotations

import copy
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from bounds import within
from commands import fails, run

import polyroots as pr
from polyroots.checkpoints import read_layers
from polyroots.errors import FileError
from polyroots.limits import without_limits
from polyroots_cli.layer_names import layer_names

_MIB = 2**20
#: Names as a file may have them: they colour a terminal, change its title, turn the direction of writing, break lines.
EVIL = "\x1b[31mred\x1b]0;title\x07\u202eevil\n\r\x9b2J\ud800"


def archive(path: Path, content: bytes, **others: bytes) -> Path:
    """Write a zip file as torch.save does, with any pickle."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", content)
        file.writestr("archive/version", "3\n")
        for name, data in others.items():
            file.writestr(f"archive/{name.replace('_', '/')}", data)
    return path


def zeros(path: Path, name: str, mebibytes: int) -> Path:
    """Write an archive with an entry of zeros, a thousandth of its size."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        if name != "archive/data.pkl":
            file.writestr("archive/data.pkl", b"\x80\x02N.")
        with file.open(name, "w", force_zip64=True) as stream:
            for _ in range(mebibytes):
                stream.write(bytes(_MIB))
    return path


def empty_tensors(path: Path, count: int) -> Path:
    """Write an archive whose list has as many empty entries, all of them in one place."""
    name = b"archive/data/0"
    entry = b"PK\1\2" + bytes(24) + struct.pack("<H", len(name)) + bytes(16) + name
    first = b"PK\3\4" + bytes(22) + struct.pack("<HH", len(name), 0) + name
    end = b"PK\5\6" + bytes(4) + struct.pack("<HHIIH", *(min(count, 0xFFFF),) * 2, count * len(entry), len(first), 0)
    path.write_bytes(first + count * entry + end)
    return path


# The function encode, a text of a million letters, and the name of an encoding are kept as numbers 0, 1 and 2.
ENCODED = b"\x80\x02c_codecs\nencode\nq\0X@B\x0f\0" + b"a" * 10**6 + b"q\1X\6\0\0\0latin1q\x0200%s."
HUNGRY: dict[str, Any] = {
    "a pickle of zeros": (lambda path: zeros(path, "archive/data.pkl", 150), "15[01] MiB of content"),
    "a tensor of zeros": (lambda path: zeros(path, "archive/data/0", 150), "15[01] MiB of content"),
    "nothing but brackets": (lambda path: archive(path, b"\x80\x02(" + b"}" * 1_500_000 + b"e."), "1,000,001 instr"),
    "a deep list": (
        lambda path: archive(path, b"\x80\x02" + b"]" * 700_000 + b"a" * 700_000 + b"."),
        "1,000,001 instr",
    ),
    "a far place in the memo": (lambda path: archive(path, b"\x80\x02Nr\xff\xff\xff\xff."), "4,294,967,295 objects"),
    "an array that is made": (
        lambda path: archive(path, b"\x80\x02c__builtin__\nbytearray\n(J\0\0\0\x7ftR."),
        "2,032 MiB of bytes in an array",
    ),
    "a slow encoding": (
        lambda path: archive(
            path, b"\x80\x02c_codecs\nencode\n(X" + struct.pack("<I", 9) + b"a" * 9 + b"X\x08\0\0\0punycodetR."
        ),
        "encodes text in a way that takes long",
    ),
    "a text that is encoded again and again": (
        lambda path: archive(path, ENCODED % (b"0(" + b"h\0h\1h\2\x86R" * 1000 + b"l")),
        "95[34] MiB of copies of text",
    ),
    "arguments that are taken again and again": (
        lambda path: archive(path, ENCODED % (b"h\1h\2\x86q\3" + b"0h\0h\3R" * 1000)),
        "95[34] MiB of copies of text",
    ),
    "a long pickle without an archive": (
        lambda path: path.write_bytes(b"\x80\x02" + b"N0" * 600_000 + b"N."),
        "1,000,001 instructions",
    ),
    "entries of stride 0": (
        lambda path: torch.save({"a.weight": torch.ones(1).expand(2**20, 2**14, 3, 3)}, path),
        "589,824 MiB of tensors",
    ),
    "many tensors of stride 0": (
        lambda path: torch.save({f"{i}.weight": torch.ones(1).expand(2**20) for i in range(50)}, path),
        "200 MiB of tensors",
    ),
    "a long name": (lambda path: torch.save({"a" * 100_000: torch.ones(2, 2, 3, 3)}, path), "100,000 characters in a"),
}


# Refused after a million instructions. The limit of time is for the plain program, which checks no types in each call.
_LONG_PICKLES = {"nothing but brackets", "a deep list", "a long pickle without an archive"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in _LONG_PICKLES else ()) for name in HUNGRY]
)
def test_what_a_file_declares_is_counted_first(tmp_path: Path, name: str) -> None:
    write, message = HUNGRY[name]
    path = tmp_path / "file.pt"
    write(path)
    with within(4, 500):
        for read in (read_layers, pr.load_checkpoint):
            with pytest.raises(FileError, match=message) as caught:
                read(path)
            assert "--no-limits" in str(caught.value) or "encodes" in str(caught.value)


def test_a_file_that_goes_while_it_is_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.pt"
    torch.save({"a.weight": torch.ones(2, 2, 3, 3)}, path)

    def gone(path: Path, **options: Any) -> None:
        path.unlink()
        raise FileNotFoundError(2, "No such file or directory", str(path))

    monkeypatch.setattr("polyroots.checkpoints.reading._load", gone)
    with pytest.raises(FileError, match=r"^no file .*file\.pt: expected a checkpoint"):
        pr.load_checkpoint(path)


def test_many_empty_entries_are_counted_at_the_end_of_the_archive(tmp_path: Path) -> None:
    path = empty_tensors(tmp_path / "file.pt", 400_000)
    with within(2), pytest.raises(FileError, match="bytes in its list of entries"):
        read_layers(path)


def test_honest_giants_are_read_if_they_are_trusted(tmp_path: Path) -> None:
    torch.save({"a" * 3000 + ".weight": torch.ones(2, 2, 3, 3)}, tmp_path / "giant.pt")
    assert "3,007 characters" in fails("spectrum", tmp_path / "giant.pt", "--list")
    run("--no-limits", "spectrum", tmp_path / "giant.pt", "--list")
    with without_limits():
        assert len(read_layers(tmp_path / "giant.pt").layers) == 1
    with pytest.raises(FileError, match="3,007 characters"):
        read_layers(tmp_path / "giant.pt")


def test_types_that_a_file_may_name_are_not_called(tmp_path: Path) -> None:
    """A factory of a defaultdict is one; as text of itself a nested list of ten times ten would fill the memory."""
    nested = b"]q\0" + b"".join(b"](" + bytes([104, level]) * 10 + b"eq" + bytes([level + 1]) for level in range(30))
    archive(tmp_path / "file.pt", b"\x80\x02" + nested + b"c__builtin__\nstr\nq\xffh\x1e\x85R.")
    with within(2), pytest.raises(FileError):
        read_layers(tmp_path / "file.pt")


def test_a_list_in_itself_is_read_once(tmp_path: Path) -> None:
    archive(tmp_path / "file.pt", b"\x80\x02}q\0(" + b"".join(b"K" + bytes([n]) + b"h\0" for n in range(200)) + b"u.")
    with within(2), pytest.raises(FileError, match="holds no convolution"):
        read_layers(tmp_path / "file.pt")


ALTERED: dict[str, Any] = {
    "config": [1, 2],
    "config.name": 3,
    "config.channels": [2**40, 2**40],
    "config.image_size": [2**30, 2**30],
    "config.num_classes": -1,
    "model": {1: torch.ones(2)},
    "model.head.weight": 3,
    "model.head.bias": torch.ones(10).to_sparse(),
    "model.levels.0.A.weight": torch.ones(6, 6, 3, 3, dtype=torch.complex64),
    "model.levels.1.A.weight": torch.ones(6, 6, 3, 3, device="meta"),
    "polyroots": torch.ones(3),
    "init": [1],
    "init.levels": 3,
    "init.levels.0.blocks": [{"letter": "Q"}],
    "init.levels.0.diagnosis": {},
    "init.strategy": {},
    "init.padding": "zero",
    "training": "x",
    "training.epoch": "x",
    "training.step": -1,
    "training.state": 3,
    "training.classes": 3,
    "training.mean": ["a"],
    "training.std": [0.0],
    "training.config": {},
}


@pytest.mark.parametrize("place", ALTERED)
def test_an_altered_checkpoint_is_refused_in_one_sentence(
    trained: tuple[Path, str], tmp_path: Path, place: str
) -> None:
    document: Any = torch.load(trained[0] / "last.pt")
    *parents, last = _parts(place)
    holder = copy.deepcopy(document)
    inner = holder
    for part in parents:
        inner = inner[part]
    inner[last] = ALTERED[place]
    torch.save(holder, tmp_path / "file.pt")
    message = fails("evaluate", tmp_path / "file.pt")
    assert str(tmp_path) in message
    assert len(message) < 600
    fails("init", tmp_path / "file.pt", "--out", tmp_path / "init.pt")
    fails("train", "--init", tmp_path / "file.pt", "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def _parts(place: str) -> list[Any]:
    """Return the keys of a place; a name in the state dict is one key."""
    if place.startswith("model."):
        return ["model", place.removeprefix("model.")]
    return [int(part) if part.isdigit() else part for part in place.split(".")]


def test_weights_of_other_channels_take_no_memory(trained: tuple[Path, str], tmp_path: Path) -> None:
    """The network of the configuration would have 150 GB of weights."""
    document = torch.load(trained[0] / "last.pt")
    document["config"]["channels"] = [65_536, 65_536]
    torch.save(document, tmp_path / "file.pt")
    assert "don't fit its own configuration" in fails("init", tmp_path / "file.pt", "--out", tmp_path / "init.pt")


def test_a_nested_tensor_is_refused(tmp_path: Path) -> None:
    torch.save({"a.weight": torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])}, tmp_path / "file.pt")
    assert "holds a nested tensor" in fails("spectrum", tmp_path / "file.pt")


def evil_network(path: Path) -> Path:
    """Write a state dict with names that are made for a terminal; as pickle would write them, surrogates included."""
    name = f"{EVIL}[/red]$x_{{$.weight"
    content = {"a.weight": torch.randn(3, 3, 3, 3), "b.weight": torch.randn(3, 4, 3, 3)}
    torch.save(content, path.with_suffix(".plain"))
    with zipfile.ZipFile(path.with_suffix(".plain")) as plain, zipfile.ZipFile(path, "w") as file:
        for entry in plain.namelist():
            data = plain.read(entry)
            for old in (b"a.weight", b"b.weight"):
                new = (old[:1] + name.encode("utf-8", "surrogatepass")) if entry.endswith("data.pkl") else old
                data = data.replace(b"X\x08\0\0\0" + old, b"X" + struct.pack("<I", len(new)) + new)
            file.writestr(entry, data)
    return path


@pytest.mark.parametrize(
    "options", [("--list",), ("--kind", "both", "--size", 4), ("--layer", "c"), ("--stride", "c=2")]
)
def test_names_reach_no_terminal_as_they_are(tmp_path: Path, options: tuple[Any, ...]) -> None:
    path = evil_network(tmp_path / "file.pt")
    code = 0 if options[0] in ("--list", "--kind") else 1
    result = run("spectrum", path, *options, exit_code=code)
    text = result.stdout + result.stderr
    assert "\\x1b[31mred\\x1b]0;title\\x07\\u202eevil" in text
    assert all(character == "\n" or character.isprintable() for character in text)


def test_values_of_options_and_paths_neither(tmp_path: Path) -> None:
    name = EVIL.removesuffix("\ud800")
    for arguments, code in (
        (["spectrum", name], 1),
        (["spectrum", "x", "--size", name], 2),
        (["spectrum", "x", f"--{name}"], 2),
        ([name], 2),
        (["train", "--model", name], 2),
        (["evaluate", tmp_path / name], 1),
    ):
        result = run(*arguments, exit_code=code)
        assert all(character == "\n" or character.isprintable() for character in result.stderr), arguments


def test_code_in_a_document_is_named_and_not_run(tmp_path: Path) -> None:
    class Runs:
        def __reduce__(self) -> Any:
            return print, (EVIL,)

    (tmp_path / "file.pt").write_bytes(pickle.dumps({"a": Runs()}, protocol=2))
    message = fails("spectrum", tmp_path / "file.pt")
    assert "red" not in message


def test_an_archive_on_several_disks_is_said(tmp_path: Path) -> None:
    """zipfile.is_zipfile itself raises an error for it."""
    path = tmp_path / "disks.pt"
    path.write_bytes(b"PK\x06\x07" + struct.pack("<LQL", 0, 0, 2) + b"PK\x05\x06" + bytes(18))
    for read in (pr.load_checkpoint, read_layers):
        with pytest.raises(pr.FileError, match=r"disks\.pt is"):
            read(path)
    assert layer_names(path) == []
