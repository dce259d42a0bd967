from __future__ import annotations

import importlib
import math
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

import polyroots as pr
from polyroots.spectra import symbol_search as search
from polyroots.spectra.extreme_eigenvalues import extreme_eigenvalues
from polyroots.spectra.symbol_search import ENDS
from polyroots.spectra.zero_padding import Eigenpairs

# The module; in the package a function of the same name hides it.
extremes = importlib.import_module("polyroots.spectra.extreme_eigenvalues")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("c", "k", "size", "options"),
    [
        (1, 3, (320, 230), {}),
        (4, 3, (112, 110), {}),
        (3, 5, (101, 150), {}),
        (2, 3, (256, 230), {"dilation": 2}),
        (4, 3, (110, 112), {"groups": 2}),
        (2, 3, (129, 129), {"dilation": 4}),  # coprime to the image: the same symbols
        (2, 3, (128, 129), {"dilation": (6, 16)}),
        (2, 2, (59, 66), {"dilation": (2, 1)}),
        (2, 3, (90, 50), {}),
        (3, 1, (200, 100), {}),
    ],
)
def test_extremes_are_those_of_all_eigenvalues(
    c: int, k: int, size: tuple[int, int], options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The five outermost eigenvalues of each end, with multiplicity, and their frequencies are found by the search."""
    monkeypatch.setattr(search, "_WORTHWHILE", (0, 0))
    for seed in (7, 12, 13):
        K = np.random.default_rng(seed).standard_normal((c, c // options.get("groups", 1), k, k))
        found = extreme_eigenvalues(K, size, 5, **options)
        everything = pr.eigenvalues(K, size, **options)
        for name, measure in ENDS.items():
            values = everything.values[everything.values.imag >= 0] if name == "max_imag" else everything.values
            end = found.ends[name]
            np.testing.assert_allclose(measure(end.values), np.sort(measure(values))[:-6:-1], rtol=1e-11)
            assert end.converged.all()
            for value, theta in zip(end.values, end.frequencies, strict=True):
                here = (np.abs(everything.frequencies - theta) < 1e-12).all(axis=1)
                assert here.sum() == c
                assert np.abs(everything.values[here] - value).min() < 1e-11
            if not found.is_exact:
                # The supremum over the continuous symbol is at least the extreme value of the image.
                outward = -1 if name == "min_real" else 1
                assert outward * end.supremum >= outward * found.reached(name) - 1e-12
                assert end.supremum == pytest.approx(found.reached(name), rel=0.05)
        assert found.radius == pytest.approx(everything.radius, rel=1e-11)


def test_the_cost_does_not_grow_with_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same number of symbols is solved for 224 and for 1024 pixels."""
    solved = []
    eigvals = np.linalg.eigvals

    def counting(stack: NDArray[Any]) -> NDArray[Any]:
        solved.append(len(stack))
        return eigvals(stack)

    monkeypatch.setattr(search, "eigvals", counting)
    monkeypatch.setattr(search, "_WORTHWHILE", (0, 0))
    K = np.random.default_rng(17).standard_normal((2, 2, 3, 3))
    counts = []
    for size in (224, 1024):
        solved.clear()
        found = extreme_eigenvalues(K, size)
        counts.append(sum(solved))
        assert not found.is_exact
        assert found.method.startswith(
            "Estimate from 24x24 frequencies, refined on the continuous symbol; checked at 576"
        )
    assert counts[1] < 1.3 * counts[0] < 8_000


def test_the_symbols_suprema_are_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """An odd image doesn't have the frequency pi: the Laplacian's supremum 8 is no eigenvalue there."""
    K = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]], dtype=float).reshape(1, 1, 3, 3)
    monkeypatch.setattr(search, "_WORTHWHILE", (0, 0))
    found = extreme_eigenvalues(K, 1023, 2)
    assert found.ends["max_real"].supremum == pytest.approx(8, abs=1e-10)
    assert found.max_real == pytest.approx(4 + 4 * np.cos(np.pi / 1023), abs=1e-12)
    assert found.min_real == pytest.approx(0, abs=1e-12)


def test_a_peak_that_the_first_grid_misses_is_found_by_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """Started at theta = 0 only, the search finds a lower maximum; the check on the second grid starts it again."""
    monkeypatch.setattr(search, "_WORTHWHILE", (0, 0))
    monkeypatch.setattr(search.SymbolSearch, "_starts", lambda self, name, coarse: np.full((1, 2), 0.01))
    K = np.zeros((1, 1, 3, 5))
    K[0, 0, 1] = [1.0, -0.25, 0.0, -0.25, 1.0]  # 2 cos 2x - cos(x) / 2: hills of 1.5 at 0 and 2.5 at pi
    found = extreme_eigenvalues(K, (3, 9_000))
    assert "were beyond and refined too" in found.method
    assert found.max_real == pytest.approx(2.5, abs=1e-12)
    assert found.ends["max_real"].supremum == pytest.approx(2.5, abs=1e-10)


