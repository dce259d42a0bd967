"""Completion in shells: the names that it offers are the library's, and layers are read without torch."""

from __future__ import annotations

import json
import subprocess
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.shell_completion import ShellComplete
from commands import run
from safetensors.torch import save_file
from torch import nn

from polyroots.models import NAMES, PLACEMENTS, coefficient_init
from polyroots.roots import STRATEGIES
from polyroots.training import SOURCES
from polyroots.training.data.augmentation import PARTS
from polyroots_cli import values
from polyroots_cli.layer_names import layer_names
from polyroots_cli.main import main
from polyroots_figures import FIGURES


def completed(line: str) -> list[str]:
    """Return what a shell offers for the last word of a command line."""
    *words, last = line.split(" ")[1:]
    items = ShellComplete(main, {}, "polyroots", "_POLYROOTS_COMPLETE").get_completions(words, last)
    return [f"({item.type})" if item.type != "plain" else item.value for item in items]


def test_the_names_are_those_of_the_library() -> None:
    assert tuple(NAMES) == values.MODELS
    assert tuple(PLACEMENTS) == values.PLACEMENTS
    assert tuple(STRATEGIES) == values.STRATEGIES
    assert coefficient_init._KINDS == values.ALPHA_INITS
    assert tuple(SOURCES) == values.DATASETS
    assert {*PARTS, "none"} == set(values.AUGMENTATIONS)
    assert tuple(FIGURES) == values.FIGURES


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("polyroots sp", "spectrum"),
        ("polyroots train --model q4", "q4 q4r"),
        ("polyroots init --model=mg", "mgnet-ab mgnet-a mgnet mgnet-hx"),
        ("polyroots train --placement relu", "relu-outside relu-outside-nobn"),
        ("polyroots init --quadratic-placement smo", "smoother"),
        ("polyroots init --roots l", "largest leja least-squares"),
        ("polyroots figures --run r --roots le", "leja least-squares"),
        ("polyroots train --alpha-init x", "xavier"),
        ("polyroots train --relax a", "auto"),
        ("polyroots train --dataset cifar", "cifar10 cifar100"),
        ("polyroots train --augment crop,f", "crop,flip"),
        ("polyroots train --a-init ", "kaiming shifted"),
        ("polyroots figures --only s", "spectra strategies smoothing"),
        ("polyroots models q6 q8 resnet4", "resnet44"),
        ("polyroots train --bn", "--bn-recalibrate"),
        ("polyroots completion ", "bash zsh fish"),
        ("polyroots train --out ", "(dir)"),
        ("polyroots evaluate ", "(file)"),
    ],
)
def test_values(line: str, expected: str) -> None:
    assert completed(line) == expected.split()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_asks_the_command(shell: str) -> None:
    printed = run("completion", shell).stdout
    assert f"_POLYROOTS_COMPLETE={shell}_complete" in printed
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=printed, text=True, check=True)


class Net(nn.Sequential):
    """A network that is pickled as a whole."""


@pytest.fixture(scope="module")
def net() -> nn.Module:
    return Net(OrderedDict(stem=nn.Conv2d(3, 4, 3), body=nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4))))


EXPECTED = ["stem", "body.0"]
KINDS: dict[str, Callable[[nn.Module, Path], object]] = {
    "state": lambda net, path: torch.save(net.state_dict(), path),
    "entry": lambda net, path: torch.save({"epoch": 1, "state_dict": net.state_dict(), "x": {1, 2}}, path),
    "wrapped": lambda net, path: torch.save({f"module.{k}": v for k, v in net.state_dict().items()}, path),
    "parameters": lambda net, path: torch.save(dict(net.named_parameters()), path),
    "module": lambda net, path: torch.save(net, path),
    "legacy": lambda net, path: torch.save(net.state_dict(), path, _use_new_zipfile_serialization=False),
    "safetensors": lambda net, path: save_file(net.state_dict(), path),
    "script": lambda net, path: torch.jit.save(torch.jit.script(net), path),
}


@pytest.mark.filterwarnings("ignore:.*torch.jit.* (is|are) deprecated")
@pytest.mark.parametrize("kind", KINDS)
def test_layers_of_a_checkpoint(kind: str, net: nn.Module, tmp_path: Path) -> None:
    """The names are those of the network's own convolutions; of a pickled module only polyroots itself says why not."""
    path = tmp_path / "net.pt"
    KINDS[kind](net, path)
    convolutions = [name for name, module in net.named_modules() if isinstance(module, nn.Conv2d)]
    assert convolutions == EXPECTED
    # A file of safetensors has its tensors by their names.
    expected = [] if kind == "module" else sorted(EXPECTED) if kind == "safetensors" else EXPECTED
    assert layer_names(path) == expected
    assert completed(f"polyroots spectrum {path} --size 8 --layer bo") == ([] if kind == "module" else ["body.0"])
    if kind == "state":
        torch.save(net.state_dict(), tmp_path / "last.pt")
        assert completed(f"polyroots init {tmp_path} --layer ") == EXPECTED


def test_layers_of_shards(net: nn.Module, tmp_path: Path) -> None:
    state = net.state_dict()
    index = tmp_path / "model.safetensors.index.json"
    files = {name: f"{name.split('.')[0]}.safetensors" for name in state}
    for file in set(files.values()):
        save_file({name: state[name] for name in state if files[name] == file}, tmp_path / file)
    index.write_text(json.dumps({"weight_map": files}))
    for path in (index, tmp_path):
        assert completed(f"polyroots spectrum {path} --layer ") == EXPECTED
    for file in ('"../a"', '"gone.safetensors"', "3"):
        index.write_text(f'{{"weight_map": {{"a": {file}}}}}')
        assert layer_names(index) == []


def test_what_cannot_be_read_has_no_layers(net: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    assert layer_names(path) == []
    torch.save(net.state_dict(), path)
    whole = path.read_bytes()
    for content in (b"", b"text", whole[: len(whole) // 2], b"PK\x03\x04" + whole[40:], b"\x08\0\0\0\0\0\0\0{nojson}"):
        path.write_bytes(content)
        assert layer_names(path) == []
    assert completed("polyroots spectrum --layer ") == []


def test_no_code_of_a_file_is_run(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
            return Path.touch, (str(tmp_path / "touched"),)  # type: ignore[return-value]

    torch.save({"a.weight": torch.ones(2, 2, 3, 3), "b": Harmful()}, tmp_path / "w.pt")
    assert layer_names(tmp_path / "w.pt") == ["a"]
    assert not (tmp_path / "touched").exists()
