from __future__ import annotations

import csv
import importlib
import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from dense import dense_operator, matched_error
from odd_network import Odd, layer_with
from torch import Tensor, nn

import polyroots as pr
from polyroots.analysis import LayerResult
from polyroots.analysis.export import load_results, save_results, write_csv
from polyroots.analysis.layers import Analysis, analyse, model_layers
from polyroots.spectra.matching import match, moved


@pytest.fixture(scope="module")
def odd() -> Odd:
    torch.manual_seed(23)
    return Odd()


def test_one_forward_pass_finds_sizes_and_paddings(odd: Odd) -> None:
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


def test_model_spectra_are_those_of_each_convolution(odd: Odd) -> None:
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


def test_own_padding(odd: Odd) -> None:
    found = pr.model_spectra(odd, 12, padding="own")
    assert {name: result.padding for name, result in found.layers.items()} == {
        "same.weight": "zeros",
        "wrapped.weight": "circular",
        "depthwise.weight": "zeros",
        "point.weight": "zeros",
    }
    assert found.skipped["stem.weight"] == "not square: 6 output channels from 3; it has singular values"
    zeros = pr.model_spectra(odd, 12, padding="zeros")
    assert zeros.skipped["valid.weight"] == (
        "its own padding is zeros, 0x0 pixels: neither zeros nor circular with an output of the same size"
    )
    assert found.skipped["valid.weight"] == zeros.skipped["valid.weight"]


