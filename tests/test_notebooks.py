"""Spectra and polynomials in a notebook: arrays, tables of pandas and xarray, pictures in given axes."""

from __future__ import annotations

import io
import subprocess
import sys
from itertools import product
from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d import proj3d
from PIL import Image

import polyroots as pr
from polyroots.plotting import (
    LayerExtent,
    draw_contours,
    draw_overview,
    draw_real,
    draw_singular_values,
    draw_spectrum,
    draw_surface,
)

POISSON = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]]).reshape(1, 1, 3, 3)


@pytest.fixture(scope="module")
def Lambda() -> pr.Spectrum:
    return pr.eigenvalues(np.random.default_rng(5).standard_normal((3, 3, 3, 3)) / 6, (6, 5))


@pytest.fixture(scope="module")
def q(Lambda: pr.Spectrum) -> pr.ResidualPolynomial:
    return pr.ResidualPolynomial(pr.select_roots(Lambda))


def test_a_spectrum_is_an_array_of_its_values(Lambda: pr.Spectrum) -> None:
    array = np.asarray(Lambda)
    assert array.dtype == np.complex128
    assert np.array_equal(array, Lambda.values)
    assert np.shares_memory(array, Lambda.values)
    assert not np.shares_memory(np.array(Lambda), Lambda.values)
    assert np.asarray(Lambda, dtype=np.complex64).dtype == np.complex64
    with pytest.raises(ValueError, match="copy"):
        np.array(Lambda, dtype=np.complex64, copy=False)
    assert np.abs(Lambda).max() == Lambda.radius
    assert np.array_equal(np.sort(Lambda), np.sort(Lambda.values))


def test_a_spectrum_is_iterated_and_sliced(Lambda: pr.Spectrum) -> None:
    assert list(Lambda) == Lambda.values.tolist()
    assert len(Lambda) == 90
    assert Lambda[3] == Lambda.values[3]
    assert np.array_equal(Lambda[:5], Lambda.values[:5])
    assert np.array_equal(Lambda[Lambda.is_high_frequency], Lambda.values[Lambda.is_high_frequency])


def test_pandas_has_the_frequency_of_each_eigenvalue() -> None:
    """The periodic 5-point Laplacian has the eigenvalue 4 - 2 cos theta_y - 2 cos theta_x at each frequency."""
    pytest.importorskip("pandas")
    frame = pr.eigenvalues(POISSON, (6, 4)).to_pandas()
    assert frame.shape == (24, 3)
    expected = 4 - 2 * np.cos(frame.theta_y) - 2 * np.cos(frame.theta_x)
    np.testing.assert_allclose(frame.eigenvalue, expected, atol=1e-12)
    zeros = pr.eigenvalues(POISSON, 4, padding="zeros").to_pandas()
    assert list(zeros.columns) == ["eigenvalue", "condition", "error"]


def test_xarray_has_the_grid_of_frequencies() -> None:
    xarray = pytest.importorskip("xarray")
    grid = pr.eigenvalues(POISSON, (6, 4)).to_xarray()
    assert grid.sizes == {"theta_y": 6, "theta_x": 4, "index": 1}
    assert (np.diff(grid.theta_y) > 0).all()
    np.testing.assert_allclose(grid.theta_x, [-np.pi / 2, 0, np.pi / 2, np.pi])
    xarray.testing.assert_allclose(
        grid.isel(index=0).real, (4 - 2 * np.cos(grid.theta_y) - 2 * np.cos(grid.theta_x)).rename("eigenvalue")
    )
    with pytest.raises(pr.InputError, match="compute them with circular padding"):
        pr.eigenvalues(POISSON, 4, padding="zeros").to_xarray()


