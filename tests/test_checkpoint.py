from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import polyroots as pr
from polyroots.checkpoints.foreign import read_layers
from polyroots.checkpoints.own import Checkpoint, load_checkpoint, save_checkpoint
from polyroots.files import replacing


def test_ours_come_back_as_the_same_network(init_file: Path) -> None:
    checkpoint = load_checkpoint(init_file)
    model: Any = checkpoint.model()
    assert model.config == checkpoint.config
    for key, value in model.state_dict().items():
        assert torch.equal(value, checkpoint.weights[key])
    assert checkpoint.init is not None
    assert model.levels[0].blocks[2].alphas.tolist() == pytest.approx(
        checkpoint.init["levels"][0]["blocks"][2]["alphas"], rel=1e-6
    )


def test_kernels_of_ours_know_their_size(init_file: Path) -> None:
    found = read_layers(init_file)
    assert [(layer.name, layer.conv.size, layer.conv.stride, layer.conv.groups) for layer in found.layers] == [
        ("stem.0.weight", (8, 8), (1, 1), 1),
        ("levels.0.A.weight", (8, 8), (1, 1), 1),
        ("levels.1.A.weight", (4, 4), (1, 1), 1),
        ("transitions.0.Pi.weight", (8, 8), (2, 2), 6),
        ("transitions.0.R.weight", (8, 8), (2, 2), 6),
    ]
    assert found.skipped == {}
    assert not found.assumed
    assert {layer.conv.padding for layer in found.layers} == {"zeros"}


@pytest.mark.parametrize("nest", [(), ("state_dict",), ("model",), ("net", "model_state_dict")])
def test_state_dicts_of_others(tmp_path: Path, nest: tuple[str, ...]) -> None:
    network: Any = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.Conv2d(6, 6, 5), nn.Flatten(), nn.Linear(6, 2)
    )
    document = network.half().state_dict()
    for key in reversed(nest):
        document = {key: document, "epoch": 3}
    torch.save(document, tmp_path / "theirs.pth")
    found = read_layers(tmp_path / "theirs.pth")
    assert [(layer.name, layer.shape, layer.dtype) for layer in found.layers] == [
        ("0.weight", (6, 3, 3, 3), "float16"),
        ("2.weight", (6, 6, 5, 5), "float16"),
    ]
    assert {layer.conv.size for layer in found.layers} == {(32, 32)}
    assert torch.equal(found.layers[1].read(), network[2].weight)
    assert found.assumed
    assert found.entry == ".".join(nest)
    given = read_layers(tmp_path / "theirs.pth", size=(7, 9))
    assert given.layers[0].conv.size == (7, 9)
    assert given.assumed


OURS = pr.models.model_config("q2").model_dump(mode="json")