def test_a_large_zero_padded_layer_has_its_extremes(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("polyroots.spectra.matrix", "polyroots.analysis.layers"):
        monkeypatch.setattr(importlib.import_module(module), "DENSE_LIMIT", 100)
    torch.manual_seed(31)
    model = nn.Conv2d(2, 2, 3, padding=1)
    with torch.no_grad():
        model.weight[0, 0, 1, 1] += 3  # an eigenvalue far out, and well conditioned
    result = pr.model_spectra(model, 8, padding="zeros", kind="both").layers["weight"]
    assert result.spectrum is None
    assert result.sigma is None
    assert len(result.extremes.ends["radius"].values) == 6
    assert "only 6 eigenvalues at each end: more than 100 unknowns" in result.remark
    assert "only the 6 largest singular values" in result.remark
    assert result.singular.norm == pytest.approx(result.largest.values[0])
    assert np.isnan(result.singular.condition)
    assert result.singular.norm >= result.extremes.radius


@pytest.mark.usefixtures("types_unchecked")
def test_models_and_images_that_don_t_fit_are_said(odd: Odd) -> None:
    with pytest.raises(
        pr.InputError, match=r"Odd doesn't take images of shape \(3, 2, 2\): .*; give another image_size"
    ):
        pr.model_spectra(odd, 2)
    with pytest.raises(pr.InputError, match="Linear has no Conv2d"):
        pr.model_spectra(nn.Linear(2, 2), 8)
    with pytest.raises(pr.InputError, match=r"expected an image size \(H, W\)"):
        pr.model_spectra(odd, (1, 2, 3, 4))
    with pytest.raises(pr.InputError, match=r"expected a torch\.nn\.Module, got OrderedDict"):
        pr.model_spectra(cast(Any, odd.state_dict()), 20)
    with pytest.raises(pr.InputError, match=r"k: expected a whole number, got 1\.5"):
        pr.model_spectra(odd, 20, k=cast(Any, 1.5))
    with pytest.raises(pr.InputError, match="unknown kind 'eigen'"):
        pr.model_spectra(odd, 20, kind="eigen")


def test_a_module_that_is_used_twice_says_so() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.b = nn.Conv2d(2, 2, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return self.b(nn.functional.avg_pool2d(self.b(self.b(x)), 2))

    found = pr.model_spectra(Twice(), (8, 6))
    assert found.layers["b.weight"].layer.conv.size == (8, 6)
    assert found.layers["b.weight"].remark == "used again at 4x3"


def test_reparametrised_weights_are_those_that_are_used() -> None:
    from torch.nn.utils.parametrizations import weight_norm

    torch.manual_seed(71)
    model: Any = nn.Sequential(*(weight_norm(nn.Conv2d(3, 3, 3, padding=1)) for _ in range(4)))
    found = pr.model_spectra(model, 6)
    assert found.skipped == {}
    for module, result in zip(model, found.layers.values(), strict=True):
        assert np.array_equal(result.spectrum.values, pr.eigenvalues(module.weight, 6).values)


def test_only_converged_singular_values_count(rng: np.random.Generator, tmp_path: Path) -> None:
    from polyroots.analysis.layers import LayerResult
    from polyroots.spectra.singular_values import LargestSingularValues

    layer = layer_with(rng.standard_normal((2, 2, 3, 3)))
    largest = LargestSingularValues(np.array([3.0, 2.0]), np.array([1.0, 1e-12]), np.array([False, True]), 1.5)
    result = LayerResult(layer, "zeros", largest=largest)
    assert (result.singular.norm, result.singular.stable_rank) == (2.0, 1.5)
    save_results(tmp_path / "x.npz", {"x": result})
    assert load_results(tmp_path / "x.npz")["x"].largest.tolist() == [2.0]
    write_csv(tmp_path / "x.csv", {"x": result})
    assert [line.rsplit(",", 1)[1] for line in (tmp_path / "x.csv").read_text().splitlines()[1:]] == ["0", "1"]


def test_matching_is_the_best_one(rng: np.random.Generator) -> None:
    a = rng.standard_normal(6) + 1j * rng.standard_normal(6)
    for b in (rng.permutation(a), 1e-200 * rng.permutation(a), 1e200 * rng.permutation(a)):
        scale = np.abs(b).max() / np.abs(a).max()
        np.testing.assert_allclose(b[match(a * scale, b)], a * scale, rtol=1e-14)
    # Both matchings have the same sum of distances; the one with two short distances has the lesser sum of squares.
    assert match(np.array([0.0, 1.0]), np.array([1.0, 2.1])).tolist() == [0, 1]


@pytest.mark.parametrize("padding", ["circular", "zeros"])
def test_moved_eigenvalues(padding: str, rng: np.random.Generator) -> None:
    """A + s I moves every eigenvalue by s."""
    K = rng.standard_normal((4, 2, 3, 3))
    shifted = K.copy()
    for i in range(4):
        shifted[i, i % 2, 1, 1] += 1e-3
    a, b = (pr.eigenvalues(kernel, (4, 5), groups=2, padding=padding) for kernel in (K, shifted))
    np.testing.assert_allclose(moved(a, b), 1e-3, rtol=1e-6)
    with pytest.raises(pr.InputError, match=r"different size can't be matched: got \(4, 5\) and \(5, 4\)"):
        moved(a, pr.eigenvalues(K, (5, 4), groups=2, padding=padding))
    other = pr.eigenvalues(K, (4, 5), groups=2, padding="zeros" if padding == "circular" else "circular")
    with pytest.raises(pr.InputError, match="different padding"):
        moved(a, other)
    with pytest.raises(pr.InputError, match="different groups"):
        moved(a, pr.eigenvalues(np.concatenate([K, K], axis=1), (4, 5), padding=padding))


def test_moved_matches_each_frequency_and_group_by_itself(rng: np.random.Generator) -> None:
    """The reference is a loop over frequencies; the symbol of the kernel with one tap has a shorter period."""
    for first, second in (((3, 3), (3, 3)), ((1, 1), (3, 3)), ((1, 1), (1, 3))):
        K, L = rng.standard_normal((4, 2, *first)), rng.standard_normal((4, 2, *second))
        a, b = (pr.eigenvalues(kernel, (3, 4), groups=2) for kernel in (K, L))
        expected, clear = [], []
        for x, y in zip(a.values.reshape(-1, 2), b.values.reshape(-1, 2), strict=True):
            straight, crossed = np.abs(x - y), np.abs(x - y[::-1])
            difference = (straight**2).sum() - (crossed**2).sum()
            expected.append(straight if difference <= 0 else crossed)
            # Both matchings of a real pair with a conjugate pair have the same distances.
            clear.append(abs(difference) > 1e-9)
        ours = moved(a, b).reshape(-1, 2)
        assert np.sum(clear) > len(clear) / 2
        np.testing.assert_allclose(ours[clear], np.array(expected)[clear], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(np.sort(ours), np.sort(expected), rtol=1e-9, atol=1e-12)


def test_too_many_eigenvalues_without_frequencies_are_said(rng: np.random.Generator) -> None:
    """All eigenvalues of a 1x1 kernel are computed for images of any size, also with zero padding."""
    Lambda = pr.eigenvalues(rng.standard_normal((4, 4, 1, 1)), 40, padding="zeros")
    with pytest.raises(pr.InputError, match="6,400 eigenvalues without frequencies are too many to be matched"):
        moved(Lambda, Lambda)


@pytest.fixture(scope="module")
def results() -> dict[str, LayerResult]:
    """One result of each kind."""
    rng = np.random.default_rng(37)
    model: Any = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 3, 3, padding=1, stride=2))
    for module in model:
        module.weight.data = torch.from_numpy(rng.standard_normal(module.weight.shape))
    layers, _ = model_layers(model.double(), 6)
    return {
        "all": analyse(layers[0], Analysis(kind="both")),
        "zeros": analyse(layers[0], Analysis("zeros")),
        "few": analyse(layers[0], Analysis(k=3)),
        "fold": analyse(layers[1], Analysis(kind="singular")),
        "searched": analyse(model_layers(model[0], 300)[0][0], Analysis(k=1)),
    }


def test_results_survive_their_file(results: dict[str, LayerResult], tmp_path: Path) -> None:
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
    assert (few.k, few.is_exact, few.method) == (3, True, "All eigenvalues were computed.")
    assert np.array_equal(few.ends["radius"].frequencies, results["few"].extremes.ends["radius"].frequencies)
    searched = read["searched"].extremes
    assert not searched.is_exact
    for name, end in results["searched"].extremes.ends.items():
        assert searched.ends[name].supremum == end.supremum
    assert np.array_equal(read["zeros"].spectrum.errors, results["zeros"].spectrum.errors)


def test_csv_holds_every_value(results: dict[str, LayerResult], tmp_path: Path) -> None:
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
    assert sum(row["kind"] == "max_real" for row in rows) == 3 + 1
    text = (tmp_path / "spectra.csv").read_text()
    assert "nan" not in text
    assert "-0.0," not in text


def test_files_that_hold_no_layers_are_said(results: dict[str, LayerResult], tmp_path: Path) -> None:
    with pytest.raises(pr.FileError, match="no file"):
        load_results(tmp_path / "none.npz")
    results["all"].spectrum.save(tmp_path / "one.npz")
    with pytest.raises(pr.FileError, match="holds no layers"):
        load_results(tmp_path / "one.npz")
    np.savez(tmp_path / "names.npz", names=json.dumps([""] * 100_001))
    with pytest.raises(pr.FileError, match="has 100,001 layers, and of a file of unknown origin at most 100,000"):
        load_results(tmp_path / "names.npz")
    save_results(tmp_path / "many.npz", results)
    with pytest.raises(pr.FileError, match="is no spectrum"):
        pr.Spectrum.load(tmp_path / "many.npz")


def test_depthwise_matches_the_dense_operator(rng: np.random.Generator) -> None:
    K = rng.standard_normal((4, 1, 3, 3))
    expected = np.linalg.eigvals(dense_operator(K, (4, 5), groups=4))
    assert matched_error(pr.eigenvalues(K, (4, 5), groups=4).values, expected) < 1e-11