@pytest.mark.parametrize("library", ["pandas", "xarray"])
def test_a_library_that_is_missing_is_said(Lambda: pr.Spectrum, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(pr.InputError, match=f"to_{library} needs {library}, .*: 'pip install {library}'"):
        getattr(Lambda, f"to_{library}")()


def test_a_spectrum_shows_itself_as_a_picture(Lambda: pr.Spectrum) -> None:
    picture = Image.open(io.BytesIO(Lambda._repr_png_()))
    assert picture.format == "PNG"
    assert min(picture.size) > 200
    page = Lambda._repr_html_()
    assert "90 eigenvalues of 3x3x3x3 at 6x5" in page
    assert 'src="data:image/png;base64,' in page


def test_plots_are_drawn_in_given_axes(Lambda: pr.Spectrum, q: pr.ResidualPolynomial) -> None:
    figure = Figure(figsize=(9, 6), layout="constrained")
    # Any: matplotlib types data of lines as unions.
    panels: Any = figure.subplots(2, 2)
    plane, contours, real, sigma = panels.ravel()
    drawn: list[Any] = [
        Lambda.plot(plane, title="here"),
        q.plot(Lambda, contours),
        q.plot(Lambda, real, kind="real"),
    ]
    assert drawn == [plane, contours, real]
    assert plane.get_title() == "here"
    (points,) = [line for line in plane.lines if str(line.get_label()) == "90 eigenvalues"]
    assert np.array_equal(points.get_xdata() + 1j * points.get_ydata(), Lambda.values)
    (roots,) = (line for line in contours.lines if line.get_label() == "4 roots")
    assert np.array_equal(roots.get_xdata() + 1j * roots.get_ydata(), q.roots)
    curve = next(line for line in real.lines if line.get_label() == "$q_{4}$")
    np.testing.assert_allclose(curve.get_ydata(), q(curve.get_xdata()))
    assert draw_singular_values(pr.singular_values(Lambda.weight, Lambda.size), ax=sigma) is figure
    assert contours.get_legend() is not None
    assert not figure.legends
    figure.draw_without_rendering()


@pytest.mark.parametrize("columns", [1, 2])
def test_the_legend_of_a_surface_is_beside_its_box(
    columns: int, Lambda: pr.Spectrum, q: pr.ResidualPolynomial, coarse_surfaces: None
) -> None:
    figure = Figure(figsize=(5 * columns, 4))
    for column in range(columns):
        q.plot(Lambda, figure.add_subplot(1, columns, column + 1, projection="3d"), kind="surface")
    figure.draw_without_rendering()
    renderer = RendererAgg(*figure.bbox.size, figure.dpi)
    spaces: list[Any] = [axes for axes in figure.axes if axes.name == "3d"]
    for axes in spaces:
        legend = axes.get_legend().get_window_extent(renderer)
        assert legend.y0 >= 0
        # The corners of the box as matplotlib projects them.
        corners = product(axes.get_xlim(), axes.get_ylim(), axes.get_zlim())
        x, y, _ = proj3d.proj_transform(*np.transpose(list(corners)), axes.get_proj())
        assert legend.y1 < axes.transData.transform(np.column_stack([x, y]))[:, 1].min()
        for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
            assert not legend.overlaps(axis.get_tightbbox(renderer))


def test_a_surface_needs_axes_in_space(Lambda: pr.Spectrum, q: pr.ResidualPolynomial, coarse_surfaces: None) -> None:
    figure = Figure(figsize=(5, 5))
    space: Any = figure.add_subplot(projection="3d")
    q.plot(Lambda, space, kind="surface")
    assert space.get_zlim()[1] >= np.abs(q(Lambda.values)).max()
    with pytest.raises(pr.InputError, match="make them with projection='3d'"):
        q.plot(Lambda, Figure().add_subplot(), kind="surface")


@pytest.mark.usefixtures("types_unchecked")
def test_an_unknown_kind_is_said(Lambda: pr.Spectrum, q: pr.ResidualPolynomial) -> None:
    with pytest.raises(pr.InputError, match="unknown kind 'contour': did you mean 'contours'"):
        q.plot(Lambda, kind="contour")  # type: ignore[arg-type]


def test_plots_make_a_figure_of_pyplot(Lambda: pr.Spectrum, q: pr.ResidualPolynomial, coarse_surfaces: None) -> None:
    before = set(pyplot.get_fignums())
    for axes in (Lambda.plot(), q.plot(Lambda), q.plot(Lambda, kind="surface"), q.plot(Lambda, kind="real")):
        number = axes.get_figure(root=True).number
        assert number in set(pyplot.get_fignums()) - before
        pyplot.close(number)


@pytest.mark.slow
def test_figures_are_drawn_from_objects_and_need_no_title(
    Lambda: pr.Spectrum, q: pr.ResidualPolynomial, coarse_surfaces: None
) -> None:
    for figure in (draw_spectrum(Lambda), draw_contours(Lambda, q), draw_surface(Lambda, q), draw_real(Lambda, q)):
        assert not figure.get_suptitle()
        assert not figure.axes[0].get_title()
        figure.draw_without_rendering()
    parts: Any = Figure(figsize=(9, 5)).subfigures(1, 2)
    figure = draw_surface(Lambda, q, fig=parts[1])
    assert figure is parts[1].figure
    assert not parts[0].axes
    figure.draw_without_rendering()
    for axes in parts[1].axes:
        assert (axes.get_tightbbox().min >= parts[1].bbox.min - 1).all()
        assert (axes.get_tightbbox().max <= parts[1].bbox.max + 1).all()


def test_the_overview_takes_the_spectra_of_a_model() -> None:
    found = pr.model_spectra(pr.models.build("q2", image_size=8, channels=[4, 8]), 8)
    axes = draw_overview(found).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["levels.0.A", "levels.1.A"]
    assert axes.get_xlabel() == "eigenvalues and spectral radius"
    assert axes.get_legend_handles_labels()[1] == ["Re of eigenvalues", "largest Im", "spectral radius"]
    (first, *_) = [line for line in axes.lines if line.get_marker() == "|"]
    spectrum = found["levels.0.A.weight"].spectrum
    assert np.asarray(first.get_xdata()).tolist() == [spectrum.min_real, spectrum.max_real]


@pytest.mark.parametrize(
    ("extent", "label"),
    [
        ({"norm": 2.0}, "spectral norm"),
        (
            {"real": (0.0, 1.0), "max_imag": 0.5, "radius": 1.0, "norm": 2.0},
            "eigenvalues, spectral radius and spectral norm",
        ),
        ({}, ""),
    ],
)
def test_the_overviews_axis_names_what_is_drawn(extent: dict[str, Any], label: str) -> None:
    assert draw_overview([LayerExtent("conv", **extent)]).axes[0].get_xlabel() == label


@pytest.mark.slow
def test_numbers_load_no_plotting() -> None:
    code = (
        "import sys, numpy as np, polyroots as pr\n"
        "Lambda = pr.eigenvalues(np.eye(3).reshape(1, 1, 3, 3), 4)\n"
        "np.asarray(Lambda), list(Lambda), pr.ResidualPolynomial([1.0]).diagnose(Lambda)\n"
        "assert not {'matplotlib', 'pandas', 'xarray', 'rich', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
