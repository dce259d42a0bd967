"""Where the weights are in a file: entries, plain data beside them, shards, directories and other formats."""

from __future__ import annotations

import argparse
import datetime
import io
import json
import random
import subprocess
import sys
import tarfile
import types
import zipfile
from collections import OrderedDict, defaultdict
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import torch
from commands import fails, run
from dense import dense_operator
from safetensors.torch import save_file
from torch import nn

import polyroots as pr
from polyroots.checkpoints import read_layers
from polyroots.checkpoints.reading import read_document


def weights(count: int = 1, prefix: str = "") -> dict[str, torch.Tensor]:
    """Return a state dict of some square convolutions."""
    torch.manual_seed(count)
    model = nn.Sequential(*(nn.Conv2d(2, 2, 3) for _ in range(count)))
    return {f"{prefix}{name}": value for name, value in model.state_dict().items()}


@pytest.mark.parametrize(
    ("document", "entry", "others"),
    [
        ({"anything": weights(2), "epoch": 3}, "anything", ()),
        ({"a": {"b": {"c": weights(2)}}}, "a.b.c", ()),
        ({"model": {"arch": "r18"}, "weights": weights(2)}, "weights", ()),
        ({"params": {"lr": 0.1}, "net": {}, "ema": {}, "d": weights(2)}, "d", ()),
        ({"models": [weights(2)], "ema": None}, "models.0", ()),
        ({"state_dict": weights(2), "ema": weights(3)}, "state_dict", ("ema (3 convolutions)",)),
        ({"g": weights(2), "g_ema": weights(1)}, "g", ("g_ema (1 convolution)",)),
        (
            {"netG": weights(2), "optimizer": {"state": {0: {"exp_avg": torch.ones(2, 2, 3, 3)}}, "weight": 1}},
            "netG",
            (),
        ),
        ({"model": weights(2), "embeddings": {"pos_embed": torch.ones(1, 2, 3, 3)}}, "model", None),
    ],
)
def test_the_one_network_is_read_whatever_its_name(
    tmp_path: Path, document: Any, entry: str, others: tuple[str, ...] | None
) -> None:
    torch.save(document, tmp_path / "w.pt")
    found = read_layers(tmp_path / "w.pt")
    assert (found.entry, len(found.layers)) == (entry, 2)
    assert others is None or found.others == others


@pytest.mark.parametrize(
    "names",
    [("student", "teacher"), ("generator", "discriminator"), ("g", "d", "g_ema"), ("netG", "netD"), ("G", "D")],
)
def test_several_networks_are_listed_and_one_is_named(tmp_path: Path, names: tuple[str, ...]) -> None:
    document = {name: weights(count + 1) for count, name in enumerate(names)}
    torch.save({**document, "step": 5}, tmp_path / "w.pt")
    message = fails("spectrum", tmp_path / "w.pt")
    assert f"holds several networks: {names[0]} (1 convolution), {names[1]} (2 convolutions)" in message
    assert message.endswith("(--entry)")
    for count, name in enumerate(names):
        found = json.loads(run("spectrum", tmp_path / "w.pt", "--entry", name, "--size", 4, "--json").stdout)
        assert (found["entry"], len(found["layers"])) == (name, count + 1)
    message = fails("spectrum", tmp_path / "w.pt", "--entry", "none")
    assert f"has no state dict in the entry 'none'; it has {names[0]} (1 convolution)" in message


def test_entries_within_an_entry(tmp_path: Path) -> None:
    torch.save({"model": {"student": weights(1), "teacher": weights(2)}}, tmp_path / "w.pt")
    assert "model.student (1 convolution), model.teacher (2 convolutions)" in fails("spectrum", tmp_path / "w.pt")
    assert len(read_layers(tmp_path / "w.pt", entry="model.teacher").layers) == 2


