from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d import Axes3D, proj3d
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from numpy.typing import NDArray
from pictures import require_colours_enclose, require_nothing_is_cut, texts

import polyroots as pr
from polyroots.plotting import Curve, band_colours, draw_contours, draw_curves, draw_spectrum, draw_surface
from polyroots.plotting.contours import _bounds
from polyroots.plotting.convex_hull import fill, hull, is_hidden, is_inside
from polyroots.plotting.labels import End, label_ends, spread
from polyroots.plotting.surface import _toward_eye
from polyroots.spectra import Spectrum


@pytest.fixture
def Lambda(rng: np.random.Generator) -> Spectrum:
    return pr.eigenvalues(rng.standard_normal((6, 6, 3, 3)) / 8, 8)


def test_surface_has_axes_points_and_roots(Lambda: Spectrum, coarse_surfaces: None) -> None:
    q = pr.ResidualPolynomial(pr.select_roots(Lambda))
    figure: Any = draw_surface(Lambda.values, q, "the title", max_points=100)
    axes, _ = figure.axes
    assert axes.get_xlabel() == "Re $\\lambda$"
    assert axes.get_ylabel() == "Im $\\lambda$"
    assert axes.get_zlabel() == "$|q_{4}(\\lambda)|$"
    assert "the title" in texts(figure)
    assert axes.get_xlim()[0] < Lambda.min_real < Lambda.max_real < axes.get_xlim()[1]
    assert axes.get_ylim()[0] < -Lambda.max_imag < Lambda.max_imag < axes.get_ylim()[1]
    assert axes.get_zlim()[1] >= np.abs(q(Lambda.values)).max()
    # Each root is drawn once, at height 0, in front of the surface or behind it.
    markers = [line.get_data_3d() for line in axes.lines if line.get_label().startswith("roots")]
    drawn = np.concatenate([x + 1j * np.asarray(y) for x, y, _ in markers])
    assert np.array_equal(np.sort_complex(drawn), np.sort_complex(q.roots))
    assert all((np.asarray(z) == 0).all() for _, _, z in markers)
    assert "eigenvalues (96 of 384)" in texts(figure)
    # The plane |q| = 1 covers the whole floor.
    (rim,) = [line for line in axes.lines if len(line.get_data_3d()[0]) == 5]
    x, y, z = rim.get_data_3d()
    assert (min(x), max(x), min(y), max(y)) == (*axes.get_xlim(), *axes.get_ylim())
    assert set(np.ravel(z)) == {1}
    assert "$|q| = 1$" in texts(figure)


def test_a_surface_far_below_one_has_no_plane(rng: np.random.Generator, coarse_surfaces: None) -> None:
    values = 1 + 0.1 * (rng.standard_normal(60) + 1j * rng.standard_normal(60))
    figure: Any = draw_surface(values, pr.ResidualPolynomial([1.0]), "low")
    assert "$|q| = 1$" not in texts(figure)
    assert figure.axes[0].get_zlim()[1] < 0.5


