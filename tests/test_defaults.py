"""What arguments are without being given, and values that have no sign or no size of their own."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from general import general
from numpy.typing import NDArray
from scipy.sparse import diags_array

import polyroots as pr
from polyroots.polynomials.norm_test import norms_at_most
from polyroots.polynomials.target import Target
from polyroots.roots import NOT_RELAXED, Relaxation, RootChoice, change_smoothers
from polyroots.spectra.convolution import Convolution, norm_bound
from polyroots.spectra.extreme_eigenvalues import extreme_eigenvalues_of
from polyroots.spectra.operator_blocks import OperatorBlocks
from polyroots.spectra.precision import single_precision_error
from polyroots.spectra.sample import sample_eigenvalues_of
from polyroots.spectra.singular_values import largest_singular_values
from polyroots.spectra.symbol_blocks import SymbolBlocks
from polyroots.spectra.zero_padding import dense_eigenvalues

RNG = np.random.default_rng(18)
K = RNG.standard_normal((2, 2, 3, 3)) / 9 + np.eye(2)[:, :, None, None] * np.eye(3)[1][:, None] * np.eye(3)[1]
STENCIL = np.array([[0.0, -1, 0], [-1, 4, -1], [0, -1, 0]])
Q = pr.ResidualPolynomial([5.0])


def cycle(**options: int) -> float:
    return pr.two_grid(STENCIL, "full-weighting", "bilinear", "rediscretised", Q, size=8, **options).radius


@pytest.mark.parametrize(
    ("without", "given"),
    [
        (lambda: pr.symbol(K, (4, 5)), lambda: pr.symbol(K, (4, 5), dilation=1, groups=1)),
        (lambda: pr.singular_values(K, (4, 5)), lambda: pr.singular_values(K, (4, 5), stride=1, dilation=1, groups=1)),
        (lambda: pr.eigenvalues(K, (4, 5)).values, lambda: pr.eigenvalues(K, (4, 5), dilation=1, groups=1).values),
        (lambda: pr.extreme_eigenvalues(K, 5).k, lambda: 1),
        (lambda: extreme_eigenvalues_of(Convolution.of(K, 5)).k, lambda: 1),
        (
            lambda: pr.extreme_eigenvalues(K, (4, 5)).ends["radius"].values,
            lambda: pr.extreme_eigenvalues(K, (4, 5), 1, dilation=1, groups=1).ends["radius"].values,
        ),
        (
            lambda: pr.sample_eigenvalues(K, 8, 5).chosen,
            lambda: pr.sample_eigenvalues(K, 8, 5, seed=0, dilation=1, groups=1).chosen,
        ),
        (
            lambda: sample_eigenvalues_of(Convolution.of(K, 8), 5).chosen,
            lambda: sample_eigenvalues_of(Convolution.of(K, 8), 5, seed=0).chosen,
        ),
        (
            lambda: pr.sample_eigenvalues(K, 8, 5).share_error(),
            lambda: pr.sample_eigenvalues(K, 8, 5).share_error(0.95),
        ),
        (
            lambda: pr.sample_eigenvalues(K, 16, 60).quantiles([0.5])[0],
            lambda: pr.sample_eigenvalues(K, 16, 60).quantiles([0.5], "modulus", 0.95)[0],
        ),
        (
            lambda: pr.numerical_range(pr.eigenvalues(K, 5)).support,
            lambda: pr.numerical_range(pr.eigenvalues(K, 5), 64, every=1).support,
        ),
        (lambda: SymbolBlocks(Convolution.of(K, 5)).ky, lambda: SymbolBlocks(Convolution.of(K, 5), 1).ky),
        (cycle, lambda: cycle(pre=1, post=0)),
        (
            lambda: pr.select_roots(pr.eigenvalues(K, 4), strategy="random"),
            lambda: pr.select_roots(pr.eigenvalues(K, 4), 3, "random", seed=7),
        ),
        (
            lambda: pr.select_roots(pr.eigenvalues(K, 4), strategy="harmonic-ritz"),
            lambda: pr.select_roots(pr.eigenvalues(K, 4), 3, "harmonic-ritz", seed=7),
        ),
        (
            lambda: pr.select_roots(pr.eigenvalues(K, 4), 2, "extremal"),
            lambda: pr.select_roots(pr.eigenvalues(K, 4), 2, "extremal", project=True),
        ),
        (lambda: Relaxation.parse("auto").number, lambda: 2.0),
        (lambda: Relaxation.parse("none").number, lambda: 1.0),
        (lambda: NOT_RELAXED.number, lambda: 1.0),
        (lambda: str(Relaxation.parse("auto")), lambda: "auto"),
        (lambda: str(Relaxation.parse("auto:4")), lambda: "auto:4"),
        (lambda: RootChoice(np.ones(1) + 0j, ("L",), "given", ()).relaxation, lambda: 1.0),
    ],
)
def test_without_an_argument_it_is_what_is_documented(without: Any, given: Any) -> None:
    np.testing.assert_array_equal(without(), given())


def test_single_precision_is_compared_at_16_frequencies(monkeypatch: pytest.MonkeyPatch) -> None:
    solved: list[int] = []

    def eigvals(stack: NDArray[Any]) -> NDArray[Any]:
        solved.append(len(stack))
        return np.linalg.eigvals(stack)

    single = pr.eigenvalues(K, (9, 11), dtype=np.complex64)
    monkeypatch.setattr("polyroots.spectra.precision.eigvals", eigvals)
    assert single_precision_error(single) < 1e-5
    single_precision_error(single, 5)
    assert solved == [16, 5]


def smoothers(monkeypatch: pytest.MonkeyPatch, A: Any, **options: Any) -> tuple[list[NDArray[Any]], Any, Any]:
    """Return what roots are chosen from, with how many and by what, and the hierarchy of two levels."""
    chosen: list[Any] = []

    def select(values: Any, degree: int, strategy: str, **more: Any) -> list[float]:
        chosen.append((np.sort(values.real), degree, strategy))
        return [1.0 + degree]

    monkeypatch.setattr("polyroots.roots.multigrid.select_roots", select)
    hierarchy = SimpleNamespace(levels=[SimpleNamespace(A=A), SimpleNamespace(A=A)])
    change_smoothers(hierarchy, **options)
    ((values, degree, strategy),) = chosen
    return values, (degree, strategy), hierarchy


def test_smoothers_damp_what_is_above_a_fifth_of_the_radius(monkeypatch: pytest.MonkeyPatch) -> None:
    """All eigenvalues up to 40 unknowns; of 40 Ritz values those above 0.9 of the radius again, larger by 1.05."""
    entries = np.arange(1.0, 31)
    values, how, hierarchy = smoothers(monkeypatch, diags_array(entries))
    assert how == (2, "minimax")
    assert hierarchy.symmetric_smoothing is True
    np.testing.assert_allclose(values, entries[entries > 6], rtol=1e-12)
    values, how, _ = smoothers(monkeypatch, diags_array(entries), degree=5, strategy="leja", above=0.0)
    assert how == (5, "leja")
    np.testing.assert_allclose(values, entries, rtol=1e-12)
    # As many roots as there are points are enough.
    assert smoothers(monkeypatch, diags_array([1.0, 3.0, 3.0, 3.0]))[1] == (1, "minimax")
    entries = np.linspace(1, 200, 5000)
    ritz = pr.operator_eigenvalues(diags_array(entries).tocsr(), steps=40)
    assert len(ritz) == 40
    sizes = np.sort(ritz.values.real)
    values, _, _ = smoothers(monkeypatch, diags_array(entries).tocsr())
    kept = sizes[sizes > 0.2 * sizes[-1]]
    expected = np.sort(np.concatenate([kept, 1.05 * sizes[sizes >= 0.9 * sizes[-1]]]))
    np.testing.assert_allclose(values, expected, rtol=1e-9)
    with pytest.raises(pr.InputError, match="above"):
        smoothers(monkeypatch, diags_array(entries), above=1.0)


def test_ends_have_no_negative_zero() -> None:
    values = np.array([complex(-0.0, -0.0)])
    spectrum = pr.spectra.Spectrum(values, Convolution.of(np.zeros((1, 1)), 1))
    found = pr.extreme_eigenvalues(np.zeros((1, 1)), 1)
    for ends in (spectrum, found):
        for value in (ends.min_real, ends.max_real, ends.max_imag, ends.radius):
            assert (value, math.copysign(1.0, value)) == (0.0, 1.0)
    minus = pr.extreme_eigenvalues(np.array([[-2.0]]), 1)
    assert (minus.min_real, minus.max_real, minus.max_imag, minus.radius) == (-2, -2, 0, 2)


@pytest.mark.parametrize("padding", ["circular", "zeros"])
def test_the_zero_operator_has_the_scale_and_the_bound_of_one(padding: str) -> None:
    zero = Convolution.of(np.zeros((2, 2, 3, 3)), (3, 4), padding=padding)
    assert (zero.normalized()[1], norm_bound(zero)) == (1.0, 1.0)
    assert general(np.zeros((4, 4))).norm_bound == 1.0
    cube = general(np.zeros((3, 3, 3)), 3)
    assert cube.norm_bound == 1.0
    # The bound of products with a small operator is small: that of a multiple of the identity is exact.
    tiny = general(lambda x: x / 1024, 5)
    assert tiny.norm_bound == pytest.approx(2.0**-10, rel=1e-14)
    same = general(np.eye(4) * 1.5)
    assert same.normalized() == (same, 1.0)
    half, scale = general(np.eye(4) * 3.0).normalized()
    assert scale == 2.0
    assert half.matrix.diagonal().tolist() == [1.5] * 4


def test_an_operator_alone_is_searched_for_its_null_space() -> None:
    laplacian = Convolution.of(STENCIL, (4, 6))
    assert Target.of(laplacian).blocks.nullity == 1
    assert Target.of(pr.eigenvalues(STENCIL, (4, 6))).blocks.nullity == 1
    assert Target.of(pr.eigenvalues(STENCIL + 2 * np.eye(3)[1][:, None] * np.eye(3)[1], (4, 6))).blocks.nullity == 0
    assert OperatorBlocks(laplacian).nullity == 1
    assert OperatorBlocks(laplacian, is_regular=True).nullity == 0


@pytest.mark.parametrize("size", [(4, 1), (1, 4)])
def test_grids_of_one_line_and_one_channel_have_labels(size: tuple[int, int]) -> None:
    grid = pr.eigenvalues(STENCIL, size).to_xarray()
    assert grid.shape == (*size, 1)
    angles = np.array([-np.pi / 2, 0, np.pi / 2, np.pi])
    np.testing.assert_allclose(grid.theta_y, angles if size[0] == 4 else [0], atol=1e-15)
    np.testing.assert_allclose(grid.theta_x, angles if size[1] == 4 else [0], atol=1e-15)


@pytest.mark.parametrize("level", [0.0, 1.0, -0.1, 1.1])
def test_levels_and_confidences_are_inside_of_the_interval(level: float) -> None:
    sample = pr.sample_eigenvalues(K, 8, 5)
    with pytest.raises(pr.InputError):
        sample.quantiles([0.5, level])
    with pytest.raises(pr.InputError):
        sample.share_error(level)
    with pytest.raises(pr.InputError):
        pr.sample_eigenvalues(K, 8, 0)
    assert len(pr.sample_eigenvalues(K, 8, 1).chosen) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": (0, 4)}, "expected an image of at least 1x1 pixels, got 0x4"),
        ({"size": 4, "stride": (2, 0)}, "expected a stride of at least 1x1, got 2x0"),
        ({"size": 4, "dilation": -1}, "expected a dilation of at least 1x1, got -1x-1"),
        ({"size": 4, "groups": 0}, "2 output channels can't be split into 0 groups"),
        ({"size": 4, "groups": 3}, "2 output channels can't be split into 3 groups"),
    ],
)
def test_what_is_too_small_is_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(pr.InputError, match=words):
        Convolution.of(K, **options)
    with pytest.raises(pr.InputError, match=r"got shape \(2, 0, 3, 3\)"):
        Convolution.of(np.ones((2, 0, 3, 3)), 4)


# Checks of types at run time, which the quick tests are run with as well, put lines of their own in between.
@pytest.mark.slow
def test_warnings_are_of_the_line_that_calls(recwarn: pytest.WarningsRecorder) -> None:
    pr.select_roots(diags_array(np.arange(1.0, 2500)).tocsr() @ diags_array(np.ones(2498), offsets=1), 1, "largest")
    assert [warning.filename for warning in recwarn] == [__file__]


def test_one_coupled_line_alone_has_no_known_condition() -> None:
    """Taps along a diagonal and one beside it: lines of several lengths, of which the longest is there once."""
    kernel = np.array([[1.0, 0.3, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 1.0]])
    found = dense_eigenvalues(Convolution.of(kernel, (3, 3), padding="zeros"))
    counts = {"one": np.isnan(found.conditions).sum(), "more": np.isinf(found.conditions).sum()}
    # Of 1, 2, 3, 2 and 1 pixels.
    assert counts == {"one": 3, "more": 6}
    alone = dense_eigenvalues(Convolution.of(np.diag([1.0, 2.0, 1.0]), (3, 3), padding="zeros"))
    np.testing.assert_allclose(alone.conditions, 1, rtol=1e-12)
    eps = np.finfo(float).eps
    top = 2 + 2 * math.cos(math.pi / 4)
    assert alone.errors.max() == pytest.approx(eps * top, rel=1e-9)
    assert set(alone.residuals.tolist()) == {eps}


def test_bounds_of_zero_are_met_by_zero_alone() -> None:
    stack = np.zeros((3, 2, 2))
    stack[1, 1, 0] = 1e-300
    assert norms_at_most(0.0, stack).tolist() == [True, False, True]
    assert norms_at_most(0.0, np.zeros((2, 40, 40))).tolist() == [True, True]


def test_as_many_largest_values_as_there_are_dimensions_but_one() -> None:
    operator = Convolution.of(np.diag([3.0, 2.0, 1.0]).reshape(3, 3, 1, 1), 1)
    assert largest_singular_values(operator, 9).values.tolist() == pytest.approx([3, 2], rel=1e-12)


def test_errors_in_single_precision_are_those_of_double_and_of_the_values_rounding() -> None:
    double, single = (pr.eigenvalues(K, (3, 4), padding="zeros", dtype=dtype) for dtype in (complex, np.complex64))
    eps = np.finfo(np.float32).eps
    assert double.errors is not None
    np.testing.assert_allclose(single.errors, double.errors + eps * np.abs(double.values), rtol=1e-12)
    assert double.errors.max() < 1e-14
