"""Every network under torch.compile, channels_last, bf16 autocast and torch.export; and its state dict across them."""

from __future__ import annotations

import copy
import shutil
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

import polyroots as pr
from polyroots.models import NAMES

pytestmark = pytest.mark.slow

CASES: list[tuple[str, dict[str, Any]]] = [(name, {}) for name in (*NAMES, "R,C,S,L")]
CASES += [
    ("q4", {"placement": "smoother", "padding": "circular"}),
    ("L,C", {"quadratic_placement": "A-bn-relu"}),
    ("L,S,C", {"steps_per_A": 1, "placement": "relu-outside"}),
]
# resnet32 and resnet44 have more of resnet20's blocks, and their compilation takes a minute.
KINDS = [case for case in CASES if case[0] not in ("resnet32", "resnet44")]


def small(name: str, config: dict[str, Any]) -> Any:
    torch.manual_seed(71)
    model: Any = pr.models.build(name, **{"image_size": 8, "in_channels": 1, "scale": 1 / 16, **config})
    if model.config.is_polynomial:
        pr.initialize(model)
    return model


def gradients(model: Any, images: Tensor) -> tuple[Tensor, list[Tensor]]:
    model.zero_grad()
    logits = model(images)
    logits.square().sum().backward()
    return logits.detach(), [p.grad.detach().clone() for p in model.parameters()]


@pytest.mark.parametrize(("name", "config"), KINDS)
@pytest.mark.usefixtures("types_unchecked")
def test_compiled_as_one_graph(name: str, config: dict[str, Any]) -> None:
    """Forward and backward passes, in training and evaluation, have no break in the graph."""
    model = small(name, config)
    images = torch.randn(4, 1, 8, 8)
    torch.compiler.reset()
    for training in (True, False):
        model.train(training)
        eager = copy.deepcopy(model)
        # The front end of the compiler only, which can fail for a model; code generation is tested below.
        compiled: Any = torch.compile(model, fullgraph=True, backend="aot_eager")
        ours, theirs = gradients(compiled, images), gradients(eager, images)
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
        for a, b in zip(model.buffers(), eager.buffers(), strict=True):
            torch.testing.assert_close(a, b)


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.usefixtures("types_unchecked")
def test_compiled_to_code() -> None:
    model = small("L,C", {"channels": (4,), "scale": None}).eval()
    images = torch.randn(4, 1, 8, 8)
    torch.compiler.reset()
    with torch.no_grad():
        torch.testing.assert_close(torch.compile(model, fullgraph=True)(images), model(images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "config"), CASES)
def test_channels_last(name: str, config: dict[str, Any]) -> None:
    """The outputs are equal, and all features keep the memory format."""
    model = small(name, config).double()
    images = torch.randn(4, 1, 8, 8, dtype=torch.float64)
    expected = gradients(copy.deepcopy(model), images)
    last = copy.deepcopy(model).to(memory_format=torch.channels_last)
    formats: list[Any] = []
    for level in getattr(last, "levels", []):
        level.register_forward_hook(
            lambda _, __, out: formats.extend(
                t.is_contiguous(memory_format=torch.channels_last) for t in out if t is not None
            )
        )
    found = gradients(last, images.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)
    assert all(formats)


@pytest.mark.parametrize(("name", "config"), CASES)
def test_bf16_autocast(name: str, config: dict[str, Any]) -> None:
    """Outputs are bf16 and as accurate as eight bits allow; parameters and their gradients stay float32."""
    model = small(name, config)
    images = torch.randn(16, 1, 8, 8)
    exact = copy.deepcopy(model)(images).detach()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(images)
        loss = logits.float().square().sum()
    loss.backward()
    assert logits.dtype == torch.bfloat16
    assert float((logits.detach().float() - exact).norm() / exact.norm()) < 0.1
    for parameter in model.parameters():
        assert parameter.dtype == torch.float32
        assert parameter.grad.dtype == torch.float32
        assert parameter.grad.isfinite().all()


@pytest.mark.parametrize(("name", "config"), CASES)
def test_exported_for_any_batch(name: str, config: dict[str, Any]) -> None:
    model = small(name, config).eval()
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(model, (torch.randn(4, 1, 8, 8),), dynamic_shapes=({0: batch},))
    images = torch.randn(7, 1, 8, 8)
    torch.testing.assert_close(program.module()(images), model(images), rtol=1e-5, atol=1e-5)
    fresh = pr.models.build(model.config)
    fresh.load_state_dict(program.state_dict)
    torch.testing.assert_close(fresh.eval()(images), model(images))


@pytest.mark.parametrize(("name", "config"), CASES)
def test_a_state_dict_loads_across_all_of_them(name: str, config: dict[str, Any]) -> None:
    model = small(name, config).eval()
    images = torch.randn(3, 1, 8, 8)
    expected = model(images)
    states = {
        "plain": model.state_dict(),
        "compiled": cast(nn.Module, torch.compile(model)).state_dict(),
        "parallel": nn.DataParallel(model).state_dict(),
        "both": cast(nn.Module, torch.compile(nn.DataParallel(model))).state_dict(),
        "channels_last": copy.deepcopy(model).to(memory_format=torch.channels_last).state_dict(),
    }
    assert next(iter(states["compiled"])).startswith("_orig_mod.")
    for state in states.values():
        kept = dict(state)
        fresh = pr.models.build(model.config)
        fresh.load_state_dict(state)
        torch.testing.assert_close(fresh.eval()(images), expected)
        assert dict(state) == kept, "the state dict is the caller's"
    compiled: Any = torch.compile(pr.models.build(model.config))
    compiled.load_state_dict({f"_orig_mod.{key}": value for key, value in states["plain"].items()})
    torch.testing.assert_close(compiled._orig_mod.eval()(images), expected)


def test_what_does_not_fit_is_still_refused() -> None:
    model = small("q2", {})
    state = dict(model.state_dict())
    state["_orig_mod.head.weights"] = state["head.weight"]
    with pytest.raises(RuntimeError, match=r"head\.weights"):
        model.load_state_dict(state)
    twice = {**model.state_dict(), "_orig_mod.head.weight": torch.zeros_like(model.head.weight)}
    with pytest.raises(RuntimeError, match=r"_orig_mod\.head\.weight"):
        model.load_state_dict(twice)