def test_plain_data_is_no_reason_to_refuse(tmp_path: Path) -> None:
    integers = [np.dtype(kind).type(3) for kind in np.typecodes["AllInteger"]]
    document = {
        "state_dict": weights(2),
        "integers": integers,
        "arrays": [np.array([number]) for number in integers],
        "floats": [np.float16(1), np.float32(1), np.float64(1), np.longdouble(1)],
        "strings": [np.array(["a", "bc"]), np.array([b"a"]), np.str_("a"), np.bytes_(b"a")],
        "times": [np.datetime64("2026-01-01"), np.timedelta64(3, "s"), np.bool_(True)],
        "random": [
            random.getstate(),
            np.random.RandomState(1).get_state(),
            np.random.default_rng(1).bit_generator.state,
            random.Random(1),
            np.random.RandomState(1),
            np.random.SeedSequence(1),
            *(np.random.Generator(kind(1)) for kind in (np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937)),
            *(kind(1) for kind in (np.random.Philox, np.random.SFC64)),
        ],
        "torch": torch.get_rng_state(),
        "ordered": OrderedDict(a=1),
        "default": defaultdict(list, {"a": [1]}),
        "counts": defaultdict(int, {"a": 1}),
        "nested": defaultdict(dict, {"a": {}}),
        "args": argparse.Namespace(out=Path("runs"), simple=types.SimpleNamespace(a=1)),
        "path": PurePosixPath("a/b"),
        "when": [datetime.datetime.now(datetime.UTC), datetime.date.today(), datetime.time(1), datetime.timedelta(1)],
    }
    torch.save(document, tmp_path / "run.pt")
    found = read_layers(tmp_path / "run.pt")
    assert (found.entry, len(found.layers)) == ("state_dict", 2)


def test_generators_in_a_file_are_not_made(tmp_path: Path) -> None:
    """They are read as objects without a state, and no code of numpy runs for them."""
    torch.save({"state_dict": weights(2), "rng": np.random.default_rng(1)}, tmp_path / "run.pt")
    assert type(read_document(tmp_path / "run.pt")["rng"]).__module__ == "polyroots.checkpoints.reading"


def test_later_protocols_of_pickle_are_said(tmp_path: Path) -> None:
    torch.save(weights(2), tmp_path / "w.pt", pickle_protocol=4)
    assert "was saved with a pickle protocol above 3" in fails("spectrum", tmp_path / "w.pt")


