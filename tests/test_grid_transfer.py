"""Restriction and prolongation: the form that is fast computes the convolution."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import polyroots as pr
from polyroots.models.grid_transfer import DepthwiseConv


@pytest.mark.parametrize(("fine", "coarse"), [(16, 32), (6, 12), (5, 10), (32, 32), (4, 12), (3, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_a_depthwise_convolution_is_that_of_its_weight(fine: int, coarse: int, dtype: torch.dtype) -> None:
    torch.manual_seed(13)
    layer = DepthwiseConv(fine, coarse).to(dtype)
    u = torch.randn(2, fine, 9, 6, dtype=dtype, requires_grad=True)
    outcome = torch.randn(2, coarse, 5, 3, dtype=dtype)
    layer(u).backward(outcome)

    # One channel at a time in double precision, from the same rounded numbers.
    exact_u, weight = (x.detach().double().requires_grad_() for x in (u, layer.weight))
    each = coarse // fine
    exact = torch.cat(
        [nn.functional.conv2d(exact_u[:, [i // each]], weight[[i]], stride=2, padding=1) for i in range(coarse)],
        dim=1,
    )
    exact.backward(outcome.double())
    eps = torch.finfo(dtype).eps
    assert u.grad is not None
    assert layer.weight.grad is not None
    torch.testing.assert_close(layer(u).double(), exact, rtol=8 * eps, atol=64 * eps)
    torch.testing.assert_close(u.grad.double(), exact_u.grad, rtol=8 * eps, atol=64 * eps)
    torch.testing.assert_close(layer.weight.grad.double(), weight.grad, rtol=8 * eps, atol=64 * eps)


def test_spectra_see_the_weight_of_a_depthwise_convolution() -> None:
    torch.manual_seed(13)
    model: Any = pr.models.build("q2", scale=0.25)
    found = pr.model_spectra(model, image_size=32, kind="singular")
    expected = pr.singular_values(model.transitions[0].R.weight, size=32, stride=2, groups=16)
    singular = found["transitions.0.R.weight"].singular
    assert singular is not None
    assert singular.norm == pytest.approx(expected[0], rel=1e-12)


def test_the_gradient_has_the_layout_of_the_weight() -> None:
    """Data parallelism copies gradients of another layout, and warns."""
    layer: Any = pr.models.channels_last(DepthwiseConv(16, 32))
    layer(torch.ones(2, 16, 4, 4)).sum().backward()
    assert layer.weight.grad.stride() == layer.weight.stride()
