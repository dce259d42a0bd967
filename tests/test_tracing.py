"""The convolutions of networks that are wrapped, compiled, sharded, or that compute their kernels themselves."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dense import dense_operator, matched_error
from torch import Tensor, nn
from torch.nn import functional

import polyroots as pr
from polyroots.models import trace_convolutions


def network() -> Any:
    torch.manual_seed(17)
    return nn.Sequential(nn.Conv2d(3, 6, 3, padding=1, stride=2), nn.ReLU(), nn.Conv2d(6, 6, 3, padding=1, groups=2))


def require_equal(found: pr.ModelSpectra, model: Any, name: str = "2.weight") -> None:
    """Compare the one analysed layer with the explicit matrix of the network's second convolution."""
    assert list(found.layers) == [name]
    A = dense_operator(model[2].weight.detach().double().numpy(), (4, 4), groups=2)
    assert matched_error(found[name].spectrum.values, np.linalg.eigvals(A)) < 1e-11


@pytest.mark.usefixtures("types_unchecked")
def test_compiled_networks_run_as_they_were_written() -> None:
    model = network()
    compiled: Any = torch.compile(model)
    require_equal(pr.model_spectra(compiled, 8), model)
    model.compile()
    require_equal(pr.model_spectra(model, 8), model)
    last: Any = torch.compile(network()[2])
    inner: Any = nn.Sequential(model[0], model[1], last)
    found = pr.model_spectra(inner, 8)
    assert list(found.layers) == ["2.weight"]
    assert found["2.weight"].layer.conv.size == (4, 4)


def test_data_parallel_networks() -> None:
    model = network()
    require_equal(pr.model_spectra(nn.DataParallel(model), 8), model)


@pytest.fixture
def one_process(tmp_path: Path) -> Iterator[None]:
    """A process group of one process."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_available() or os.name == "nt", reason="no process groups here")
@pytest.mark.usefixtures("one_process", "types_unchecked")
@pytest.mark.filterwarnings("ignore")
def test_networks_of_several_processes() -> None:
    from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard

    model = network()
    require_equal(pr.model_spectra(nn.parallel.DistributedDataParallel(network()), 8), model)
    require_equal(pr.model_spectra(FullyShardedDataParallel(network(), device_id=torch.device("cpu")), 8), model)
    sharded = network()
    fully_shard(sharded[2], mesh=torch.distributed.device_mesh.init_device_mesh("cpu", (1,)))
    require_equal(pr.model_spectra(sharded, 8), model)


class Standardised(nn.Conv2d):
    """Weight standardisation, as in BiT and NFNet."""

    def forward(self, x: Tensor) -> Tensor:
        W = self.weight
        mean, deviation = W.mean((1, 2, 3), keepdim=True), W.std((1, 2, 3), keepdim=True)
        W = (W - mean) / (deviation + 1e-5)
        return functional.conv2d(x, W, self.bias, self.stride, self.padding, self.dilation, self.groups)


class PaddedFirst(nn.Conv2d):
    """Padding by hand, as in TensorFlow's "same"."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(functional.pad(x, (1, 1, 1, 1)), self.weight, self.bias, self.stride)


class Twofold(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + functional.conv2d(x, self.weight.flip(2, 3), padding=1)


def test_a_subclass_is_analysed_by_the_weight_that_it_uses() -> None:
    torch.manual_seed(19)
    model: Any = nn.Sequential(
        Standardised(4, 4, 3, padding=1), PaddedFirst(4, 4, 3), Twofold(4, 4, 3, padding=1), Standardised(4, 4, 3)
    )
    found = pr.model_spectra(model, (6, 5), padding="own")
    assert [result.name for result in found.values()] == ["0.weight", "1.weight"]
    W = model[0].weight.detach().double()
    W = (W - W.mean((1, 2, 3), keepdim=True)) / (W.std((1, 2, 3), keepdim=True) + 1e-5)
    expected = np.linalg.eigvals(dense_operator(W.numpy(), (6, 5), padding="zeros"))
    assert matched_error(found["0.weight"].spectrum.values, expected) < 1e-6  # standardised in float32
    assert found["1.weight"].padding == "zeros"
    assert found.skipped["2.weight"] == (
        "the forward pass of Twofold is not that of a Conv2d: expected one convolution with a kernel of shape "
        "(4, 4, 3, 3), it computes (4, 4, 3, 3) and (4, 4, 3, 3)"
    )
    assert "zeros, 0x0 pixels" in found.skipped["3.weight"]


def test_convolutions_without_a_module_are_reported() -> None:
    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 4, 3, padding=1)
            self.kernel = nn.Parameter(torch.randn(4, 4, 3, 3))

        def forward(self, x: Tensor) -> Tensor:
            x = functional.conv2d(self.stem(x), self.kernel, padding=1)
            return functional.conv2d(x, self.kernel + 1)

    found = pr.model_spectra(Bare(), (8, 6))
    assert len(found) == 0
    assert found.skipped["kernel"] == (
        "its parameter of shape 4x4x3x3 is given to conv2d at 8x6, without an nn.Conv2d; polyroots.eigenvalues takes it"
    )
    assert found.skipped["conv2d"].startswith("a tensor of shape 4x4x3x3 is given to conv2d at 8x6")


@pytest.mark.parametrize("error", [AssertionError, TypeError, KeyError, NotImplementedError, RuntimeError])
def test_a_network_s_refusal_is_in_its_own_words(error: type[Exception]) -> None:
    class Strict(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            raise error("wants 224x224")

    model = nn.Sequential(Strict(3, 3, 3))
    with pytest.raises(pr.InputError, match=r"Sequential doesn't take images of shape \(3, 8, 8\): .*wants 224x224"):
        pr.model_spectra(model, 8)
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("padding", ["circular", "zeros"])
@pytest.mark.parametrize("name", ["L,L", "S,C", "R,C"])
def test_the_operator_of_a_level_is_its_weight(name: str, padding: str) -> None:
    """Blocks R and C apply alpha0 I + alpha1 A as one convolution; the layer's operator is A."""
    model = pr.models.build(name, padding=padding, scale=1 / 16, A_init="shifted", placement="smoother")
    pr.initialize(model)
    found = pr.model_spectra(model, 8)
    weights = dict(model.named_parameters())
    operators = {name: result for name, result in found.items() if name.endswith("A.weight")}
    assert len(operators) == 4
    for name, result in operators.items():
        expected = np.linalg.eigvals(dense_operator(weights[name].detach().double().numpy(), result.layer.conv.size))
        assert matched_error(result.spectrum.values, expected) < 1e-6
        assert result.layer.conv.padding == padding


def test_a_kernel_that_is_padded_is_no_padded_image() -> None:
    class Shifted(nn.Conv2d):
        def forward(self, image: Tensor) -> Tensor:
            kernel = self.weight + functional.pad(torch.eye(2)[:, :, None, None], (1, 1, 1, 1))
            return functional.conv2d(functional.pad(image, (1, 1, 1, 1), mode="circular"), kernel)

    layer = Shifted(2, 2, 3, padding=1)
    ((conv, weight, _),) = trace_convolutions(layer, torch.zeros(1, 2, 6, 6))[0]
    assert conv.padding == "circular"
    assert torch.equal(weight[:, :, 1, 1], layer.weight[:, :, 1, 1] + torch.eye(2))
