from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from dense import dense_operator
from odd_network import Odd, layer_with
from torch import nn

from polyroots.analysis.layers import Analysis, model_layers
from polyroots.analysis.verify import unit_responses, verify
from polyroots.spectra import Spectrum


@pytest.fixture(scope="module")
def odd() -> Odd:
    torch.manual_seed(23)
    return Odd()


def test_unit_responses_are_the_dense_operator(rng: np.random.Generator) -> None:
    from polyroots.spectra.convolution import Convolution

    K = rng.standard_normal((4, 2, 3, 2))
    for padding in ("circular", "zeros"):
        operator = Convolution.of(K, (5, 4), stride=2, dilation=2, groups=2, padding=padding)
        np.testing.assert_allclose(unit_responses(operator), dense_operator(K, (5, 4), 2, 2, padding, 2), atol=1e-14)


@pytest.mark.parametrize("padding", ["circular", "zeros"])
def test_verification_finds_rounding_and_nothing_else(odd: Odd, padding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    analysis = Analysis(padding, "both")
    layers, _ = model_layers(odd, 20)
    for layer in layers:
        if analysis.why_not(layer):
            continue
        check = verify(layer, analysis)
        assert check.is_good, (layer.name, check)
        assert check.singular_error < 1e-12
        assert (check.eigenvalue_error is None) == (layer.name == "stem.weight")
    # A kernel that is not centred has other eigenvalues and the same singular values.
    from polyroots.spectra import convolution as operators

    layer = next(layer for layer in layers if layer.name == "wrapped.weight")
    monkeypatch.setattr(operators, "tap_offsets", lambda k, dilation: dilation * np.arange(k))
    check = verify(layer, Analysis("circular", "both"))
    assert not check.is_good
    assert not check.is_matched
    assert check.eigenvalue_error > 1e-3
    assert check.singular_error < 1e-12


ROTATION = np.linalg.qr(np.random.default_rng(53).standard_normal((4, 4)))[0]
ILL_CONDITIONED = {
    "jordan": (ROTATION @ (0.5 * np.eye(4) + np.eye(4, k=1)) @ ROTATION.T).reshape(4, 4, 1, 1),
    "nilpotent": np.einsum(
        "ij,yx->ijyx", np.array([[1.0, -1], [1, -1]]), np.random.default_rng(59).standard_normal((3, 3))
    ),
    "causal": np.random.default_rng(61).standard_normal((3, 3, 2, 2)),
    "opposite": np.array([[[1, 0, 0.1]], [[0.1, 0, 1]]]).reshape(2, 1, 1, 3) * np.eye(2).reshape(2, 2, 1, 1),
}


@pytest.mark.parametrize("padding", ["circular", "zeros"])
@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e160])
@pytest.mark.parametrize("name", ILL_CONDITIONED)
def test_ill_conditioned_layers_are_no_false_alarm(name: str, scale: float, padding: str) -> None:
    layer = layer_with(ILL_CONDITIONED[name] * scale)
    assert verify(layer, Analysis(padding, "both")).is_good


@pytest.mark.parametrize("factor", [1 + 1e-3, 1 + 1e-6, 1 + 1e-9])
@pytest.mark.parametrize("name", [*ILL_CONDITIONED, "random"])
def test_wrong_values_are_found_whatever_the_condition(
    name: str, factor: float, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    from polyroots.analysis import layers as module

    K = rng.standard_normal((3, 3, 3, 3)) if name == "random" else ILL_CONDITIONED[name]
    layer = layer_with(K)
    true_eigenvalues, true_singular_values = module.eigenvalues_of, module.singular_values_of

    def wrong(*args: Any, **options: Any) -> Spectrum:
        Lambda = true_eigenvalues(*args, **options)
        return replace(Lambda, values=Lambda.values * factor)

    if name != "nilpotent":  # all eigenvalues are zero
        monkeypatch.setattr(module, "eigenvalues_of", wrong)
        assert not verify(layer, Analysis()).is_good
    monkeypatch.setattr(module, "eigenvalues_of", true_eigenvalues)
    monkeypatch.setattr(module, "singular_values_of", lambda *a, **o: true_singular_values(*a, **o) * factor)
    assert not verify(layer, Analysis(kind="both")).is_good


def test_wrong_values_with_the_right_traces_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """1, 2, 3 moved by 1e-3 such that neither their sum nor that of their squares changes."""
    from polyroots.analysis import layers as module

    layer = layer_with(np.diag([1.0, 2.0, 3.0]).reshape(3, 3, 1, 1))
    a = 1e-3
    c = (-(2 + 2 * a) + np.sqrt((2 + 2 * a) ** 2 - 8 * (2 * a**2 - 2 * a))) / 4
    moves = {1: a, 2: -a - c, 3: c}
    true_eigenvalues = module.eigenvalues_of

    def wrong(*args: Any, **options: Any) -> Spectrum:
        Lambda = true_eigenvalues(*args, **options)
        values = np.array([value + moves[round(value.real)] for value in Lambda.values])
        assert abs(values.sum() - Lambda.values.sum()) < 1e-10
        assert abs((values**2).sum() - (Lambda.values**2).sum()) < 1e-10
        return replace(Lambda, values=values)

    monkeypatch.setattr(module, "eigenvalues_of", wrong)
    assert not verify(layer, Analysis()).is_good


@pytest.mark.parametrize("settings", [{"sample": 1}, {"precision": "single"}, {"k": 1}])
def test_all_values_are_compared_whatever_the_analysis_takes(settings: dict[str, Any], odd: Odd) -> None:
    """On the small grid all eigenvalues are compared, in double precision; of a sample none might be."""
    layers, _ = model_layers(odd, 20)
    analysis = Analysis(**settings)
    layer = next(layer for layer in layers if not analysis.why_not(layer))
    check = verify(layer, analysis)
    assert check.eigenvalue_error is not None
    assert check.eigenvalue_error < 1e-12
    assert check.is_good


def test_verification_takes_the_leading_groups() -> None:
    torch.manual_seed(67)
    depthwise = nn.Conv2d(60, 60, 4, padding="same", groups=60)
    ((layer,), _) = model_layers(depthwise, 8)
    check = verify(layer, Analysis("zeros", "both"))
    assert check.shape == (48, 1, 4, 4)
    assert check.is_good
    from polyroots.analysis.verify import _small

    assert torch.equal(_small(layer).read(), depthwise.weight[:48])


def test_verification_takes_the_leading_channels_of_wide_layers() -> None:
    torch.manual_seed(29)
    wide = nn.Conv2d(70, 60, 3, padding=1, stride=2)
    ((layer,), _) = model_layers(wide, 16)
    check = verify(layer, Analysis("circular", "both"))
    assert (check.shape, check.size) == ((48, 48, 3, 3), (6, 4))
    assert check.eigenvalue_error is None
    assert check.is_good
