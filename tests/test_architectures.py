"""Geometry of a state dict's convolutions from the architecture that it belongs to."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import fails, run
from dense import dense_operator
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import prune

from polyroots.analysis import Analysis, Layer, analyse, model_layers, why_no_eigenvalues
from polyroots.checkpoints import Architecture, read_layers


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """Return weights for a network which are parts of one storage, so that their file is small."""
    shapes = {name: value.shape for name, value in model.state_dict().items()}
    torch.manual_seed(29)
    storage = 0.01 * torch.randn(max(shape.numel() for shape in shapes.values()))
    return {name: storage[: shape.numel()].view(shape) for name, shape in shapes.items()}


def require_dense(layer: Layer, module: nn.Conv2d) -> None:
    """Compare a layer with the responses of its module, with circular padding, to all unit impulses."""
    taps = zip(module.kernel_size, module.dilation, strict=True)
    twin: Any = nn.Conv2d(
        module.in_channels,
        module.out_channels,
        module.kernel_size,  # type: ignore[arg-type]
        stride=module.stride,  # type: ignore[arg-type]
        dilation=module.dilation,  # type: ignore[arg-type]
        padding=tuple(d * (k - 1) // 2 for k, d in taps),  # type: ignore[arg-type]
        groups=module.groups,
        bias=False,
        padding_mode="circular",
    ).double()
    twin.weight.data = layer.read().detach().double()
    n = layer.unknowns
    with torch.no_grad():
        A = twin(torch.eye(n, dtype=torch.float64).reshape(n, -1, *layer.conv.size)).reshape(n, -1).numpy().T
    result = analyse(layer, Analysis(kind="both"))
    sigma = np.linalg.svd(A, compute_uv=False)
    np.testing.assert_allclose(result.sigma[: len(sigma)], sigma, rtol=0, atol=1e-10 * sigma[0])
    if result.spectrum is not None:
        values, radius = result.spectrum.values, np.abs(np.linalg.eigvals(A)).max()
        assert np.abs(values).max() == pytest.approx(radius, rel=1e-6)
        # The sums of powers are those of the matrix, which no other set of eigenvalues has; they are well conditioned.
        for power in (1, 2, 3):
            trace = np.trace(np.linalg.matrix_power(A, power))
            np.testing.assert_allclose((values**power).sum(), trace, rtol=0, atol=1e-10 * n * sigma[0] ** power)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("torchvision:resnet50", 32),
        ("torchvision:resnext50_32x4d", 32),
        ("torchvision:mobilenet_v3_small", 32),
        ("torchvision:convnext_tiny", 32),
        ("torchvision:efficientnet_b0", 32),
        ("torchvision:regnet_x_400mf", 32),
        ("torchvision:regnet_y_400mf", 32),
        ("torchvision:deeplabv3_mobilenet_v3_large", 32),
        ("timm:resnet50", 32),
        ("timm:resnext50_32x4d", 32),
        ("timm:mobilenetv3_small_050", 32),
        ("timm:convnext_atto", 32),
        ("timm:tf_efficientnet_b0", 32),
        ("timm:regnety_004", 32),
        ("timm:resnetv2_50x1_bit", 32),
    ],
)
def test_every_layer_is_as_in_the_network(tmp_path: Path, name: str, size: int) -> None:
    """Geometry and weights are those of the network in memory; small layers are compared with their matrices."""
    if name.startswith("timm:"):
        pytest.importorskip("timm", reason="timm is not installed")
    architecture = Architecture(name, image_size=(size, size))
    model = architecture.build("cpu")
    state = weights_of(model)
    torch.save(state, tmp_path / "w.pt")
    found = read_layers(tmp_path / "w.pt", architecture=architecture)
    model.load_state_dict(state)
    layers, skipped = model_layers(model, size)
    assert [layer.conv for layer in found.layers] == [layer.conv for layer in layers]
    assert (found.skipped, found.assumed, found.remark) == (skipped, False, "")
    modules = {path: module for path, module in model.named_modules() if isinstance(module, nn.Conv2d)}
    # torch's circular padding is at most as wide as the image.
    fits = [k for k, x in enumerate(layers) if min(x.conv.size) >= max(x.shape[2:]) * max(x.conv.dilation) // 2]
    small = sorted((k for k in fits if layers[k].unknowns <= 1800), key=lambda k: (layers[k].unknowns, k))[:3]
    assert small
    for ours, theirs in zip(found.layers, layers, strict=True):
        torch.testing.assert_close(ours.read(), theirs.read().detach(), rtol=1e-5, atol=1e-6)
        module = modules[ours.name.removesuffix(".weight")]
        assert (ours.conv.stride, ours.conv.dilation, ours.conv.groups) == (
            module.stride,
            module.dilation,
            module.groups,
        )
    for k in small:
        require_dense(found.layers[k], modules[found.layers[k].name.removesuffix(".weight")])


class Scaled(nn.Conv2d):
    """A convolution that standardises its weight, with a gain."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.gain = nn.Parameter(torch.full((self.out_channels, 1, 1, 1), 1.5))

    def forward(self, x: Tensor) -> Tensor:
        W = self.gain * (self.weight - self.weight.mean((1, 2, 3), keepdim=True))
        return functional.conv2d(x, W, self.bias, self.stride, self.padding, self.dilation, self.groups)