def test_a_supremum_is_never_below_the_images_own_eigenvalues(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    """Even if the refinement fails, the supremum is at least the extreme value at the image's own frequencies."""
    monkeypatch.setattr(search, "_WORTHWHILE", (0, 0))
    monkeypatch.setattr(
        search.SymbolSearch, "_refine", lambda self, name, starts: (starts, np.full(len(starts), -100.0))
    )
    found = extreme_eigenvalues(rng.standard_normal((2, 2, 3, 3)), 120)
    for name in ENDS:
        assert found.ends[name].supremum == found.reached(name)


def test_ridges_are_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With taps on a diagonal the measure is constant along a line of frequencies with all 200 values."""
    monkeypatch.setattr(search, "_WORTHWHILE", (0, 0))
    K = np.zeros((1, 1, 3, 3))
    K[0, 0, 0, 0] = K[0, 0, 2, 2] = 1.0  # 2 cos(y + x)
    found = extreme_eigenvalues(K, 210, 200)
    assert not found.is_exact
    np.testing.assert_allclose(found.ends["max_real"].values, 2.0, rtol=0, atol=1e-12)


def test_zero_padding_dense_and_arnoldi_agree(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    K = rng.standard_normal((3, 3, 3, 3)) / 5
    dense = extreme_eigenvalues(K, (9, 10), 3, padding="zeros")
    assert dense.is_exact
    monkeypatch.setattr(extremes, "is_direct", lambda operator: False)
    found = extreme_eigenvalues(K, (9, 10), 3, padding="zeros")
    assert not found.is_exact
    assert "Arnoldi" in found.method
    for name in ENDS:
        assert found.reached(name) == pytest.approx(dense.reached(name), abs=1e-8)
        assert len(found.ends[name].values) == 3
        end, expected = found.ends[name], dense.ends[name]
        assert end.frequencies is None
        assert end.converged.all()
        for value, condition in zip(end.values, end.conditions, strict=True):
            nearest = np.abs(expected.values - value).argmin()
            assert condition == pytest.approx(expected.conditions[nearest], rel=0.05)


def test_each_end_is_its_own(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    """For a spectrum around -3 the largest modulus and the largest real part are at opposite ends."""
    K = rng.standard_normal((2, 2, 3, 3)) / 5
    K[[0, 1], [0, 1], 1, 1] -= 3
    everything = pr.eigenvalues(K, (8, 9), padding="zeros", dilation=2)
    for direct in (True, False):
        monkeypatch.setattr(extremes, "is_direct", lambda operator, direct=direct: direct)
        found = extreme_eigenvalues(K, (8, 9), 2, padding="zeros", dilation=2)
        for name in ENDS:
            assert found.reached(name) == pytest.approx(getattr(everything, name), abs=1e-8)


def test_a_real_spectrum_has_no_imaginary_part(monkeypatch: pytest.MonkeyPatch) -> None:
    K = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]], dtype=float).reshape(1, 1, 3, 3)
    for direct in (True, False):
        monkeypatch.setattr(extremes, "is_direct", lambda operator, direct=direct: direct)
        found = extreme_eigenvalues(K, 9, 2, padding="zeros")
        assert found.max_imag == pytest.approx(0, abs=1e-12)
        assert found.max_real == pytest.approx(4 + 4 * np.cos(np.pi / 10), abs=1e-9)


def test_an_end_without_converged_values_is_unknown(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    from polyroots.spectra.zero_padding import Eigenpairs

    def none_converged(operator: Any, count: int, which: str) -> Eigenpairs:
        values = np.array([1 + 1j] * count)
        numbers = np.full(count, 0.1)
        return Eigenpairs(values, numbers, numbers, numbers, np.zeros(count, dtype=bool))

    monkeypatch.setattr(extremes, "arnoldi_eigenvalues", none_converged)
    found = extreme_eigenvalues(rng.standard_normal((2, 2, 3, 3)), 100, 3, padding="zeros")
    assert math.isnan(found.radius)
    assert math.isnan(found.max_real)
    assert (found.ends["max_real"].residuals == 0.1).all()


@pytest.mark.usefixtures("types_unchecked")
def test_bad_counts_and_operators_are_said() -> None:
    with pytest.raises(pr.InputError, match="expected k from 1 to 200, the number of eigenvalues, got 0"):
        extreme_eigenvalues(np.ones((2, 2, 3, 3)), 10, 0)
    with pytest.raises(pr.InputError, match=r"weight: k: expected a whole number, got 2\.5"):
        extreme_eigenvalues(np.ones((2, 2, 3, 3)), 10, cast(Any, 2.5))
    with pytest.raises(pr.InputError, match="expected k from 1 to 200, the number of eigenvalues, got 201"):
        extreme_eigenvalues(np.ones((2, 2, 3, 3)), 10, 201)
    with pytest.raises(pr.InputError, match="as many output as input channels, got 3 from 2; compute its"):
        extreme_eigenvalues(np.ones((3, 2, 3, 3)), 10)


def test_the_outermost_values_are_in_order_and_pairs_count_once_at_the_top() -> None:
    values = np.array([1 + 2j, 1 - 2j, 3, -4, 0.5j, -0.5j, 3])
    expected = {
        "min_real": [-4, 0.5j, -0.5j, 1 + 2j],
        "max_real": [3, 3, 1 + 2j, 1 - 2j],
        "max_imag": [1 + 2j, 0.5j, 3, -4],
        "radius": [-4, 3, 3, 1 + 2j],
    }
    for name, outermost in expected.items():
        for k in (1, 4):
            end = extremes._pick(name, values, None, None, k, 7.5)
            assert end.values.tolist() == outermost[:k]
            assert end.supremum == 7.5
            assert end.frequencies is None
            assert np.isnan(end.conditions).all()
            assert len(end.conditions) == len(end.residuals) == k
            assert end.converged.tolist() == [True] * k
    assert len(extremes._pick("max_imag", values, None, None, 50).values) == 5
