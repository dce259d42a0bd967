"""Names of tensors that are made to take long, or memory."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from bounds import within
from safetensors.torch import save_file

from polyroots.checkpoints import read_layers
from polyroots.checkpoints.architecture import options_of
from polyroots.checkpoints.groups import Channels
from polyroots.errors import FileError
from polyroots.limits import require_names
from polyroots_cli.layer_names import layer_names


@pytest.mark.slow
@pytest.mark.parametrize("index", [9_999_999_999, 10**1000], ids=[10, 1001])
def test_a_large_index_takes_no_longer_than_a_small_one(tmp_path: Path, index: int) -> None:
    torch.save({"0.weight": torch.ones(4, 4, 3, 3), f"{index}.weight": torch.ones(8, 8, 3, 3)}, tmp_path / "file.pt")
    with within(2):
        assert len(read_layers(tmp_path / "file.pt").layers) == 2


def test_the_layer_before_is_the_nearest_of_lower_index() -> None:
    """Numbers with further zeros are names of other modules, and count for none."""
    weights = {f"{n}.weight": torch.ones(c, 2, 3, 3) for n, c in ((2, 6), (10, 8), (30, 2))}
    weights["029.weight"] = torch.ones(4, 2, 3, 3)
    channels = Channels({name: tuple(weight.shape) for name, weight in weights.items()}, weights)
    found = {index: channels._in_sequence("", index, is_first=True) for index in (2, 3, 10, 11, 30, 31)}
    assert {index: before and before.channels for index, before in found.items()} == {
        2: None,
        3: 6,
        10: 6,
        11: 8,
        30: 8,
        31: 2,
    }


#: Names of 2,000 characters with 1,000 modules in each: those of all modules would have 4,000 MB.
DEEP = [f"{n:04}{'.a' * 994}.weight" for n in range(4000)]


@pytest.mark.slow
def test_names_of_many_modules_are_counted_first(tmp_path: Path) -> None:
    tensors = {name: torch.ones(1) for name in DEEP}
    torch.save(tensors, tmp_path / "file.pt")
    save_file(tensors, tmp_path / "file.safetensors")
    with within(4, 500):
        for name in ("file.pt", "file.safetensors"):
            with pytest.raises(FileError, match=r"[67],\d{3} MiB of names of modules"):
                read_layers(tmp_path / name)


def test_honest_names_stay_far_below(tmp_path: Path) -> None:
    """A name of 200 characters with 20 modules for each of 20,000 tensors."""
    (tmp_path / "file").write_bytes(b"")
    require_names(tmp_path / "file", [f"{n:08}{'.block123' * 20}.weight" for n in range(20_000)])
    with pytest.raises(FileError, match="MiB of names"):
        require_names(tmp_path / "file", [f"{n:08}{'.block123' * 20}.weight" for n in range(60_000)])


@pytest.mark.slow
def test_a_part_that_is_there_many_times_is_looked_at_a_few_times(tmp_path: Path) -> None:
    torch.save([dict.fromkeys(range(2000), 0)] * 50_000, tmp_path / "file.pt")
    inner: dict[int, dict[str, int]] = {key: {} for key in range(2000)}
    torch.save(dict.fromkeys(range(50000), inner), tmp_path / "dicts.pt")
    with within(8):
        with pytest.raises(FileError, match="items in lists and mappings"):
            read_layers(tmp_path / "file.pt")
        assert layer_names(tmp_path / "dicts.pt") == []


@pytest.mark.parametrize("text", ["{[1]: 2}", "-" * 5000 + "1", "(" * 5000, "[" * 100 + "]" * 99], ids=range(4))
def test_options_that_are_no_values_of_python_are_text(text: str) -> None:
    assert options_of({"a": text}) == {"a": text}