OWN = """
import torch
from torch import nn
from test_architectures import Scaled

def build(width=4, groups=1):
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1, stride=2), nn.BatchNorm2d(width), nn.ReLU(),
        nn.Conv2d(width, width, 3, padding=2, dilation=2, groups=groups), Scaled(width, width, 3, padding=1),
    )

def refuses():
    class Net(nn.Conv2d):
        def forward(self, x):
            assert x.shape[-1] == 99, "wants 99 pixels"
    return Net(3, 3, 3)

def reads():
    return nn.Sequential(nn.Conv2d(3, int(torch.ones(()).item() * 4), 3))

number = 3
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a network of a user's own module, which can be imported from the working directory."""
    (tmp_path / "own_networks.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path), str(Path(__file__).parent)])
    monkeypatch.delitem(sys.modules, "own_networks", raising=False)
    torch.manual_seed(5)
    return Architecture("own_networks:build", {"groups": 2}).build("cpu")


def test_a_network_of_one_s_own(own: Any, tmp_path: Path) -> None:
    torch.save({"state_dict": {f"model.{name}": value for name, value in own.state_dict().items()}}, tmp_path / "w.pt")
    arguments = ("spectrum", tmp_path / "w.pt", "--arch", "own_networks:build", "--image-size", "12x10")
    result = run(*arguments, "--arch-option", "groups=2", "--json")
    assert result.stderr == "--arch own_networks:build runs the code of own_networks.\n"
    document = json.loads(result.stdout)
    assert (document["size_assumed"], document["geometry_assumed"]) == (False, False)
    dilated, scaled = document["layers"]
    assert (dilated["name"], dilated["size"], dilated["groups"], dilated["dilation"]) == ("3.weight", [6, 5], 2, [2, 2])
    K = own[3].weight.detach().double().numpy()
    A = dense_operator(K, (6, 5), 2, 2)
    assert dilated["radius"] == pytest.approx(np.abs(np.linalg.eigvals(A)).max(), rel=1e-9)
    W = own[4].weight.detach()
    W = 1.5 * (W - W.mean((1, 2, 3), keepdim=True))
    B = dense_operator(W.double().numpy(), (6, 5))
    assert scaled["radius"] == pytest.approx(np.abs(np.linalg.eigvals(B)).max(), rel=1e-5)
    assert [row["name"] for row in document["skipped"]] == ["0.weight"]
    printed = run(*arguments, "--arch-option", "groups=2").stdout
    assert "assumed" not in printed
    assert "the network itself pads with zeros" in printed


def test_roots_of_the_layers_of_an_architecture(own: Any, tmp_path: Path) -> None:
    torch.save({"net": own.state_dict() | {"more": torch.ones(2)}, "ema": own.state_dict()}, tmp_path / "w.pt")
    arch = ("--arch", "own_networks:build", "--arch-option", "groups=2", "--image-size", "12x10", "--degree", 1)
    result = run("init", tmp_path / "w.pt", *arch, "--json")
    assert result.stderr == "--arch own_networks:build runs the code of own_networks.\n"
    document = json.loads(result.stdout)
    assert document["geometry_assumed"] is None
    dilated, scaled = document["levels"]
    assert (dilated["name"], dilated["size"], scaled["name"]) == ("3.weight", [6, 5], "4.weight")
    A = dense_operator(own[3].weight.detach().double().numpy(), (6, 5), 2, 2)
    assert dilated["radius"] == pytest.approx(np.abs(np.linalg.eigvals(A)).max(), rel=1e-9)
    printed = run("init", tmp_path / "w.pt", *arch).stdout
    assert "Read from the entry 'net' of the file." in printed
    assert "Not read: further weights in ema (3 convolutions)" in printed
    assert "Only in the file: more." in printed
    assert "A state dict doesn't say" not in printed
    assert "Left out: 0.weight (not square: 4 output channels from 3)" in printed
    of_ema = run("init", tmp_path / "w.pt", *arch, "--entry", "ema").stdout
    assert "Read from the entry 'ema' of the file." in of_ema
    assert "leave --groups out" in fails("init", tmp_path / "w.pt", *arch, "--groups", 2, exit_code=2)
    for option in ("arch", "entry"):
        assert f"--{option} is of the layers of CHECKPOINT" in fails("init", f"--{option}", "a:b", exit_code=2)
    assert "--arch names none" in fails("init", tmp_path / "w.pt", "--arch-option", "a=1", exit_code=2)


def test_pruned_weights_fit_the_architecture(own: Any, tmp_path: Path) -> None:
    prune.l1_unstructured(own[3], "weight", 0.5)
    torch.save(own.state_dict(), tmp_path / "w.pt")
    found = read_layers(tmp_path / "w.pt", architecture=Architecture("own_networks:build", {"groups": 2}, (8, 8)))
    pruned = next(layer for layer in found.layers if layer.name == "3.weight")
    assert torch.equal(pruned.read(), own[3].weight_orig.detach() * own[3].weight_mask)
    assert found.remark == ""


def test_names_that_don_t_match_are_said_both_ways(own: Any, tmp_path: Path) -> None:
    state = own.state_dict()
    state["head.weight"] = torch.ones(2, 2)
    del state["1.running_var"], state["0.bias"]
    torch.save(state, tmp_path / "w.pt")
    arguments = ("spectrum", tmp_path / "w.pt", "--arch", "own_networks:build", "--image-size", 8)
    printed = run(*arguments, "--arch-option", "groups=2").stdout
    assert "Only in own_networks:build: 0.bias, 1.running_var; only in the file: head.weight." in printed
    message = fails(*arguments, "--arch-option", "width=6")
    assert "doesn't fit own_networks:build: the file has no such weights of 0.weight, 3.weight, 4.weight" in message
    assert "of another shape in the file: 0.weight (4, 3, 3, 3)" in message
    assert message.endswith("(--arch, --arch-option)")
    del state["3.weight"]
    torch.save(state, tmp_path / "w.pt")
    assert "has no such weights of 3.weight. Only in own_networks:build" in fails(
        *arguments, "--arch-option", "groups=2"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--arch", "resnet18"), "expected an architecture torchvision:NAME, timm:NAME or module.path:callable"),
        (("--arch", "torchvision:resnet81"), "unknown architecture of torchvision 'resnet81': did you mean"),
        (("--arch", "no_such_module:net"), "there is no module no_such_module"),
        (("--arch", ".own_networks:build"), ".own_networks can't be imported: TypeError: the 'package' argument"),
        (("--arch", "own_networks:none"), "own_networks has no none"),
        (("--arch", "own_networks:number"), "own_networks:number can't be built: 'int' object is not callable"),
        (("--arch", "builtins:dict"), "expected builtins:dict to return a torch.nn.Module, got dict"),
        (("--arch", "own_networks:build", "--arch-option", "depth=3"), "unexpected keyword argument 'depth'"),
        (("--arch", "own_networks:refuses", "--image-size", 8), "images of shape (3, 8, 8): wants 99 pixels"),
    ],
)
@pytest.mark.usefixtures("own")
def test_architectures_that_can_t_be_used(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    torch.save({"0.weight": torch.ones(3, 3, 3, 3)}, tmp_path / "w.pt")
    assert message in fails("spectrum", tmp_path / "w.pt", *arguments)


@pytest.mark.usefixtures("own")
def test_options_that_contradict_an_architecture(tmp_path: Path, init_file: Path) -> None:
    torch.save({"0.weight": torch.ones(4, 3, 3, 3)}, tmp_path / "w.pt")
    arch = ("spectrum", tmp_path / "w.pt", "--arch", "own_networks:build")
    assert "leave --size out" in fails(*arch, "--size", 8, exit_code=2)
    assert "leave --groups out" in fails(*arch, "--groups", 2, exit_code=2)
    assert "expected NAME=VALUE such as num_classes=100, got 'x'" in fails(*arch, "--arch-option", "x", exit_code=2)
    alone = ("spectrum", tmp_path / "w.pt")
    assert "--image-size is of the architecture" in fails(*alone, "--image-size", 8, exit_code=2)
    assert "--arch-option is of the architecture" in fails(*alone, "--arch-option", "a=1", exit_code=2)
    message = fails("spectrum", init_file, "--arch", "own_networks:build")
    assert "is a file of polyroots and contains one network with its geometry; leave --arch out" in message


@pytest.mark.usefixtures("own")
def test_networks_that_compute_with_numbers_are_built_with_them(tmp_path: Path) -> None:
    """Meta tensors have no numbers to compute with."""
    torch.save({"0.weight": torch.ones(4, 3, 3, 3)}, tmp_path / "w.pt")
    found = read_layers(tmp_path / "w.pt", architecture=Architecture("own_networks:reads", {}, (8, 8)))
    assert [(layer.name, layer.conv.size) for layer in found.layers] == [("0.weight", (8, 8))]
    assert why_no_eigenvalues(found.layers[0]) == "not square: 4 output channels from 3"


def test_the_random_state_is_left_as_it_was(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    Architecture("torchvision:squeezenet1_1").build("cpu")
    assert torch.equal(torch.get_rng_state(), before)