@pytest.mark.parametrize("module", ["pytorch_lightning.utilities.parsing", "lightning_fabric.utilities.data"])
def test_hyperparameters_of_lightning(tmp_path: Path, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The class is written under its name in Lightning, which isn't imported to read it."""
    stand_in = types.ModuleType(module)
    kind = type("AttributeDict", (dict,), {"__module__": module})
    stand_in.AttributeDict = kind  # type: ignore[attr-defined]
    with monkeypatch.context() as patch:
        names = module.split(".")
        for count in range(1, len(names)):
            package = ".".join(names[:count])
            patch.setitem(sys.modules, package, types.ModuleType(package))
        patch.setitem(sys.modules, module, stand_in)
        torch.save({"state_dict": weights(2), "hyper_parameters": kind(lr=0.1)}, tmp_path / "last.ckpt")
    assert len(read_layers(tmp_path / "last.ckpt").layers) == 2


def test_files_of_numpy_1(tmp_path: Path) -> None:
    """Its functions are in numpy.core."""
    torch.save({"state_dict": weights(1), "best": np.float64(0.5), "all": np.ones(3)}, tmp_path / "new.pt")
    with zipfile.ZipFile(tmp_path / "new.pt") as new, zipfile.ZipFile(tmp_path / "old.pt", "w") as old:
        for name in new.namelist():
            old.writestr(name, new.read(name).replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert len(read_layers(tmp_path / "old.pt").layers) == 1


def test_arrays_of_numpy_are_weights(tmp_path: Path) -> None:
    arrays = {name: value.numpy() for name, value in weights(2).items()}
    torch.save({"epoch": 1, "params": arrays}, tmp_path / "w.pt")
    found = read_layers(tmp_path / "w.pt")
    assert [layer.dtype for layer in found.layers] == ["float32", "float32"]
    assert np.array_equal(found.layers[1].read().numpy(), arrays["1.weight"])


def shards(directory: Path) -> dict[str, torch.Tensor]:
    """Write two shards with their index."""
    state = weights(3)
    parts = {f"model-{k:05}-of-00002.safetensors": dict(list(state.items())[3 * k - 3 : 3 * k]) for k in (1, 2)}
    directory.mkdir(exist_ok=True)
    for name, part in parts.items():
        save_file(part, directory / name)
    files = {name: file for file, part in parts.items() for name in part}
    (directory / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": files}))
    return state


def test_shards_are_read_one_by_one(tmp_path: Path) -> None:
    state = shards(tmp_path / "model")
    for path in (tmp_path / "model", tmp_path / "model" / "model.safetensors.index.json"):
        found = read_layers(path)
        assert [layer.name for layer in found.layers] == ["0.weight", "1.weight", "2.weight"]
        assert all(torch.equal(layer.read(), state[layer.name]) for layer in found.layers)
    index = tmp_path / "model" / "model.safetensors.index.json"
    (tmp_path / "model" / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(pr.FileError, match=r"names the shard model-00002\S+, which is not there; fetch all 2"):
        read_layers(index)
    for content in ("[]", '{"weight_map": 1}', '{"weight_map": {"a": "../b.safetensors"}}', "{"):
        index.write_text(content)
        with pytest.raises(pr.FileError, match="expected"):
            read_layers(index)


def test_a_run_stands_for_its_last_checkpoint(trained: tuple[Path, str], tmp_path: Path) -> None:
    out, _ = trained
    first, second = (run("spectrum", path, "--json").stdout for path in (out, out / "last.pt"))
    assert json.loads(first)["layers"] == json.loads(second)["layers"]
    assert json.loads(run("evaluate", out, "--json").stdout)["accuracy"] >= 0
    run("init", out, "--roots", "leja", "--out", tmp_path / "again.pt")
    before = (out / "last.pt").read_bytes()
    assert "is a file of a run" in fails("init", out, "--out", out / "last.pt", exit_code=2)
    assert "is a file of a run" in fails("spectrum", out, "--csv", out / "last.pt", exit_code=2)
    assert (out / "last.pt").read_bytes() == before
    (tmp_path / "other").mkdir()
    assert "expected a run with last.pt, or a checkpoint; it holds no checkpoint" in fails(
        "spectrum", tmp_path / "other"
    )
    torch.save(weights(1), tmp_path / "other" / "best.pt")
    for arguments in (("spectrum",), ("evaluate",), ("init",), ("figures", "--out", tmp_path / "f", "--checkpoint")):
        assert "it holds best.pt" in fails(*arguments, tmp_path / "other")


def archive(path: Path, **files: bytes) -> None:
    with zipfile.ZipFile(path, "w") as stream:
        for name, content in files.items():
            stream.writestr(name.replace("__", "/").replace("_dot_", "."), content)


def exported(path: Path) -> None:
    torch.export.save(torch.export.export(nn.Conv2d(2, 2, 3), (torch.ones(1, 2, 4, 4),)), path)


def tar(path: Path) -> None:
    with tarfile.open(path, "w") as stream:
        stream.addfile(tarfile.TarInfo("a"), io.BytesIO())


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("w.pt2", exported, r"a program of torch\.export; take torch\.export\.load\(FILE\)\.state_dict"),
        ("w.onnx", lambda path: path.write_bytes(b"\x08\x07\x12\x07pytorch"), "an ONNX model; take onnx.load"),
        ("w.npz", lambda path: np.savez(path, a=np.ones(3)), "an .npz file of numpy; make a mapping of names"),
        ("w.npy", lambda path: np.save(path, np.ones(3)), "an array of numpy; numpy.load it"),
        ("w.h5", lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(99)), "an HDF5 file, as Keras writes"),
        ("w.keras", lambda path: archive(path, model_dot_weights_dot_h5=b"x"), "a Keras model; load it with Keras"),
        ("w.pb", lambda path: path.write_bytes(b"\x0a\x05graph"), "a TensorFlow graph; load it with TensorFlow"),
        ("w.tflite", lambda path: path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(9)), "a TensorFlow Lite model"),
        (
            "model.ckpt.data-00000-of-00001",
            lambda path: path.write_bytes(bytes(99)),
            "a part of a TensorFlow checkpoint",
        ),
        (
            "w.pt",
            lambda path: path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n"),
            "a Git LFS pointer, not the file itself; fetch it: git lfs pull",
        ),
        ("w.pt", lambda path: path.write_bytes(b"\n<!DOCTYPE html><html>"), "an HTML page; the address needs a login"),
        ("w.pt.gz", lambda path: path.write_bytes(b"\x1f\x8b" + bytes(99)), "a gzip file; unpack it"),
        ("w.tar", tar, "a tar archive; unpack it: tar xf FILE"),
        ("w.zip", lambda path: archive(path, a_dot_pt=b"x"), "a zip archive; unpack it"),
    ],
)
def test_other_formats_are_named_with_the_way_from_there(tmp_path: Path, name: str, write: Any, message: str) -> None:
    write(tmp_path / name)
    with pytest.raises(pr.FileError, match=rf"{name} is no checkpoint but {message}"):
        read_layers(tmp_path / name)