def test_surface_is_drawn_in_three_layers(
    Lambda: Spectrum, monkeypatch: pytest.MonkeyPatch, coarse_surfaces: None
) -> None:
    """The layers are the surface, the plane, and the cells that reach above 1, with visible eigenvalues on both."""
    calls: dict[str, list[Any]] = {"plot_surface": [], "scatter": [], "contourf": []}
    for name, found in calls.items():
        original = getattr(Axes3D, name)

        def record(self: Any, *arguments: Any, original: Any = original, found: Any = found, **options: Any) -> Any:
            found.append((arguments, options))
            return original(self, *arguments, **options)

        monkeypatch.setattr(Axes3D, name, record)
    surfaces: list[tuple[Any, Any]] = []

    def collect(cells: Any, **options: Any) -> Poly3DCollection:
        surfaces.append((cells, options))
        return Poly3DCollection(cells, **options)

    monkeypatch.setattr("polyroots.plotting.surface.Poly3DCollection", collect)
    q = pr.ResidualPolynomial(pr.select_roots(Lambda))
    figure: Any = draw_surface(Lambda.values, q, "the title")
    axes = figure.axes[0]
    ((plane, in_plane),) = calls["plot_surface"]
    assert (np.asarray(plane[2]) == 1).all()
    (whole, below_it), (above, above_it) = surfaces
    height = np.abs(q(whole[..., 0] + 1j * whole[..., 1]))
    np.testing.assert_allclose(whole[..., 2], height)
    assert np.ptp(whole[..., 0]) == pytest.approx(Lambda.max_real - Lambda.min_real)
    np.testing.assert_array_equal(above, whole[height.max(axis=-1) > 1])
    assert [len(options["facecolors"]) for options in (below_it, above_it)] == [len(whole), len(above)]
    assert below_it["zorder"] < in_plane["zorder"] < above_it["zorder"]
    (floor, options) = calls["contourf"][0]
    np.testing.assert_allclose(floor[2], np.abs(q(floor[0] + 1j * floor[1])))
    assert options["offset"] == axes.get_zlim()[0]
    (below, _), (over, _) = calls["scatter"]
    for (x, y, z, *_), is_over in ((below, False), (over, True)):
        np.testing.assert_allclose(z, np.abs(q(x + 1j * y)))
        assert ((z > 1) == is_over).all()
    boundary = hull(Lambda.values)
    scale = np.array([np.ptp(limits) for limits in (axes.get_xlim(), axes.get_ylim(), axes.get_zlim())])
    top = float(height.max())
    hidden = is_hidden(Lambda.values, q, boundary, _toward_eye(scale), top)
    assert 0 < hidden.sum() < len(hidden)
    seen = np.concatenate([below[0] + 1j * below[1], over[0] + 1j * over[1]])
    assert np.array_equal(np.sort_complex(seen), np.sort_complex(Lambda.values[~hidden]))
    behind = is_hidden(q.roots, q, boundary, _toward_eye(scale), top)
    for line in axes.lines:
        if str(line.get_label()).startswith("roots"):
            x, y, _ = line.get_data_3d()
            expected = q.roots[behind] if line.get_label() == "roots behind" else q.roots[~behind]
            assert np.array_equal(np.sort_complex(np.asarray(x) + 1j * np.asarray(y)), np.sort_complex(expected))


@pytest.mark.slow
def test_the_eye_is_where_matplotlib_has_it(Lambda: Spectrum, coarse_surfaces: None) -> None:
    """Points on a ray to the eye have the same place in the picture, and depths in the order of their distances."""
    figure: Any = draw_surface(Lambda.values, pr.ResidualPolynomial([0.6, -0.6]), "")
    axes = figure.axes[0]
    figure.draw_without_rendering()
    scale = np.array([np.ptp(limits) for limits in (axes.get_xlim(), axes.get_ylim(), axes.get_zlim())])
    toward = _toward_eye(scale)
    start = np.array([0.1, -0.2, 0.3])
    near, far = (proj3d.proj_transform(*(start + t * toward), axes.get_proj()) for t in (0.3, 0.0))
    np.testing.assert_allclose(near[:2], far[:2], atol=1e-9)
    # matplotlib's depth grows away from the eye.
    assert near[2] < far[2]


def test_hull_encloses_the_spectrum_and_is_filled(Lambda: Spectrum) -> None:
    boundary = hull(Lambda.values)
    assert boundary[0] == boundary[-1]
    centre = boundary[:-1].mean()
    assert is_inside(centre + (Lambda.values - centre) * (1 - 1e-9), boundary).all()
    assert not is_inside(centre + 1.01 * (boundary - centre), boundary).any()
    grid = fill(boundary)
    assert is_inside(centre + (grid.ravel() - centre) * (1 - 1e-9), boundary).all()
    rim = grid[-1]
    assert not is_inside(centre + 1.0001 * (rim - centre), boundary).any()


