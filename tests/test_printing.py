"""Letters, height and title of pictures for print."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from commands import fails, run
from matplotlib.text import Text
from pictures import require_nothing_is_cut, texts

import polyroots as pr
from polyroots.plotting import SpectrumAtEpoch, draw_contours, draw_flow, draw_spectrum, draw_surface, printing
from polyroots.plotting.style import WIDTHS
from polyroots_figures import FIGURES, Request

_TITLE = "a title that is long enough to be broken into lines, $|q_4(\\lambda)|$"


@pytest.fixture
def one_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make Figure 1 show one network, in PDF files."""
    monkeypatch.setattr("polyroots_figures.figure1.NETWORKS", {"q2": "q2"})
    # The package has a function of this name as well.
    monkeypatch.setattr(import_module("polyroots_figures.make"), "FORMATS", ("pdf",))


@pytest.fixture
def values(rng: np.random.Generator) -> Any:
    return pr.eigenvalues(rng.standard_normal((4, 4, 3, 3)) / 6, 8).values


def test_pictures_have_the_letters_the_height_and_no_title(values: Any, coarse_surfaces: None) -> None:
    q = pr.ResidualPolynomial(pr.select_roots(values))
    with printing(font="serif", points=8, height=3, has_title=False):
        figures = [
            draw_spectrum(values, "a title"),
            draw_contours(values, q, "a title", width=3.4),
            draw_surface(values, q, "a title", width=3.4),
            FIGURES["2"].draw({}, 3.4)[""],
        ]
        for figure in figures:
            require_nothing_is_cut(figure)
    for figure in figures:
        assert figure.get_figheight() == 3
        words = [text for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text()]
        assert {text.get_fontname() for text in words} == {"DejaVu Serif"}
        assert max(float(text.get_fontsize()) for text in words) <= 8 * 1.2
        assert "a title" not in texts(figure)
    # Afterwards all is as before.
    assert "a title" in texts(draw_spectrum(values, "a title"))
    assert mpl.rcParams["font.family"] == ["sans-serif"]


@pytest.mark.slow
@pytest.mark.parametrize("points", [9, 12])
@pytest.mark.parametrize("width", WIDTHS.values())
def test_larger_letters_have_room(points: float, width: float, values: Any, one_network: None) -> None:
    """Nothing overlaps and nothing is cut; pictures get higher instead."""
    q = pr.ResidualPolynomial(pr.select_roots(values))
    networks = FIGURES["1"].compute(Request())[0].data
    with printing(points=points):
        pictures = [FIGURES["1"].draw(networks, width)[""], FIGURES["2"].draw({}, width)[""]]
        pictures.append(draw_contours(values, q, _TITLE, width=width))
    for picture in pictures:
        require_nothing_is_cut(picture)


def test_the_name_of_an_axis_fits_beside_the_curves_of_a_run(values: Any) -> None:
    """Of a run with batch norm in two columns: the longest name and remark, at the largest letters."""
    q = pr.ResidualPolynomial(pr.select_roots(values))
    moments = [SpectrumAtEpoch(epoch, values[::8], q, (10.0, 4.0, 1.2)) for epoch in (0, 8)]
    with printing(points=12):
        picture = draw_flow(moments, _TITLE, "batch norm cancels the size of the coefficients", WIDTHS["two"])
    require_nothing_is_cut(picture)
    assert any("applied" in text for text in texts(picture))


def test_a_font_that_is_not_installed_is_named() -> None:
    message = "expected an installed font, or serif or sans-serif, got 'Caslon 1722'"
    with pytest.raises(pr.InputError, match=message), printing(font="Caslon 1722"):
        pass


def test_figures_are_printed_as_the_options_say(tmp_path: Path, one_network: None) -> None:
    run("figures", "--only", 2, "--only", 1, "--font", "serif:8", "--height", 2.6, "--no-title", "--out", tmp_path)
    for name in ("figure1", "figure2"):
        pdf = (tmp_path / f"{name}.pdf").read_bytes()
        assert b"DejaVuSerif" in pdf
        assert b"/DejaVuSans " not in pdf
        assert f"/MediaBox [ 0 0 504 {72 * 2.6:g} ]".encode() in pdf
    before = (tmp_path / "figure1.pdf").read_bytes()
    run("figures", "--redraw", "--only", 1, "--out", tmp_path)
    assert (tmp_path / "figure1.pdf").read_bytes() != before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--font", "Caslon 1722"), "expected an installed font, or serif or sans-serif, got 'Caslon 1722'"),
        (("--font", "serif:big"), "expected a font such as serif or 'Times New Roman:8', got 'serif:big'"),
        (("--font", "12"), "expected a font, with its points behind it such as sans-serif:12, got 12"),
        (("--height", "0"), "expected a number from 0.5 to 20, got '0'"),
    ],
)
def test_mistakes_of_printing(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    assert message in fails("figures", "--only", 2, *arguments, "--out", tmp_path / "f", exit_code=2)


def test_too_low_a_picture_is_said(tmp_path: Path, one_network: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyroots_figures.operators.CHANNELS", 2)
    monkeypatch.setattr("polyroots_figures.operators.SIZE", (4, 4))
    message = fails("figures", "--only", 4, "--height", 0.6, "--out", tmp_path)
    assert "figure4 has no room for its axes beside its words: choose a larger height or smaller letters" in message
    assert not list(tmp_path.glob("*.npz"))
