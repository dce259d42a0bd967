"""What a bare state dict says of its convolutions: by names, shapes, factors and the layers around them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from dense import dense_operator, matched_error
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm

import polyroots as pr
from polyroots.analysis import Analysis, analyse, why_no_eigenvalues
from polyroots.checkpoints import LayerSet, read_layers

NO_NAME = "four-dimensional, but no weight of a convolution by its name"


def saved(tmp_path: Path, weights: dict[str, Tensor] | nn.Module) -> LayerSet:
    """Return the layers of a state dict, after checking that both formats give the same ones in any order."""
    state = weights.state_dict() if isinstance(weights, nn.Module) else weights
    state = {name: value.clone().contiguous() for name, value in state.items()}
    torch.save(state, tmp_path / "w.pt")
    torch.save(dict(reversed(state.items())), tmp_path / "reversed.pt")
    save_file(state, tmp_path / "w.safetensors")
    first, *others = [read_layers(tmp_path / name) for name in ("w.pt", "reversed.pt", "w.safetensors")]
    for other in others:
        assert described(other) == described(first)
        assert other.skipped == first.skipped
    return first


def described(found: LayerSet) -> dict[str, Any]:
    return {layer.name: (layer.shape, layer.conv, layer.note) for layer in found.layers}


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize(
    "name",
    [
        "norm.gain",
        "stage.gamma",
        "pos_embed",
        "noises.noise_0",
        "attn.relative_position_bias_table",
        "conv.parametrizations.weight.0.base",
        "side.lora_A",
        "side.lora_A.default.weight",
        "lora_unet_down_0_conv1.lora_down.weight",
        "lora_unet_down_0_conv1.lora_mid.weight",
        "side.hada_w1_a",
        "mask",
        "w",
    ],
)
def test_four_dimensions_alone_make_no_convolution(tmp_path: Path, name: str) -> None:
    """A tensor of the shape of a depthwise or of a square kernel is listed, and taken if its exact name is given."""
    K = random(4, 4, 3, 3)
    found = saved(tmp_path, {"conv.weight": random(4, 4, 3, 3), name: K})
    assert [layer.name for layer in found.layers] == ["conv.weight"]
    assert found.skipped == {name: NO_NAME}
    chosen, skipped = found.choose([name], why_no_eigenvalues)
    assert ([layer.name for layer in chosen], skipped) == ([name], {})
    assert torch.equal(chosen[0].read(), K)
    assert found.unmatched([name]) == []
    chosen, skipped = found.choose(["*"], why_no_eigenvalues)
    assert ([layer.name for layer in chosen], skipped) == (["conv.weight"], {name: NO_NAME})


@pytest.mark.parametrize("name", ["conv.weight", "weight", "kernel", "conv.kernel", "conv.².weight", "conv2²3.weight"])
def test_names_of_convolutions(tmp_path: Path, name: str) -> None:
    assert [layer.name for layer in saved(tmp_path, {name: random(4, 4, 3, 3)}).layers] == [name]


def pruned() -> nn.Module:
    conv = nn.Conv2d(4, 4, 3)
    prune.l1_unstructured(conv, "weight", 0.5)
    prune.random_structured(conv, "weight", 1, dim=0)
    prune.l1_unstructured(conv, "bias", 0.5)
    return conv


def pruned_direction() -> nn.Module:
    conv = weight_norm(nn.Conv2d(4, 4, 3))
    prune.l1_unstructured(conv, "weight_v", 0.5)
    return conv


class Masked(nn.Conv2d):
    """A masked convolution, as PixelCNN's."""

    mask: Tensor

    def __init__(self) -> None:
        super().__init__(4, 4, 3)
        self.register_buffer("mask", (torch.arange(9) < 5).float().reshape(3, 3).expand(4, 4, 3, 3).clone())

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.weight * self.mask, self.bias)


