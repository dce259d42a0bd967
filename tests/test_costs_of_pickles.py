"""Short pickles that take long or much memory: what their calls copy and their keys hash is counted first."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from bounds import within

from polyroots.errors import FileError
from polyroots.limits import require_pickles
from polyroots.limits.costs import Costs
from polyroots.limits.pickles import _operations

#: A list of 20,000 numbers, and a tuple that holds one twice, which holds one twice, and so on; remembered as 0.
LONG = b"](" + b"K\1" * 20_000 + b"eq\0"
NESTED = b"K\1" + b"q\0h\0\x86" * 60 + b"q\0"


def calls(name: bytes, before: bytes = LONG, count: int = 20_000) -> bytes:
    """Return a pickle that calls a function with the remembered object many times."""
    return before + b"c" + name + b"\nq\1h\0\x85q\2](" + b"h\1h\2R" * count + b"e"


HUNGRY = {
    "sizes": calls(b"torch\nSize"),
    "counters": calls(b"collections\nCounter"),
    "sets": calls(b"__builtin__\nset"),
    "dicts of a dict that grows": b"}q\0("
    + b"".join(b"M" + bytes([n % 256, n // 256]) + b"N" for n in range(10_000))
    + b"u"
    + calls(b"collections\nOrderedDict", b""),
    "states": LONG + b"cargparse\nNamespace\n)\x81" + b"h\0b" * 20_000,
    "a key that is a nested tuple": b"}" + NESTED + b"Ns",
    "keys that are a nested tuple": b"}(" + NESTED + b"Nu",
    "an entry of a set": b"c__builtin__\nset\n](" + NESTED + b"e\x85R",
    "arrays of zeros": b"c__builtin__\nbytearray\nq\1J\0\0\0\1\x85q\2](" + b"h\1h\2R" * 1000 + b"e",
    "keys with one hash": b"}("
    + b"".join(b"\x8a\x0c" + (n * (2**61 - 1)).to_bytes(12, "little") + b"N" for n in range(1, 20_000))
    + b"u",
    "a text that becomes longer": b"c_codecs\nencode\nq\1X\x04\0\0\0aaaa" + b"q\0h\1h\0X\3\0\0\0hex\x86R" * 60,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HUNGRY)
def test_costs_are_counted_first(tmp_path: Path, name: str) -> None:
    path = tmp_path / "file.pt"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a/data.pkl", b"\x80\x02" + HUNGRY[name] + b".")
    with within(4), pytest.raises(FileError, match="MiB of copies of text, of lists and of keys"):
        require_pickles(path)


@pytest.mark.slow
def test_honest_files_stay_far_below(tmp_path: Path) -> None:
    """As many tensors as a pickle may have instructions for: a network, and the state of its optimizer."""
    network = {f"layers.{n}.block.weight": torch.zeros(1, 1, 1, 1) for n in range(5000)}
    state = {
        n: {"step": torch.tensor(1.0), "exp_avg": torch.zeros(1), "exp_avg_sq": torch.zeros(1)} for n in range(4000)
    }
    groups = [{"params": list(range(5000)), "lr": 0.1}]
    history = {"loss": np.zeros(100_000), "names": [f"name {n}" for n in range(20_000)], "rng": torch.zeros(5000)}
    path = tmp_path / "file.pt"
    torch.save({"model": network, "optimizer": {"state": state, "param_groups": groups}, "history": history}, path)
    require_pickles(path)
    with zipfile.ZipFile(path) as file:
        content = file.read("file/data.pkl")
    costs = Costs()
    for operation, argument in _operations(io.BytesIO(content), 1):
        costs.follow(operation, argument)
    assert costs.total < 25 * 2**20