class _Runs:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, ("echo this must not run",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no checkpoint"),
        (b"this is no checkpoint", "is no checkpoint"),
        (b"PK\x03\x04 neither is this", "is no checkpoint"),
        ([1, 2], "holds no state dict: expected a mapping of names to tensors, got a list"),
        (torch.ones(3), "got a tensor"),
        ({"epoch": 3}, "holds no convolution: expected a state dict"),
        ({"0.weight": torch.ones(4, 4)}, "holds no convolution"),
        (
            {"model": _Runs()},
            r"holds posix\.system, and reading .* could run code: expected a checkpoint with a state dict",
        ),
        ({"polyroots": 99}, "has the layout 99"),
        ({"polyroots": 1}, "is an incomplete checkpoint"),
        ({"polyroots": 1, "config": OURS, "model": [1], "init": None, "training": None}, "got a list"),
        (
            {"polyroots": 1, "config": {"name": "q3"}, "model": {}, "init": None, "training": None},
            "has a configuration that can't be used",
        ),
    ],
)
def test_what_is_no_checkpoint_is_said(
    tmp_path: Path, content: Any, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "file.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(pr.FileError, match=message) as caught:
        read_layers(path)
    assert "\n" not in str(caught.value)
    assert "this must not run" not in capfd.readouterr().out


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_half_a_file_is_no_checkpoint(init_file: Path, tmp_path: Path, share: float) -> None:
    whole = init_file.read_bytes()
    (tmp_path / "half.pt").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(pr.FileError, match="is no checkpoint"):
        load_checkpoint(tmp_path / "half.pt")


def test_missing_files_directories_and_strangers_are_said(tmp_path: Path) -> None:
    with pytest.raises(pr.FileError, match=r"no file .*none\.pt: expected a checkpoint"):
        load_checkpoint(tmp_path / "none.pt")
    with pytest.raises(pr.FileError, match="is a directory"):
        load_checkpoint(tmp_path)
    torch.save({"0.weight": torch.ones(1)}, tmp_path / "theirs.pt")
    with pytest.raises(pr.FileError, match="was not written by polyroots"):
        load_checkpoint(tmp_path / "theirs.pt")


def test_weights_of_another_network_are_said(init_file: Path) -> None:
    checkpoint = load_checkpoint(init_file)
    other = Checkpoint(pr.models.model_config("q2", image_size=8), checkpoint.weights)
    with pytest.raises(pr.FileError, match="don't fit its own configuration"):
        other.model()


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, init_file: Path) -> None:
    path = tmp_path / "kept.pt"
    path.write_text("old")

    def write_half() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half of the n")
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        write_half()
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["kept.pt"]
    save_checkpoint(path, load_checkpoint(init_file))
    assert load_checkpoint(path).config == load_checkpoint(init_file).config


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path, init_file: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(pr.FileError, match=r"cannot write .*; choose a place that can be written"):
        save_checkpoint(tmp_path / "file" / "x.pt", load_checkpoint(init_file))


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on file sizes there")
def test_a_full_disk_is_said_and_leaves_the_old_file(
    tmp_path: Path, init_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operating system refuses to write more than 1,000 bytes; the error can be collected in a cycle."""
    resource = pytest.importorskip("resource")
    problems: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", problems.append)
    path = tmp_path / "kept.pt"
    path.write_text("old")
    checkpoint = load_checkpoint(init_file)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(pr.FileError, match=f"cannot write {path}: File too large") as caught:
            save_checkpoint(path, checkpoint)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    error: Any = caught.value
    error.itself = error
    del error, caught
    gc.collect()
    assert problems == []
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["kept.pt"]


def test_what_is_skipped_has_a_reason(tmp_path: Path) -> None:
    state = {
        "conv1d": torch.ones(4, 4, 3),
        "conv3d": torch.ones(4, 4, 3, 3, 3),
        "depthwise.weight": torch.ones(4, 1, 3, 3),
        "counts": torch.ones(2, 2, 3, 3, dtype=torch.int64),
        "linear": torch.ones(4, 4),
        "name": "no tensor",
        "empty": torch.ones(0, 0, 3, 3),
        "meta": torch.ones(2, 2, 3, 3, device="meta"),
        5: torch.ones(3, 2, 1, 1),
        "kernel": torch.ones(3, 2, 1, 1),
    }
    torch.save(state, tmp_path / "theirs.pt")
    found = read_layers(tmp_path / "theirs.pt")
    assert [layer.name for layer in found.layers] == ["depthwise.weight", "kernel"]
    assert found.skipped == {
        "5": "four-dimensional, but no weight of a convolution by its name",
        "conv1d": "its weight has 3 dimensions, as a Conv1d's; a convolution of images has 4",
        "conv3d": "its weight has 5 dimensions, as a Conv3d's; a convolution of images has 4",
        "counts": "its weights are int64; expected float16, bfloat16, float32, float64",
        "empty": "it is empty, of shape (0, 0, 3, 3)",
        "meta": "it holds no dense numbers",
    }


def test_files_have_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    with replacing(tmp_path / "ours") as temporary:
        temporary.write_text("")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_links_stay_links_and_pipes_are_written_to(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "there")
    with replacing(tmp_path / "link") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there").read_text() == "new"

    os.mkfifo(tmp_path / "pipe")
    found = []
    reader = Thread(target=lambda: found.append((tmp_path / "pipe").read_text()))
    reader.start()
    with replacing(tmp_path / "pipe") as temporary:
        temporary.write_text("through")
    reader.join()
    assert found == ["through"]
    assert (tmp_path / "pipe").is_fifo()


def test_names_that_no_file_can_have_are_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name, message in (
        ("a" * 300, "File name too long; choose a place"),
        ("nul\0x", "choose another name"),
        ("file/below", "a part of the path is a file; choose a place"),
        ("loop", "choose"),
    ):
        with pytest.raises(pr.FileError, match=message), replacing(tmp_path / name):
            raise AssertionError("nothing can be written here")


def test_a_device_is_no_place_for_a_file() -> None:
    with (
        pytest.raises(pr.FileError, match="cannot write /dev/full: No space left"),
        replacing("/dev/full") as temporary,
    ):
        temporary.write_text("x")
    assert Path("/dev/full").is_char_device()


def test_tied_weights_are_analysed_once(tmp_path: Path) -> None:
    shared = torch.randn(4, 4, 3, 3)
    weights = {"a": shared, "b": shared, "c": shared.clone(), "d": shared[:2]}
    torch.save({f"{name}.weight": value for name, value in weights.items()}, tmp_path / "tied.pt")
    found = read_layers(tmp_path / "tied.pt")
    assert [layer.name for layer in found.layers] == ["a.weight", "c.weight", "d.weight"]
    assert found.skipped == {"b.weight": "tied: the same weights as a.weight"}


def test_transposed_convolutions_are_known_by_their_bias(tmp_path: Path) -> None:
    model: Any = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ConvTranspose2d(8, 4, 2, stride=2), nn.Conv2d(4, 4, 3))
    torch.save(model.state_dict(), tmp_path / "w.pt")
    found = read_layers(tmp_path / "w.pt")
    assert [layer.name for layer in found.layers] == ["0.weight", "2.weight"]
    assert found.skipped == {
        "1.weight": "its bias has 4 entries for 8 rows of weights: a transposed convolution; convolutions are analysed"
    }


def test_depthwise_convolutions_are_assumed_after_the_first(tmp_path: Path) -> None:
    """The order of the names counts, not that of the keys, which safetensors doesn't keep."""
    model: Any = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3, groups=4))
    torch.save(model.state_dict(), tmp_path / "w.pt")
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    for name in ("w.pt", "w.safetensors"):
        first, second = read_layers(tmp_path / name).layers
        assert (first.conv.groups, first.note) == (1, "perhaps depthwise (4)")
        assert (second.conv.groups, second.note.split("; ")[0]) == (4, "depthwise")
    # Without numbers in the names, another convolution must be the one that takes colour images.
    colour = nn.ModuleDict({"stem": nn.Conv2d(3, 4, 3), "depthwise": nn.Conv2d(4, 4, 3, groups=4)})
    save_file(colour.state_dict(), tmp_path / "w.safetensors")
    layers = {layer.name: layer for layer in read_layers(tmp_path / "w.safetensors").layers}
    assert layers["depthwise.weight"].conv.groups == 4
    assert (layers["stem.weight"].conv.groups, layers["stem.weight"].note) == (1, "")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_no_checkpoint(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(pr.FileError, match="is no regular file"):
        read_layers(tmp_path / "pipe")