@pytest.mark.parametrize(
    "make",
    [
        pruned,
        pruned_direction,
        Masked,
        lambda: weight_norm(nn.Conv2d(4, 4, 3)),
        lambda: weight_norm(nn.Conv2d(4, 4, 3), dim=1),
        lambda: weight_norm(nn.Conv2d(4, 4, 3), dim=None),
        lambda: parametrizations.weight_norm(nn.Conv2d(4, 4, 3)),
        lambda: parametrizations.weight_norm(nn.Conv2d(4, 4, 3), dim=2),
        lambda: spectral_norm(nn.Conv2d(4, 4, 3)),
        lambda: parametrizations.spectral_norm(nn.Conv2d(4, 4, 3)),
    ],
)
@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")
def test_factors_make_the_weight_that_the_layer_applies(tmp_path: Path, make: Any) -> None:
    """The reference is the response of the layer itself to unit impulses."""
    torch.manual_seed(7)
    conv: Any = make()
    for _ in range(3):
        conv(torch.randn(1, 4, 8, 8))  # power iterations in training mode
    conv.eval()
    found = saved(tmp_path, nn.Sequential(conv))
    (layer,) = found.layers
    assert (layer.name, found.skipped) == ("0.weight", {})
    assert layer.note in ("weight_orig times weight_mask", "weight times mask", "weight norm", "spectral norm")
    impulses = torch.eye(4).reshape(4, 4, 1, 1) * (torch.arange(25) == 12).float().reshape(1, 1, 5, 5)
    with torch.no_grad():
        response = conv(impulses) - conv(torch.zeros_like(impulses))
    # Response at p to an impulse at the centre is the tap at the offset -p.
    applied = response.transpose(0, 1).flip(2, 3)
    torch.testing.assert_close(layer.read(), applied, rtol=1e-5, atol=1e-6)
    (again,) = read_layers(tmp_path / "w.safetensors").layers
    assert torch.equal(again.read(), layer.read())


class Symmetric(nn.Module):
    def forward(self, W: Tensor) -> Tensor:
        return W + W.transpose(2, 3)


def test_unknown_parametrizations_are_said(tmp_path: Path) -> None:
    """A map without tensors of its own leaves no trace but its number."""
    conv = nn.Conv2d(4, 4, 3)
    parametrize.register_parametrization(conv, "weight", Symmetric())
    assert "doesn't say by which map" in saved(tmp_path, conv).skipped["parametrizations.weight.original"]
    parametrizations.spectral_norm(conv)
    found = saved(tmp_path, conv)
    assert found.layers == ()
    assert "doesn't say by which map" in found.skipped["parametrizations.weight.original"]
    lone = saved(tmp_path, {"conv.weight_orig": random(4, 4, 3, 3), "conv.bias": random(4)})
    assert "the factors that belong to it are not in the file" in lone.skipped["conv.weight_orig"]
    mismatched = saved(tmp_path, {"conv.weight_v": random(4, 4, 3, 3), "conv.weight_g": random(3, 1, 1, 1)})
    assert mismatched.layers == ()


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"c.weight": (4, 4, 3, 3), "c.gain": (4, 1, 1, 1)}, "its layer also has 'gain'"),
        ({"c.weight": (4, 4, 3, 3), "c.u0": (1, 4), "c.sv0": (1,)}, "its layer also has 'u0'"),
        ({"c.base_layer.weight": (4, 4, 3, 3), "c.lora_A.default.weight": (2, 4, 3, 3)}, "adds a low-rank update"),
        ({"c.conv.weight": (4, 4, 3, 3), "c.lora_A": (6, 12)}, "adds a low-rank update"),
        ({"n.weight": (1, 4, 1, 1), "n.bias": (1, 4, 1, 1)}, "a scaling, no convolution"),
        ({"a.kernel": (3, 3, 3, 16), "b.kernel": (3, 3, 16, 16)}, "as Keras and TensorFlow lay it out"),
        ({"0.weight": (4, 8, 2, 2), "1.weight": (8,), "1.running_mean": (8,)}, "a transposed convolution"),
    ],
)
def test_weights_that_are_not_the_kernel_are_skipped(
    tmp_path: Path, state: dict[str, tuple[int, ...]], reason: str
) -> None:
    found = saved(tmp_path, {name: random(*shape) for name, shape in state.items()})
    assert found.layers == ()
    assert any(reason in why for why in found.skipped.values())


