from __future__ import annotations

import argparse
import datetime
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import polyroots as pr
from polyroots.checkpoints.foreign import read_layers


def network() -> Any:
    torch.manual_seed(41)
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.Conv2d(6, 6, 3), nn.ReLU(), nn.Conv2d(6, 6, 1))


@pytest.mark.parametrize(
    ("prefixes", "name"),
    [
        (("module.",), "2.weight"),
        (("_orig_mod.",), "2.weight"),
        (("module.", "_orig_mod."), "2.weight"),
        (("_orig_mod.", "module."), "2.weight"),
        (("module.", "module."), "2.weight"),
        (("encoder._orig_mod.",), "encoder.2.weight"),
    ],
)
def test_prefixes_of_wrappers_are_left_out(tmp_path: Path, prefixes: tuple[str, ...], name: str) -> None:
    model = network()
    torch.save({f"{''.join(prefixes)}{key}": value for key, value in model.state_dict().items()}, tmp_path / "w.pt")
    found = read_layers(tmp_path / "w.pt")
    assert found.layers[1].name == name
    assert torch.equal(found.layers[1].read(), model[2].weight)


def test_prefixes_stay_where_names_would_become_one(tmp_path: Path) -> None:
    torch.save({"module.weight": torch.ones(1, 1, 1, 1), "weight": torch.ones(1, 1, 1, 1)}, tmp_path / "w.pt")
    assert [layer.name for layer in read_layers(tmp_path / "w.pt").layers] == ["module.weight", "weight"]


def test_a_real_compiled_and_parallel_model(tmp_path: Path) -> None:
    """The state dicts are written by torch itself, with its own prefixes."""
    model = network()
    compiled: Any = torch.compile(model)
    for wrapped in (compiled, nn.DataParallel(model), nn.DataParallel(compiled)):
        torch.save(wrapped.state_dict(), tmp_path / "w.pt")
        assert [layer.name for layer in read_layers(tmp_path / "w.pt").layers] == ["0.weight", "2.weight", "4.weight"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_safetensors_are_read_one_by_one(tmp_path: Path, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    from polyroots.checkpoints import safetensors as headers, weights as stored

    model = network().to(dtype)
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    opened = []
    safe_open = stored.safe_open

    def recording(path: Path, framework: str) -> Any:
        opened.append(path)
        return safe_open(path, framework=framework)

    for module in (headers, stored):
        monkeypatch.setattr(module, "safe_open", recording)
    found = read_layers(tmp_path / "w.safetensors")
    assert len(opened) == 1  # the header only
    assert [(layer.name, layer.dtype) for layer in found.layers] == [
        (name, str(dtype).removeprefix("torch.")) for name in ("0.weight", "2.weight", "4.weight")
    ]
    assert torch.equal(found.layers[1].read(), model[2].weight)
    assert len(opened) == 2
    Lambda = pr.eigenvalues(found.layers[1].read(), 8)
    assert np.array_equal(Lambda.values, pr.eigenvalues(model[2].weight, 8).values)


def test_safetensors_under_any_name_and_damaged_ones(tmp_path: Path) -> None:
    save_file(network().state_dict(), tmp_path / "w.pt")
    assert len(read_layers(tmp_path / "w.pt").layers) == 3
    whole = (tmp_path / "w.pt").read_bytes()
    (tmp_path / "half.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(pr.FileError, match="its header is that of safetensors, but it is damaged"):
        read_layers(tmp_path / "half.safetensors")
    save_file({"w": torch.ones(2, 2, 3, 3, dtype=torch.int8)}, tmp_path / "int8.safetensors")
    assert read_layers(tmp_path / "int8.safetensors").skipped["w"].startswith("its weights are I8; expected float16")


def test_the_older_format_of_torch(tmp_path: Path) -> None:
    model = network()
    torch.save({"state_dict": model.state_dict()}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    found = read_layers(tmp_path / "old.pth")
    assert torch.equal(found.layers[1].read(), model[2].weight)


@pytest.mark.slow
def test_zip_files_are_mapped_and_not_read(tmp_path: Path) -> None:
    """Listing the layers of a file with 400 MB of weights takes little memory."""
    torch.save({"weight": torch.zeros(1024, 1024, 10, 10)}, tmp_path / "large.pt")
    code = f"""
from polyroots.checkpoints import read_layers
import polyroots.analysis
def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
before = peak()
(layer,) = read_layers({str(tmp_path / "large.pt")!r}).layers
print((peak() - before) // 1024)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(result.stdout) < 100


def test_lightning_and_ema(tmp_path: Path) -> None:
    """A Lightning checkpoint's other entries are plain data; of several state dicts the first is read and all named."""
    weights = {f"model.{key}": value for key, value in network().state_dict().items()}
    document = {
        "epoch": 3,
        "pytorch-lightning_version": "2.4.0",
        "state_dict": weights,
        "optimizer_states": [{"state": {0: {"momentum_buffer": torch.ones(6, 6, 3, 3)}}}],
        "hyper_parameters": {"lr": 0.1},
    }
    torch.save(document, tmp_path / "epoch=3.ckpt")
    found = read_layers(tmp_path / "epoch=3.ckpt")
    assert [layer.name for layer in found.layers] == ["model.0.weight", "model.2.weight", "model.4.weight"]
    assert (found.entry, found.others) == ("state_dict", ())
    torch.save({"ema": {"module": weights}, "model": weights, "epoch": 1}, tmp_path / "both.pt")
    both = read_layers(tmp_path / "both.pt")
    assert (both.entry, both.others) == ("model", ("ema.module (3 convolutions)",))
    torch.save({"epoch": torch.tensor(3), "state_dict": weights, "state_dict_ema": weights}, tmp_path / "timm.pt")
    timm = read_layers(tmp_path / "timm.pt")
    assert (timm.entry, timm.others, len(timm.layers)) == ("state_dict", ("state_dict_ema (3 convolutions)",), 3)
    torch.save({"weird": weights, "optimizer": {"state": {0: {"m": torch.ones(1, 1, 3, 3)}}}}, tmp_path / "weird.pt")
    assert read_layers(tmp_path / "weird.pt").entry == "weird"
    torch.save({**weights, "head": weights}, tmp_path / "mixed.pt")
    mixed = read_layers(tmp_path / "mixed.pt")
    assert (mixed.entry, mixed.others, len(mixed.layers)) == ("", ("head (3 convolutions)",), 3)
    torch.save({"ema": {"module": weights}}, tmp_path / "ema.pt")
    assert read_layers(tmp_path / "ema.pt").entry == "ema.module"


def test_plain_data_beside_a_state_dict_is_read(tmp_path: Path) -> None:
    """The plain data are arguments, paths, times, numpy numbers and arrays, as training scripts save them."""
    document = {
        "state_dict": network().state_dict(),
        "args": argparse.Namespace(lr=0.1, out=Path("runs")),
        "accuracy": np.float64(0.5),
        "history": np.arange(3.0),
        "time": datetime.datetime(2026, 11, 22),
    }
    torch.save(document, tmp_path / "run.pt")
    assert len(read_layers(tmp_path / "run.pt").layers) == 3
    torch.save({**document, "counts": Fraction(1, 2)}, tmp_path / "run.pt")
    with pytest.raises(
        pr.FileError, match=r"holds fractions\.Fraction, and reading anything but tensors and plain data could run code"
    ):
        read_layers(tmp_path / "run.pt")


@pytest.mark.parametrize("content", [b"", b"vers"])
def test_what_is_only_called_safetensors_is_said(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(pr.FileError, match="its name says safetensors, its content does not; fetch it again"):
        read_layers(tmp_path / "w.safetensors")