@pytest.mark.parametrize("flat", [1.0, 1e-2, 1e-4])
def test_the_hull_is_filled_however_flat(rng: np.random.Generator, flat: float) -> None:
    values = rng.standard_normal(300) + 1j * flat * rng.standard_normal(300)
    values = np.concatenate([values, values.conj()])
    boundary = hull(values)
    grid = fill(boundary)
    rim = grid[-1]

    def area(corners: NDArray[Any]) -> float:
        return 0.5 * abs(np.sum(corners.real * np.roll(corners.imag, -1) - corners.imag * np.roll(corners.real, -1)))

    assert area(rim) == pytest.approx(area(boundary), rel=1e-9)
    # Every corner is on the rim, so that the surface reaches the largest eigenvalue.
    scale = np.ptp(boundary.real)
    assert np.abs(boundary[:, None] - rim).min(axis=1).max() < 1e-9 * scale


def test_what_is_outside_of_the_hull_hides_nothing() -> None:
    """|1 - t^2| grows beyond the rim at 1.2; a ray that leaves the hull there is not hidden by it."""
    boundary = 1.2 * np.exp(1j * np.linspace(0, 2 * np.pi, 61))
    q = pr.ResidualPolynomial([1.0, -1.0])
    outward = np.array([1.0, 0.0, 3.0])
    assert is_hidden(np.array([1.19 + 0j]), q, boundary, outward, top=2.5).tolist() == [False]


def test_what_is_behind_the_surface_is_known() -> None:
    """The surface is a cone |1 - t| over a disc around its tip at 1, seen along the imaginary axis and from above."""
    boundary = 1 + np.exp(1j * np.linspace(0, 2 * np.pi, 61))
    q = pr.ResidualPolynomial([1.0])
    points = np.array([1 - 0.5j, 1 + 0.5j])
    from_above = np.array([0.0, -0.01, 1.0])
    assert is_hidden(points, q, boundary, from_above, top=1.0).tolist() == [False, False]
    # Seen nearly horizontally, the outside of the near wall is visible; the inside of the far wall is behind it.
    level = np.array([0.0, -1.0, 0.2])
    assert is_hidden(points, q, boundary, level, top=1.0).tolist() == [False, True]


def test_what_is_behind_a_hill_is_known() -> None:
    """|1 - t^2| is 0 at +-1, with a hill between them that hides the root on its far side."""
    boundary = 1.2 * np.exp(1j * np.linspace(0, 2 * np.pi, 61))
    q = pr.ResidualPolynomial([1.0, -1.0])
    from_the_left = np.array([-1.0, 0.0, 0.2])
    assert is_hidden(q.roots, q, boundary, from_the_left, top=2.5).tolist() == [bool(z.real > 0) for z in q.roots]


def test_a_line_of_eigenvalues_has_no_surface() -> None:
    with pytest.raises(pr.InputError, match="lie on a line"):
        draw_surface(np.linspace(1, 2, 9) + 0j, pr.ResidualPolynomial([1.0]), "")


def test_plane_shows_every_eigenvalue(Lambda: Spectrum) -> None:
    figure: Any = draw_spectrum(Lambda.values, "name_with_underscore")
    (axes,) = figure.axes
    assert axes.get_title() == "name_with_underscore"
    (points,) = [line for line in axes.lines if "eigenvalues" in str(line.get_label())]
    assert np.array_equal(points.get_xdata() + 1j * points.get_ydata(), Lambda.values)
    assert axes.get_xlim()[0] < Lambda.min_real < Lambda.max_real < axes.get_xlim()[1]
    assert axes.get_ylim()[0] < -Lambda.max_imag < Lambda.max_imag < axes.get_ylim()[1]
    assert axes.get_aspect() == 1


@pytest.mark.parametrize("values", [[0.0], [1.0, 2.0], [1e-3, 1e-3j, -1e-3j], [5 + 1j, 5 - 1j], [2j, -2j]])
def test_plane_copes_with_few_eigenvalues(values: list[complex]) -> None:
    figure: Any = draw_spectrum(np.array(values, dtype=complex), "few")
    (axes,) = figure.axes
    assert axes.get_xlim()[0] < min(np.real(values))
    assert axes.get_xlim()[1] > max(np.real(values))
    width, height = figure.get_size_inches()
    assert 0.5 < height / width < 2.5