def test_a_small_keras_kernel_is_known_by_the_others(tmp_path: Path) -> None:
    """(3, 3, 3, 3) is square in both layouts."""
    alone = saved(tmp_path, {"a.kernel": random(3, 3, 3, 3)})
    assert [layer.name for layer in alone.layers] == ["a.kernel"]
    both = saved(tmp_path, {"a.kernel": random(3, 3, 3, 3), "b.kernel": random(3, 3, 3, 32)})
    assert both.layers == ()
    # A torch kernel that is wide in one direction, and one of a large blur.
    wide = saved(tmp_path, {"a.weight": random(8, 8, 1, 7), "b.weight": random(1, 1, 31, 31)})
    assert len(wide.layers) == 2


@pytest.mark.parametrize("name", ["resnext50_32x4d", "mobilenet_v3_small", "convnext_tiny", "shufflenet_v2_x0_5"])
def test_groups_are_those_of_the_network_or_open(tmp_path: Path, name: str) -> None:
    """Each layer of which eigenvalues are computed has the groups that torchvision's module has."""
    with torch.device("meta"):
        model = torchvision.models.get_model(name, weights=None)
    modules = {f"{path}.weight": module for path, module in model.named_modules() if isinstance(module, nn.Conv2d)}
    zeros = {key: torch.zeros(value.shape, dtype=torch.bfloat16) for key, value in model.state_dict().items()}
    found = saved(tmp_path, zeros)
    assert {layer.name for layer in found.layers} == set(modules)
    square = [layer for layer in found.layers if why_no_eigenvalues(layer) is None]
    assert square
    for layer in square:
        module = modules[layer.name]
        assert layer.conv.groups == module.groups
        # Strides are not in a state dict; a layer that has one is marked.
        assert module.stride == (1, 1) or "perhaps strided" in layer.note
    if name == "resnext50_32x4d":
        grouped = [layer for layer in square if layer.conv.groups == 32]
        assert len(grouped) == 16
        assert grouped[0].note.startswith("32 groups, by the layer before")


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        # A grouped convolution whose input channels nothing shows.
        ({"conv.weight": (128, 4, 3, 3)}, "not square: 128 output channels from 4; perhaps grouped (32)"),
        # Depth multiplier 2.
        ({"0.weight": (96, 3, 3, 3), "1.weight": (192, 1, 3, 3)}, "not square: 192 output channels from 96"),
        # A shortcut numbered after the block's convolutions takes the block's input.
        (
            {"0.weight": (64, 3, 3, 3), "b.conv1.weight": (128, 64, 3, 3), "b.conv2.weight": (128, 128, 3, 3)}
            | {"b.conv3.weight": (128, 64, 1, 1)},
            "not square: 128 output channels from 64; perhaps grouped (2)",
        ),
        # Parallel branches of a list look as layers of a sequence do.
        (
            {"branches.0.weight": (32, 1, 3, 3), "branches.1.weight": (32, 1, 5, 5)},
            "not square: 32 output channels from 1; perhaps depthwise (32)",
        ),
        # A pixel shuffle between both leaves 12 of 48 channels.
        (
            {"0.weight": (48, 3, 3, 3), "3.weight": (48, 12, 3, 3)},
            "not square: 48 output channels from 12; perhaps grouped (4)",
        ),
        # Squeeze and excitation takes the channels that a depthwise layer with two outputs a channel made.
        (
            {"stage.0.weight": (32, 3, 3, 3), "final.se.fc2.weight": (64, 8, 1, 1), "final.kxk.weight": (64, 1, 3, 3)},
            "not square: 64 output channels from 1; perhaps depthwise (64)",
        ),
        # As does one that stands alone after a stage, where both numbers of channels are.
        (
            {"stage.0.weight": (32, 3, 3, 3), "stage.1.weight": (64, 32, 1, 1), "stage.2.weight": (32, 64, 1, 1)}
            | {"final.kxk.weight": (64, 1, 3, 3)},
            "not square: 64 output channels from 1; perhaps depthwise (64)",
        ),
    ],
)
def test_operators_that_may_not_exist_have_no_eigenvalues(
    tmp_path: Path, layers: dict[str, tuple[int, ...]], expected: str
) -> None:
    # The modules around a network don't count.
    for prefix in ("", "lightning.net.model."):
        found = saved(tmp_path, {f"{prefix}{name}": random(*shape) for name, shape in layers.items()})
        last = {layer.name: layer for layer in found.layers}[prefix + list(layers)[-1]]
        assert why_no_eigenvalues(last) == expected


