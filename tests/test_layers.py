from __future__ import annotations

import csv

import numpy as np
import pytest
import torch
from dense import dense_operator, matched_error
from torch import nn

import polyroots as pr
from polyroots.compare import match, moved
from polyroots.export import load_results, save_results, write_csv
from polyroots.layers import Analysis, analyse, model_layers
from polyroots.verify import unit_responses, verify


class Odd(nn.Module):
    """Every kind of convolution, some of them shared or unused."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 7, stride=2, padding=3)
        self.same = nn.Conv2d(6, 6, 3, padding="same", dilation=2)
        self.wrapped = nn.Conv2d(6, 6, 5, padding=2, padding_mode="circular")
        self.valid = nn.Conv2d(6, 6, 3)
        self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.point = nn.Conv2d(6, 6, 1)
        self.tied = nn.Conv2d(6, 6, 1)
        self.tied.weight = self.point.weight
        self.up = nn.ConvTranspose2d(6, 6, 2, stride=2)
        self.line = nn.Conv1d(6, 6, 3, padding=1)
        self.unused = nn.Conv2d(6, 6, 3)
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        x = self.depthwise(self.valid(self.wrapped(self.same(self.stem(x)))))
        x = self.drop(self.up(self.tied(self.point(x))))
        return self.line(x.flatten(2))


@pytest.fixture(scope="module")
def odd():
    torch.manual_seed(23)
    return Odd()


def test_one_forward_pass_finds_sizes_and_paddings(odd):
    odd.train()
    odd.drop.eval()
    layers, skipped = model_layers(odd, (20, 24))
    geometry = {layer.name: (layer.conv.size, layer.conv.stride, layer.conv.padding) for layer in layers}
    assert geometry == {
        "stem.weight": ((20, 24), (2, 2), "zeros"),
        "same.weight": ((10, 12), (1, 1), "zeros"),
        "wrapped.weight": ((10, 12), (1, 1), "circular"),
        "valid.weight": ((10, 12), (1, 1), "zeros, 0x0 pixels"),
        "depthwise.weight": ((8, 10), (1, 1), "zeros"),
        "point.weight": ((8, 10), (1, 1), "zeros"),
    }
    assert skipped == {
        "tied.weight": "tied: the same weights as point.weight",
        "up.weight": "a ConvTranspose2d; convolutions of images, Conv2d, are analysed",
        "line.weight": "a Conv1d; convolutions of images, Conv2d, are analysed",
        "unused.weight": "the forward pass didn't use it",
    }
    # The model is as it was.
    assert odd.training
    assert not odd.drop.training
    assert not any(module._forward_pre_hooks for module in odd.modules())


def test_model_spectra_are_those_of_each_convolution(odd):
    found = pr.model_spectra(odd, (3, 20, 24), kind="both")
    assert list(found.layers) == [
        "stem.weight",
        "same.weight",
        "wrapped.weight",
        "valid.weight",
        "depthwise.weight",
        "point.weight",
    ]
    assert list(found.spectra) == list(found.layers)[1:]
    same = found.layers["same.weight"]
    expected = pr.eigenvalues(odd.same.weight, (10, 12), dilation=2)
    assert np.array_equal(same.spectrum.values, expected.values)
    depthwise = found.spectra["depthwise.weight"]
    for channel in range(6):
        alone = pr.eigenvalues(odd.depthwise.weight[channel : channel + 1], (8, 10))
        np.testing.assert_allclose(depthwise.per_group[channel], alone.values, rtol=0, atol=1e-14)
    stem = found.layers["stem.weight"]
    assert stem.spectrum is None
    assert stem.remark == "no eigenvalues (not square: 6 output channels from 3)"
    A = dense_operator(odd.stem.weight.detach().double().numpy(), (20, 24), stride=2)
    assert stem.singular.norm == pytest.approx(np.linalg.norm(A, 2), rel=1e-10)


def test_own_padding(odd):
    found = pr.model_spectra(odd, 12, padding="own")
    assert {name: result.padding for name, result in found.layers.items()} == {
        "same.weight": "zeros",
        "wrapped.weight": "circular",
        "valid.weight": "circular",
        "depthwise.weight": "zeros",
        "point.weight": "zeros",
    }
    assert found.skipped["stem.weight"] == "not square: 6 output channels from 3; it has singular values"
    zeros = pr.model_spectra(odd, 12, padding="zeros")
    assert "its own padding is zeros, 0x0 pixels" in zeros.skipped["valid.weight"]


def test_a_large_zero_padded_layer_has_its_extremes(rng):
    model = nn.Conv2d(2, 2, 3, padding=1)
    result = pr.model_spectra(model, 50, padding="zeros", kind="both").layers["weight"]
    assert result.spectrum is None
    assert result.sigma is None
    assert len(result.extremes.ends["radius"].values) == 6
    assert "only 6 eigenvalues at each end: more than 4,096 unknowns" in result.remark
    assert "only the 6 largest singular values" in result.remark
    assert result.singular.norm == pytest.approx(result.largest.values[0])
    assert np.isnan(result.singular.condition)
    assert result.singular.norm >= result.extremes.radius


def test_models_and_images_that_don_t_fit_are_said(odd):
    with pytest.raises(
        pr.InputError, match=r"Odd doesn't take images of shape \(3, 2, 2\): .*; give another input_size"
    ):
        pr.model_spectra(odd, 2)
    with pytest.raises(pr.InputError, match="Linear has no Conv2d"):
        pr.model_spectra(nn.Linear(2, 2), 8)
    with pytest.raises(pr.InputError, match=r"expected an input size \(H, W\)"):
        pr.model_spectra(odd, (1, 2, 3, 4))
    with pytest.raises(pr.InputError, match="unknown kind 'eigen'"):
        pr.model_spectra(odd, 20, kind="eigen")


def test_unit_responses_are_the_dense_operator(rng):
    from polyroots.operators import Operator

    K = rng.standard_normal((4, 2, 3, 2))
    for padding in ("circular", "zeros"):
        operator = Operator.of(K, (5, 4), stride=2, dilation=2, groups=2, padding=padding)
        np.testing.assert_allclose(unit_responses(operator), dense_operator(K, (5, 4), 2, 2, padding, 2), atol=1e-14)


@pytest.mark.parametrize("padding", ["circular", "zeros"])
def test_verification_finds_rounding_and_nothing_else(odd, padding, monkeypatch):
    analysis = Analysis(padding, "both")
    layers, _ = model_layers(odd, 20)
    for layer in layers:
        if analysis.why_not(layer):
            continue
        check = verify(layer, analysis)
        assert check.is_good, (layer.name, check)
        assert check.singular_error < 1e-12
        assert (check.eigenvalue_error is None) == (layer.name == "stem.weight")
    # A kernel that is not centred has other eigenvalues and the same singular values: the check must see it.
    from polyroots import operators

    layer = next(layer for layer in layers if layer.name == "wrapped.weight")
    monkeypatch.setattr(operators, "_tap_offsets", lambda k, dilation: dilation * np.arange(k))
    check = verify(layer, Analysis("circular", "both"))
    assert not check.is_good
    assert check.eigenvalue_error > 1e-3
    assert check.singular_error < 1e-12


def test_verification_takes_the_leading_channels_of_wide_layers():
    torch.manual_seed(29)
    wide = nn.Conv2d(70, 60, 3, padding=1, stride=2)
    ((layer,), _) = model_layers(wide, 16)
    check = verify(layer, Analysis("circular", "both"))
    assert (check.shape, check.size) == ((48, 48, 3, 3), (6, 4))
    assert check.eigenvalue_error is None
    assert check.is_good


def test_matching_is_the_best_one(rng):
    a = rng.standard_normal(6) + 1j * rng.standard_normal(6)
    np.testing.assert_array_equal(match(a, rng.permutation(a)), 0)
    np.testing.assert_allclose(match(a, rng.permutation(a + 1e-3)), 1e-3)


@pytest.mark.parametrize("padding", ["circular", "zeros"])
def test_moved_eigenvalues(padding, rng):
    """A + s I moves every eigenvalue by s."""
    K = rng.standard_normal((4, 2, 3, 3))
    shifted = K.copy()
    for i in range(4):
        shifted[i, i % 2, 1, 1] += 1e-3
    a, b = (pr.eigenvalues(kernel, (4, 5), groups=2, padding=padding) for kernel in (K, shifted))
    np.testing.assert_allclose(moved(a, b), 1e-3, rtol=1e-6)
    with pytest.raises(pr.InputError, match=r"different size can't be matched: got \(4, 5\) and \(5, 4\)"):
        moved(a, pr.eigenvalues(K, (5, 4), groups=2, padding=padding))


@pytest.fixture(scope="module")
def results():
    """One result of each kind."""
    rng = np.random.default_rng(37)
    model = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 3, 3, padding=1, stride=2))
    for module in model:
        module.weight.data = torch.from_numpy(rng.standard_normal(module.weight.shape))
    layers, _ = model_layers(model.double(), 6)
    return {
        "all": analyse(layers[0], Analysis(kind="both")),
        "zeros": analyse(layers[0], Analysis("zeros")),
        "few": analyse(layers[0], Analysis(extremes=3)),
        "fold": analyse(layers[1], Analysis(kind="singular")),
    }


def test_results_survive_their_file(results, tmp_path):
    save_results(tmp_path / "spectra.npz", results)
    read = load_results(tmp_path / "spectra.npz")
    assert list(read) == list(results)
    for name, result in results.items():
        assert (read[name].spectrum is None) == (result.spectrum is None)
        if result.spectrum is not None:
            for part in ("values", "frequencies", "conditions", "weight"):
                ours, theirs = getattr(result.spectrum, part), getattr(read[name].spectrum, part)
                assert (ours is None) == (theirs is None)
                if ours is not None:
                    assert np.array_equal(ours, theirs)
        if result.sigma is not None:
            assert np.array_equal(read[name].sigma, result.sigma)
    few = read["few"].extremes
    assert few.min_real == results["few"].extremes.min_real
    assert (few.count, few.is_exact, few.method) == (3, True, "All eigenvalues were computed.")
    assert np.array_equal(few.ends["radius"].frequencies, results["few"].extremes.ends["radius"].frequencies)


def test_csv_holds_every_value(results, tmp_path):
    write_csv(tmp_path / "spectra.csv", results)
    with (tmp_path / "spectra.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    mine = [row for row in rows if row["layer"] == "all" and row["kind"] == "eigenvalue"]
    Lambda = results["all"].spectrum
    assert [complex(float(row["real"]), float(row["imag"])) for row in mine] == (Lambda.values + 0).tolist()
    assert [[float(row["theta_y"]), float(row["theta_x"])] for row in mine] == Lambda.frequencies.tolist()
    zeros = [row for row in rows if row["layer"] == "zeros"]
    assert {row["theta_y"] for row in zeros} == {""}
    assert [float(row["condition"]) for row in zeros] == results["zeros"].spectrum.conditions.tolist()
    sigma = [float(row["real"]) for row in rows if row["layer"] == "fold"]
    assert sigma == results["fold"].sigma.tolist()
    assert sum(row["kind"] == "max_real" for row in rows) == 3


def test_files_that_hold_no_layers_are_said(results, tmp_path):
    with pytest.raises(pr.FileError, match="no file"):
        load_results(tmp_path / "none.npz")
    results["all"].spectrum.save(tmp_path / "one.npz")
    with pytest.raises(pr.FileError, match="holds no layers"):
        load_results(tmp_path / "one.npz")
    save_results(tmp_path / "many.npz", results)
    with pytest.raises(pr.FileError, match="is no spectrum"):
        pr.Spectrum.load(tmp_path / "many.npz")


def test_depthwise_matches_the_dense_operator(rng):
    K = rng.standard_normal((4, 1, 3, 3))
    expected = np.linalg.eigvals(dense_operator(K, (4, 5), groups=4))
    assert matched_error(pr.eigenvalues(K, (4, 5), groups=4).values, expected) < 1e-11