def test_contours_show_the_roots_the_level_one_and_every_eigenvalue(rng: np.random.Generator) -> None:
    values = pr.eigenvalues(rng.standard_normal((4, 4, 3, 3)) / 6, 8).values
    q = pr.ResidualPolynomial(pr.select_roots(values))
    axes: Any = draw_contours(values, q, "title").axes[0]
    (points,) = (line for line in axes.lines if line.get_label() == "256 eigenvalues")
    assert np.array_equal(points.get_xdata() + 1j * points.get_ydata(), values)
    (roots,) = (line for line in axes.lines if line.get_label() == "4 roots")
    assert np.array_equal(roots.get_xdata() + 1j * roots.get_ydata(), q.roots)
    low, high = axes.get_xlim()
    assert low < values.real.min() < values.real.max() < high
    assert axes.get_ylim()[1] > values.imag.max()
    # On the lines of each band, and of 1, |q| has the value of the line.
    white = axes.collections[-2]
    for level, path in zip(white.levels, white.get_paths(), strict=True):
        if len(path.vertices):
            np.testing.assert_allclose(np.abs(q(path.vertices[:, 0] + 1j * path.vertices[:, 1])), level, rtol=0.1)
    one = axes.collections[-1].get_paths()[0].vertices
    assert np.abs(np.abs(q(one[:, 0] + 1j * one[:, 1])) - 1).max() < 0.02


def test_the_line_one_is_closed(Lambda: Spectrum) -> None:
    """It encloses the lobes around the extreme roots, which reach beyond the eigenvalues."""
    q = pr.ResidualPolynomial(pr.select_roots(Lambda))
    axes: Any = draw_contours(Lambda, q).axes[0]
    one = np.concatenate([path.vertices for path in axes.collections[-1].get_paths()])
    (low, high), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    assert low < one[:, 0].min() < Lambda.min_real
    assert Lambda.max_real < one[:, 0].max() < high
    assert bottom < one[:, 1].min() < one[:, 1].max() < top


@given(st.floats(-12, 12))
def test_bands_enclose_the_largest_value(exponent: float) -> None:
    largest = 10**exponent
    bounds = _bounds(largest)
    assert 0.999 * largest <= bounds[-1]
    assert list(bounds) == sorted(set(bounds))
    assert len(band_colours(bounds)) == len(bounds) + 1
    # Blue has more blue than red, orange the other way round.
    for low, high, colour in zip(
        (bounds[0] / 2, *bounds), (*bounds, 2 * bounds[-1]), band_colours(bounds), strict=True
    ):
        red, _, blue = to_rgb(colour)
        if high <= 1 or low >= 1:
            assert (blue > red) == (high <= 1)


def test_roots_outside_of_the_box_are_counted(rng: np.random.Generator, coarse_surfaces: None) -> None:
    values = 1 + 0.3 * (rng.standard_normal(60) + 1j * rng.standard_normal(60))
    figure: Any = draw_surface(values, pr.ResidualPolynomial([1.0, 9.0, 3 + 4j, 3 - 4j]))
    assert "roots (3 outside)" in texts(figure)
    require_nothing_is_cut(figure)


def test_a_root_near_zero_does_not_hide_its_polynomial() -> None:
    """Beside roots near 0, q passes through the picture within a thousandth of its width."""
    axes = Figure().add_subplot()
    q = pr.ResidualPolynomial([1e-6, 2e-6])
    draw_curves(axes, np.linspace(-1, 1, 50), [Curve(q, {"label": "q"})], q.roots.real)
    t, y = next(map(np.asarray, line.get_data()) for line in axes.lines if line.get_label() == "q")
    inside = np.abs(y) <= 1
    assert inside.sum() > 20
    np.testing.assert_allclose(y[inside], (1 - t[inside] / 1e-6) * (1 - t[inside] / 2e-6), atol=1e-9)