def test_a_pointer_that_is_called_safetensors(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n")
    with pytest.raises(pr.FileError, match="its name says safetensors, its content is a Git LFS pointer"):
        read_layers(tmp_path / "w.safetensors")


@pytest.mark.slow
def test_no_code_of_a_file_runs(tmp_path: Path) -> None:
    """A function that would leave a file is refused, wherever it stands."""
    code = f"""
import pathlib, torch
class Leaves:
    def __reduce__(self):
        return (pathlib.Path.touch, (pathlib.Path({str(tmp_path / "left")!r}),))
torch.save({{"state_dict": {{"0.weight": torch.ones(2, 2, 3, 3)}}, "args": Leaves()}}, {str(tmp_path / "w.pt")!r})
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert not (tmp_path / "left").exists()
    with pytest.raises(pr.FileError, match="could run code"):
        read_layers(tmp_path / "w.pt")
    assert not (tmp_path / "left").exists()


def compared(tmp_path: Path, first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> dict[str, Any]:
    torch.save(first, tmp_path / "first.pt")
    torch.save(second, tmp_path / "second.pt")
    printed = run("spectrum", tmp_path / "first.pt", tmp_path / "second.pt", "--size", 4, "--json").stdout
    return {row["name"]: row for row in json.loads(printed)["comparison"]}


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "_fsdp_wrapped_module.", "model.", "net.", "model.backbone."]
)
def test_names_are_compared_without_prefixes(tmp_path: Path, prefix: str) -> None:
    """A + I / 2 moves every eigenvalue by a half."""
    second = weights(2, prefix)
    second[f"{prefix}1.weight"] = second[f"{prefix}1.weight"].clone()
    second[f"{prefix}1.weight"][range(2), range(2), 1, 1] += 0.5
    rows = compared(tmp_path, weights(2), second)
    assert {name: round(row["max_moved"], 5) for name, row in rows.items()} == {"0.weight": 0, "1.weight": 0.5}
    A = dense_operator(weights(2)["1.weight"].double().numpy(), (4, 4))
    norms = [np.linalg.norm(A, 2), np.linalg.norm(A + 0.5 * np.eye(32), 2)]
    assert rows["1.weight"]["norm"] == pytest.approx(norms, rel=1e-6)
    rows = compared(tmp_path, second, weights(2))
    assert [round(row["max_moved"], 5) for row in rows.values()] == [0, 0.5]


def test_names_that_two_layers_have_without_prefixes_are_not_compared(tmp_path: Path) -> None:
    rows = compared(tmp_path, {**weights(1, "net."), **weights(1, "model.")}, weights(1, "backbone."))
    assert all(row["reason"].startswith("only in") for row in rows.values())
    assert list(rows) == ["net.0.weight", "model.0.weight", "backbone.0.weight"]


@pytest.mark.filterwarnings("ignore:.*torch.jit.* (is|are) deprecated")
@pytest.mark.parametrize("how", ["script", "trace"])
def test_torchscript_is_read_without_its_code(tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(3)
    model: Any = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Sequential(nn.Conv2d(4, 4, 3).half().float()))
    model.eval()
    scripted: Any = torch.jit.script(model) if how == "script" else torch.jit.trace(model, torch.ones(1, 3, 9, 9))
    scripted.save(tmp_path / "w.pt")
    monkeypatch.setattr(torch.jit, "load", None)
    found = read_layers(tmp_path / "w.pt")
    assert [layer.name for layer in found.layers] == ["0.weight", "2.0.weight"]
    for layer in found.layers:
        assert torch.equal(layer.read(), model.state_dict()[layer.name])
    layers = read_layers(tmp_path / "w.pt", size=(7, 6)).layers
    assert layers[1].conv.size == (7, 6)


def test_a_torchscript_archive_with_other_objects_is_refused(tmp_path: Path) -> None:
    left = tmp_path / "left"
    pickled = b"\x80\x02cpathlib\nPath\nX" + len(str(left)).to_bytes(4, "little") + str(left).encode() + b"\x85R."
    with zipfile.ZipFile(tmp_path / "w.pt", "w") as stream:
        stream.writestr("w/data.pkl", pickled)
        stream.writestr("w/constants.pkl", b"")
    with pytest.raises(pr.FileError, match=r"can't be read without its code \(it holds pathlib\.Path\)"):
        read_layers(tmp_path / "w.pt")


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_available(), reason="no process groups here")
@pytest.mark.parametrize("processes", [1, 2])
def test_shards_of_fsdp_are_read_or_named(tmp_path: Path, processes: int) -> None:
    """They are saved by processes of their own, whose modules the one that reads has not imported."""
    code = f"""
import sys, torch
from torch.distributed.fsdp import fully_shard
rank = int(sys.argv[1])
torch.manual_seed(5)
torch.distributed.init_process_group(
    "gloo", init_method="file://{tmp_path}/group", rank=rank, world_size={processes}
)
net = torch.nn.Sequential(torch.nn.Conv2d(4, 4, 3))
whole = net[0].weight.detach().clone()
fully_shard(net, mesh=torch.distributed.device_mesh.init_device_mesh("cpu", ({processes},)))
if rank == 0:
    torch.save(net.state_dict(), {str(tmp_path / "w.pt")!r})
    torch.save(whole, {str(tmp_path / "whole.pt")!r})
torch.distributed.barrier()
torch.distributed.destroy_process_group()
"""
    writers = [
        subprocess.Popen([sys.executable, "-W", "ignore", "-c", code, str(rank)], stderr=subprocess.DEVNULL)
        for rank in range(processes)
    ]
    assert [writer.wait(timeout=100) for writer in writers] == [0] * processes
    read = (
        "import torch; from polyroots.checkpoints import read_layers\n"
        "found = read_layers('w.pt'); print(found.skipped)\n"
        "print([torch.equal(layer.read(), torch.load('whole.pt')) for layer in found.layers])"
    )
    result = subprocess.run([sys.executable, "-c", read], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stderr == ""
    if processes == 1:
        assert result.stdout == "{}\n[True]\n"
    else:
        assert "it is a part of a DTensor (FSDP2), as one process has it; save whole tensors" in result.stdout
        assert result.stdout.endswith("[]\n")