def test_square_by_its_shape_but_not_by_the_layer_before(tmp_path: Path) -> None:
    """(64, 64) after 128 channels, with no layer of 64 channels, is two groups of 32 rows: not square."""
    model = nn.Sequential(
        nn.Conv2d(3, 128, 3), nn.BatchNorm2d(128), nn.ReLU(), nn.Conv2d(128, 64, 3, groups=2), nn.Conv2d(64, 8, 1)
    )
    found = saved(tmp_path, model)
    assert "perhaps grouped (2)" in found.skipped["3.weight"]


def test_a_shortcut_of_a_block_around_a_convolution_s_marks_it(tmp_path: Path) -> None:
    layers = {"block1-0.proj.0": (8, 8, 1, 1), "block1-0.f.b.0": (8, 8, 3, 3), "block1-1.f.b.0": (8, 8, 3, 3)}
    found = saved(tmp_path, {f"trunk.block1.{name}.weight": random(*shape) for name, shape in layers.items()})
    assert [layer.note for layer in found.layers] == [
        "perhaps strided, as a convolution in a shortcut",
        "perhaps strided, as its block has a convolution in its shortcut",
        "",
    ]


@pytest.mark.parametrize("name", ["deconv1", "up", "up2.0", "convT", "decoder.upsample.0", "conv_transpose"])
def test_names_of_transposed_convolutions_are_doubtful(tmp_path: Path, name: str) -> None:
    found = saved(tmp_path, {f"{name}.weight": random(4, 4, 3, 3), "supper.weight": random(4, 4, 3, 3)})
    notes = {layer.name: layer.note for layer in found.layers}
    assert notes == {f"{name}.weight": "perhaps a transposed convolution, by its name", "supper.weight": ""}


def test_geometry_by_hand(tmp_path: Path) -> None:
    from polyroots.checkpoints import Geometry

    torch.save({"a.weight": random(8, 2, 3, 3), "b.weight": random(8, 8, 2, 2)}, tmp_path / "w.pt")
    geometry = Geometry(stride=[("*", 1), ("b", (2, 1))], dilation=[("a", 2)], groups=[("a.weight", 4)])
    a, b = read_layers(tmp_path / "w.pt", (6, 5), geometry=geometry).layers
    assert (a.conv.stride, a.conv.dilation, a.conv.groups, a.note) == ((1, 1), (2, 2), 4, "")
    assert (b.conv.stride, b.conv.dilation, b.conv.groups, b.note) == ((2, 1), (1, 1), 1, "")
    assert why_no_eigenvalues(b) == "stride 2x1: it maps an image to a smaller one"
    expected = np.linalg.eigvals(dense_operator(a.read().double().numpy(), (6, 5), dilation=2, groups=4))
    assert matched_error(analyse(a, Analysis()).spectrum.values, expected) < 1e-10
    with pytest.raises(pr.InputError, match=r"a\.weight: 8 output channels can't be split into 3 groups"):
        read_layers(tmp_path / "w.pt", geometry=Geometry(groups=[("a", 3)]))
    with pytest.raises(pr.InputError, match="expected stride of at least 1, got 0"):
        Geometry(stride=[("*", 0)])
