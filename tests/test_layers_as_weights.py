"""A torch.nn.Conv2d, or a bare stencil, where a kernel is expected."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from dense import dense_operator, matched_error
from torch import nn

import polyroots as pr

LAPLACIAN = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0.0]])


@pytest.mark.parametrize(
    "options",
    [
        {"padding": 1},
        {"padding": "same", "bias": False},
        {"padding": 2, "dilation": 2},
        {"padding": 1, "groups": 2, "padding_mode": "circular"},
    ],
)
def test_a_layer_is_its_own_operator(options: dict[str, Any]) -> None:
    """The spectrum is that of the matrix which the layer itself, without its bias, applies to unit vectors."""
    torch.manual_seed(3)
    layer = nn.Conv2d(4, 4, 3, **options).double()
    units = torch.eye(4 * 25, dtype=torch.float64).reshape(-1, 4, 5, 5)
    with torch.no_grad():
        A = (layer(units) - layer(torch.zeros_like(units))).reshape(100, 100).numpy().T
    padding = "circular" if layer.padding_mode == "circular" else "zeros"
    Lambda = pr.eigenvalues(layer, 5, padding=padding)
    assert matched_error(Lambda.values, np.linalg.eigvals(A).astype(complex)) < 1e-9
    assert Lambda.groups == layer.groups
    found = pr.singular_values(layer, 5, padding=padding)
    np.testing.assert_allclose(found, np.linalg.svd(A, compute_uv=False), atol=1e-12)
    ends = pr.extreme_eigenvalues(layer, 5, padding=padding)
    assert abs(ends.max_real - Lambda.max_real) < 1e-9


def test_a_stride_comes_with_the_layer() -> None:
    torch.manual_seed(4)
    layer = nn.Conv2d(2, 3, 3, stride=2, padding=1, bias=False).double()
    K = layer.weight.detach().numpy()
    expected = np.linalg.svd(dense_operator(K, (6, 6), stride=2), compute_uv=False)
    np.testing.assert_allclose(pr.singular_values(layer, 6), expected, atol=1e-12)
    np.testing.assert_allclose(pr.singular_values(layer, 6, stride=2), expected, atol=1e-12)
    with pytest.raises(pr.InputError, match="weight: the symbol of one frequency needs stride 1, the Conv2d has"):
        pr.symbol(layer, 6)


def test_a_stencil_needs_no_channels() -> None:
    expected = pr.eigenvalues(LAPLACIAN.reshape(1, 1, 3, 3), 8)
    np.testing.assert_array_equal(pr.eigenvalues(LAPLACIAN, 8).values, expected.values)
    assert pr.symbol(LAPLACIAN, 8).shape == (8, 5, 1, 1)


@pytest.mark.parametrize(
    ("layer", "arguments", "message"),
    [
        (
            nn.Conv2d(2, 2, 3),
            {},
            r"expected a Conv2d whose padding keeps the image.s size \(1x1 here\), got padding 0x0",
        ),
        (nn.Conv2d(2, 2, 2, padding=1), {}, r"keeps the image's size \(same here\), got padding 1x1"),
        (nn.Conv2d(2, 2, 3, padding="valid"), {}, "got padding 'valid'"),
        (nn.Conv2d(2, 2, 3, padding=1), {"dilation": 2}, r"the Conv2d has dilation \(1, 1\), and dilation 2 was given"),
        (nn.Conv2d(2, 2, 3, padding=1), {"groups": 2}, "the Conv2d has groups 1, and groups 2 was given; leave it out"),
        (nn.Conv2d(2, 2, 3, padding=1, stride=2), {}, "weight: eigenvalues need stride 1, got 2x2"),
        (nn.Conv1d(2, 2, 3, padding=1), {}, r"expected an array, a tensor or a torch.nn.Conv2d, got Conv1d"),
        (nn.Sequential(nn.Conv2d(2, 2, 3)), {}, "got Sequential; of a network model_spectra takes all convolutions"),
    ],
)
def test_other_layers_are_refused(layer: nn.Module, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(pr.InputError, match=message):
        pr.eigenvalues(layer, 8, **arguments)


def test_a_layer_with_a_forward_pass_of_its_own_is_refused() -> None:
    class Standardised(nn.Conv2d):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            return self._conv_forward(input, self.weight - self.weight.mean(), self.bias)

    with pytest.raises(pr.InputError, match="Standardised has a forward pass of its own"):
        pr.eigenvalues(Standardised(2, 2, 3, padding=1), 8)


def test_the_operator_of_a_level_stands_for_its_weight() -> None:
    torch.manual_seed(13)
    A = pr.models.ConvOperator(3)
    np.testing.assert_array_equal(pr.eigenvalues(A, 8).values, pr.eigenvalues(A.weight, 8).values)