def test_the_checks_of_pictures_find_what_is_wrong() -> None:
    def axes_of() -> Any:
        return Figure(figsize=(3, 2)).add_axes((0.2, 0.2, 0.6, 0.6), xlim=(0, 1), ylim=(0, 1))

    axes = axes_of()
    axes.text(0.5, 0.5, "one name")
    axes.text(0.52, 0.52, "another name")
    with pytest.raises(AssertionError, match="another name"):
        require_nothing_is_cut(axes.figure)
    axes = axes_of()
    axes.text(0.9, 0.5, "a long name beyond the edge")
    with pytest.raises(AssertionError, match="Bbox"):
        require_nothing_is_cut(axes.figure)
    for at, clip in ((1.2, False), (1.0, True)):
        axes = axes_of()
        axes.plot([0.5, at], [0.5, 0.5], "o", label="points", clip_on=clip)
        with pytest.raises(AssertionError, match="points"):
            require_nothing_is_cut(axes.figure)
    axes = axes_of()
    axes.figure.colorbar(axes.contourf([[0.0, 1], [2, 3]], levels=[0, 1, 2]), cax=axes.inset_axes((0.5, 0.5, 0.1, 0.3)))
    require_colours_enclose(axes.figure, 2.0)
    with pytest.raises(AssertionError):
        require_colours_enclose(axes.figure, 3.0)


def test_contours_leave_far_roots_out_of_the_frame() -> None:
    q = pr.ResidualPolynomial([1, 90])
    axes: Any = draw_contours(np.linspace(0.5, 2, 9) + 0j, q, "title").axes[0]
    assert any(line.get_label() == "1 root, 1 far outside" for line in axes.lines)
    assert axes.get_xlim()[1] < 3


def test_contours_tell_high_from_low_frequencies(rng: np.random.Generator) -> None:
    Lambda = pr.eigenvalues(rng.standard_normal((2, 2, 3, 3)), 8)
    q = pr.ResidualPolynomial(pr.select_roots(Lambda, region="high"))
    figure: Any = draw_contours(Lambda.values, q, "two\nlines", chosen=Lambda.is_high_frequency, max_points=60)
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    high = lines["37 of 110 high frequencies"]
    assert np.isin(high.get_xdata() + 1j * high.get_ydata(), Lambda.values[Lambda.is_high_frequency]).all()
    low = lines["6 of 18 low frequencies"]
    assert np.isin(low.get_xdata() + 1j * low.get_ydata(), Lambda.values[~Lambda.is_high_frequency]).all()
    # Title and legend lie within the figure.
    figure.draw_without_rendering()
    for part in (figure._suptitle, figure.legends[0]):
        box = part.get_window_extent()
        assert figure.bbox.y0 <= box.y0
        assert box.y1 <= figure.bbox.y1


@given(arrays(float, st.integers(1, 12), elements=st.floats(0, 1)), st.floats(0.01, 0.3))
def test_labels_are_spread_as_little_as_can_be(positions: NDArray[Any], gap: float) -> None:
    moved = spread(positions, gap)
    order = np.argsort(positions, kind="stable")
    assert (np.diff(moved[order]) >= gap - 1e-12).all()
    assert moved.sum() == pytest.approx(positions.sum(), abs=1e-9)
    if (np.diff(positions[order]) >= gap).all():
        np.testing.assert_allclose(moved, positions, atol=1e-12)


def test_names_beside_curves_do_not_overlap() -> None:
    figure = Figure(figsize=(4, 2.5))
    axes: Any = figure.add_axes((0.1, 0.1, 0.6, 0.8), xlim=(0, 1), ylim=(0, 1))
    label_ends(axes, [End(1.0, 0.5 + 0.001 * k, f"curve {k}", "black") for k in range(6)], height=2.0)
    figure.draw_without_rendering()
    boxes = sorted((text.get_window_extent() for text in axes.texts), key=lambda box: box.y0)
    assert len(boxes) == 6
    assert all(low.y1 <= high.y0 for low, high in pairwise(boxes))
    # Lines lead from the curves' ends to the names.
    for line, text in zip(axes.lines, axes.texts, strict=True):
        (start, _, end), heights = line.get_xdata(), line.get_ydata()
        assert (start, heights[0]) == pytest.approx((1.0, 0.5 + 0.001 * int(text.get_text()[-1])))
        assert heights[2] == text.get_position()[1]
        assert end < text.get_position()[0]
