"""The paper's figures: their data and their pictures."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dense import dense_operator
from matplotlib.colors import to_hex, to_rgba
from matplotlib.patches import FancyArrowPatch, Rectangle
from pictures import require_colours_enclose, require_nothing_is_cut, texts
from torch import nn

import polyroots as pr
from polyroots.checkpoints.own import Checkpoint, load_checkpoint, save_checkpoint
from polyroots.models import ConvOperator, PolyStep
from polyroots.plotting import printing
from polyroots.plotting.style import COLOURS, WIDTHS
from polyroots.roots.strategies import STRATEGIES
from polyroots.training import load_run
from polyroots_figures import FIGURES, Request, figure1, figure3, figure4, smoothing, strategies
from polyroots_figures.operators import operators_of
from polyroots_figures.request import Computed


@pytest.fixture
def small_A(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make figures draw an A with 6 channels on 8 x 8 pixels."""
    monkeypatch.setattr("polyroots_figures.operators.CHANNELS", 6)
    monkeypatch.setattr("polyroots_figures.operators.SIZE", (8, 8))


def drawn(name: str, request: Request, width: str = "two") -> tuple[Any, dict[str, Any]]:
    """Return the data and the pictures of a figure with one set of data."""
    (computed,) = FIGURES[name].compute(request)
    return computed, FIGURES[name].draw(computed.data, WIDTHS[width])


@pytest.fixture(scope="module")
def smoothed() -> Computed:
    """Return the data of the figure of smoothing."""
    (computed,) = FIGURES["smoothing"].compute(Request(seed=5))
    return computed


# Figure 1


def boxes_of(axes: Any) -> dict[str, list[str]]:
    """Return the colour of each convolution's box, with the symbol in it."""
    found: dict[str, list[str]] = {}
    for patch in axes.patches:
        if isinstance(patch, Rectangle) and to_rgba(patch.get_edgecolor())[3] == 0:
            x, y = patch.get_x() + patch.get_width() / 2, patch.get_y() + patch.get_height() / 2
            (symbol,) = [t.get_text() for t in axes.texts if np.allclose(t.get_position(), (x, y), atol=1e-9)]
            found.setdefault(symbol, []).append(to_hex(patch.get_facecolor()))
    return found


def test_figure_1_shows_what_the_papers_networks_share() -> None:
    computed, pictures = drawn("1", Request())
    symbols = [
        {call["kind"] + str(call["number"]): 0 for group in panel["groups"] for call in group["calls"]}
        for panel in computed.data["panels"]
    ]
    assert [sorted(found) for found in symbols] == [
        ["K1", "K2", "K3", "K4", "K5"],
        ["A1", "B1", "B2", "Pi1", "R1"],
        ["A1", "B1", "Pi1", "R1"],
        ["A1", "Pi1", "R1"],
    ]
    for axes, found in zip(pictures[""].axes, symbols, strict=True):
        boxes = boxes_of(axes)
        # One colour is one weight tensor.
        assert all(len(set(colours)) == 1 for colours in boxes.values())
        assert len({colours[0] for colours in boxes.values()}) == len(boxes) == len(found)
    resnet, _, shared, poly = (boxes_of(axes) for axes in pictures[""].axes)
    assert all(len(colours) == 1 for colours in resnet.values())
    assert [len(shared[symbol]) for symbol in ("$A$", "$B$")] == [2, 2]
    assert len(poly["$A$"]) == 2
    assert poly["$A$"] == shared["$A$"]


@pytest.mark.parametrize("name", ["resnet18", "mgnet-a", "mgnet-ab", "mgnet", "q2", "q8", "q6", "mgnet-hx"])
def test_figure_1_counts_the_modules_own_weights(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Boxes are the applications that a separate hook records, in order, and each weight has one colour."""
    monkeypatch.setattr(figure1, "NETWORKS", {name: name})
    network: Any = pr.models.build(name, image_size=32, scale=0.25)
    monkeypatch.setattr(figure1, "build", lambda _: network)
    (computed,) = figure1.compute(Request())
    inside = [module for part in network.resolutions[1] for module in part.modules() if isinstance(module, nn.Conv2d)]
    seen: list[Any] = []
    for module in inside:
        module.register_forward_hook(lambda module, *_: seen.append(module))
    with torch.no_grad():
        network(torch.zeros(1, 3, 32, 32))
    calls = [call for group in computed.data["panels"][0]["groups"] for call in group["calls"]]
    assert [network.get_submodule(call["module"]) for call in calls] == seen
    of_symbol: dict[tuple[str, int], set[int]] = {}
    for call in calls:
        of_symbol.setdefault((call["kind"], call["number"]), set()).add(
            id(network.get_submodule(call["module"]).weight)
        )
    assert all(len(weights) == 1 for weights in of_symbol.values())
    assert len(of_symbol) == len({id(module.weight) for module in inside})
    # The text of a step has the powers of its polynomial.
    words = texts(FIGURES["1"].draw(computed.data, 7)[""])
    formulas = {(0,): "{0}\\,r", (1,): "{1} A\\,r", (0, 1): "({0} + {1} A)\\,r"}
    steps = [m for part in network.resolutions[1] for m in part.modules() if isinstance(m, PolyStep)]
    for number, step in enumerate(steps, 1):
        alphas = [f"\\alpha_{power}^{{({number})}}" for power in (0, 1)]
        assert f"$\\delta = {formulas[step.powers].format(*alphas)}$" in words
    if name != "resnet18":
        assert "$r \\leftarrow r - A\\,\\delta$" in " ".join(words).replace("A_", "A")
    total = sum(weight.numel() for weight in {id(m.weight): m.weight for m in inside}.values())
    assert f"{total:,} weights" in computed.words[0]


# Figure 2


def test_figure_2_has_the_formulas_and_their_directions() -> None:
    _, pictures = drawn("2", Request())
    (axes,) = pictures[""].axes
    words = " ".join(texts(pictures[""]))
    for formula in ("f_\\ell - A_\\ell\\,u_\\ell", "\\Pi\\,u_\\ell", "R\\,\\sigma(r_\\ell)", "p_d(A_\\ell)\\,r_\\ell"):
        assert formula in words
    arrows = {}
    for patch in axes.patches:
        if isinstance(patch, FancyArrowPatch):
            (x, y), (to_x, to_y) = vars(patch)["_posA_posB"]
            arrows[to_hex(patch.get_edgecolor())] = (np.sign(to_x - x), np.sign(to_y - y))
    a, b, restriction, features = COLOURS[:4]
    assert arrows == {a: (0, -1), b: (0, 1), restriction: (1, 0), features: (1, 0)}


# Figure 3


@pytest.mark.slow
def test_figure_3_is_of_the_papers_size() -> None:
    """By default it shows the spectrum of a fresh 64 x 64 x 3 x 3 kernel at 32 x 32, with degree 3."""
    before = torch.random.get_rng_state()
    (computed,) = figure3.compute(Request(seed=3))
    assert torch.equal(torch.random.get_rng_state(), before)
    values, roots = computed.data["values"], computed.data["roots"]
    assert len(values) == 64 * 32 * 32
    torch.manual_seed(3)
    Lambda = pr.eigenvalues(ConvOperator(64).weight, 32)
    assert np.array_equal(values, Lambda.values)
    assert np.array_equal(np.sort_complex(roots), np.sort_complex(pr.select_roots(Lambda)))
    # The extreme real parts, and the pair with the largest imaginary part.
    real, pair = roots[roots.imag == 0].real, roots[roots.imag > 0]
    assert sorted(real) == [Lambda.min_real, Lambda.max_real]
    assert pair.imag == [Lambda.max_imag]
    assert "4 roots damp " in computed.words[0]


def test_figure_3_of_a_checkpoint_takes_its_level(init_file: Path) -> None:
    checkpoint = load_checkpoint(init_file)
    computed, pictures = drawn("3", Request(checkpoint=checkpoint, level=2, degree=2, strategy="leja"))
    Lambda = pr.eigenvalues(checkpoint.weights["levels.1.A.weight"], 4)
    assert np.array_equal(computed.data["values"], Lambda.values)
    expected = pr.select_roots(Lambda, 2, "leja")
    assert np.array_equal(np.sort_complex(computed.data["roots"]), np.sort_complex(expected))
    assert computed.stem == "figure3-level2"
    assert set(pictures) == {"", "-flat"}
    for picture in pictures.values():
        (title,) = [text for text in texts(picture) if "level 2 of q4" in text]
        assert "12 x 12 x 3 x 3, 4 x 4 pixels; roots chosen anew by 'leja'" in title
        assert "|q_{3}(" in title


def test_figure_3_has_the_networks_own_roots(trained: tuple[Path, str]) -> None:
    """Those of its last coefficients, as its report; others are said to be, and a MgNet has none."""
    loaded = load_run(trained[0])
    for strategy in (None, "own"):
        for level, operator in enumerate(loaded.end.operators, 1):
            (computed,) = figure3.compute(Request(run=loaded, level=level, strategy=strategy))
            assert np.array_equal(computed.data["values"], operator.values)
            assert np.array_equal(computed.data["roots"], operator.q.roots)
            assert "; the network's own roots" in computed.data["title"]
    (computed,) = figure3.compute(Request(run=loaded, strategy="extremal"))
    assert not np.array_equal(computed.data["roots"], loaded.end.operators[0].q.roots)
    assert "; roots chosen anew by 'extremal'" in computed.data["title"]
    mgnet = pr.models.build("mgnet-ab", image_size=8, in_channels=1, channels=(4, 8))
    checkpoint = Checkpoint(mgnet.config, mgnet.state_dict())
    with pytest.raises(pr.InputError, match="A of level 1 of mgnet-ab has no coefficients of its own"):
        figure3.compute(Request(checkpoint=checkpoint, strategy="own"))
    (computed,) = figure3.compute(Request(checkpoint=checkpoint))
    assert "; roots 'extremal'" in computed.data["title"]


def test_figure_3_of_eigenvalues_on_a_line_is_flat() -> None:
    weight = torch.zeros(1, 1, 3, 3)
    weight[0, 0] = torch.tensor([[0.0, -1, 0], [-1, 4, -1], [0, -1, 0]])
    values = pr.eigenvalues(weight, 8).values
    data = {"title": "", "values": values, "roots": np.array([2.0, 6.0])}
    assert set(figure3.draw(data, 7)) == {"-flat"}


def test_figure_3_of_several_A_shows_each(tmp_path: Path) -> None:
    torch.manual_seed(37)
    model: Any = pr.models.build("q4", image_size=8, in_channels=1, channels=(4, 8), steps_per_A=1)
    checkpoint = Checkpoint(model.config, model.state_dict())
    computed = figure3.compute(Request(checkpoint=checkpoint, level=2))
    assert [one.stem for one in computed] == [f"figure3-level2-{number}" for number in (1, 2, 3)]
    for one, A in zip(computed, model.levels[1].A, strict=True):
        assert np.array_equal(one.data["values"], pr.eigenvalues(A.weight, 4).values)
    save_checkpoint(tmp_path / "a.pt", checkpoint)


# Figure 4


def test_figure_4_has_real_spectra_and_the_blocks_curves(small_A: None) -> None:
    computed, pictures = drawn("4", Request(seed=5))
    for row, operator in zip(
        computed.data["rows"], [operators_of(Request(seed=5), i)[0] for i in ("kaiming", "shifted")], strict=True
    ):
        A = dense_operator(operator.weight.double().numpy(), (8, 8))
        expected = np.linalg.eigvalsh((A + A.T) / 2)
        np.testing.assert_allclose(np.sort(row["values"]), expected, atol=1e-12)
        for choice in row["choices"]:
            q = np.prod([1 - expected / root for root in choice["roots"]], axis=0)
            assert choice["max_abs"] == pytest.approx(np.abs(q).max(), rel=1e-6)
        assert sorted(row["choices"][0]["roots"]) == pytest.approx([expected[0], expected[-1]])
    # Two roots damp all eigenvalues, on one side of 0 or on both; the last choice is the best one.
    for row, largest in zip(computed.data["rows"], (1, 0.9), strict=True):
        assert row["choices"][3]["strategy"] == "minimax"
        bests = [choice["max_abs"] for choice in row["choices"]]
        assert min(bests) == bests[3] < largest
    panels = [axes for axes in pictures[""].axes if axes.lines]
    assert len(panels) == 8
    for axes, choice in zip(panels, [c for row in computed.data["rows"] for c in row["choices"]], strict=True):
        lines = {line.get_label(): line.get_data() for line in axes.lines}
        t, product = lines["$q_2$, their product"]
        one, other = (lines[f"block {n}: $1 - \\lambda/\\lambda_{n}$"][1] for n in (1, 2))
        np.testing.assert_allclose(product, one * other)
        np.testing.assert_allclose(one, 1 - t / choice["roots"][0])
        assert sorted(lines["roots"][0]) == sorted(choice["roots"])
        low, high = axes.get_xlim()
        assert low < min(lines["eigenvalues"][0]) <= max(lines["eigenvalues"][0]) < high


def test_figure_4_of_a_network_is_its_symmetric_part(init_file: Path) -> None:
    checkpoint = load_checkpoint(init_file)
    (computed,) = figure4.compute(Request(checkpoint=checkpoint, level=2))
    assert computed.stem == "figure4-level2"
    (row,) = computed.data["rows"]
    A = dense_operator(checkpoint.weights["levels.1.A.weight"].double().numpy(), (4, 4))
    np.testing.assert_allclose(np.sort(row["values"]), np.linalg.eigvalsh((A + A.T) / 2), atol=1e-12)


# strategies


def test_every_strategy_is_on_the_picture(small_A: None) -> None:
    computed, pictures = drawn("strategies", Request(seed=5, degree=3))
    rows, values = computed.data["rows"], computed.data["values"]
    assert {row["strategy"] for row in rows} == set(STRATEGIES) - {"given"}
    for row in rows:
        assert row["max_abs"] == pytest.approx(np.abs(pr.ResidualPolynomial(row["roots"])(values)).max(), rel=1e-9)
        assert row["max_abs"] >= computed.data["best"]
    assert [row["max_abs"] for row in rows] == sorted(row["max_abs"] for row in rows)
    *_, ranking = pictures[""].axes
    lines = {line.get_label(): line for line in ranking.lines}
    assert set(lines["none gets below (proven)"].get_xdata()) == {computed.data["best"]}
    names = [label.get_text() for label in ranking.get_yticklabels()]
    (dots,) = [line for line in ranking.lines if line.get_marker() == "o"]
    assert dict(zip(names, dots.get_xdata(), strict=True)) == {row["strategy"]: row["max_abs"] for row in rows}
    panels = {axes.get_title().split("\n")[0]: axes for axes in pictures[""].axes}
    for row in rows:
        q = pr.ResidualPolynomial(row["roots"])
        white = panels[row["strategy"]].collections[-2]
        assert any(len(path.vertices) for path in white.get_paths())
        for level, path in zip(white.levels, white.get_paths(), strict=True):
            at = path.vertices[:, 0] + 1j * path.vertices[:, 1]
            np.testing.assert_allclose(np.abs(q(at)), level, rtol=0.15)
    for row in rows:
        roots = panels[row["strategy"]].lines[-1]
        shown = np.sort_complex(np.asarray(roots.get_xdata()) + 1j * np.asarray(roots.get_ydata()))
        assert np.allclose(shown, np.sort_complex(row["roots"]))


def test_bands_are_there_however_large_q_is() -> None:
    values = np.array([1 + 1j, 1 - 1j, -1 + 1j, -1 - 1j])
    row = {"strategy": "real", "error": "", "roots": np.array([1e-25]), "max_abs": 1.5e25}
    data = {"title": "", "shape": "", "values": values, "best": 1.0, "rows": [row]}
    strategies.draw(data, 7)
    data["rows"] = [{"strategy": "minimax", "error": "none"}]
    assert "no roots here" in texts(strategies.draw(data, 7)[""])


def test_strategies_without_roots_say_so(init_file: Path) -> None:
    """For a spectrum around 0 no four roots make a smoother, so some strategies have an error."""
    computed, pictures = drawn("strategies", Request(checkpoint=load_checkpoint(init_file)))
    without = [row["strategy"] for row in computed.data["rows"] if row["error"]]
    small = strategies.draw(computed.data, WIDTHS["one"])[""]
    assert small.get_figheight() <= 1.65 * WIDTHS["one"]
    words = " ".join(" ".join(texts(small)).split())
    assert f"No roots here: {', '.join(without)}." in words
    bound = re.search(r"below ([\d.]+) \(proven\)", words)
    assert bound
    assert 0.99 * computed.data["best"] < float(bound[1]) <= computed.data["best"]
    assert "minimax" in without
    assert "extremal" not in without
    assert texts(pictures[""]).count("no roots here") == len(without)
    assert any(
        word.startswith("'minimax': A of level 1 of q4: 'minimax' has no useful roots") for word in computed.words
    )


# smoothing


@pytest.mark.slow
def test_smoothing_is_what_the_symbol_says(smoothed: Computed) -> None:
    """Each norm is computed from Fourier coefficients and the Laplacian's eigenvalues 4 - 2 cos theta - 2 cos phi."""
    computed = smoothed
    n = smoothing.SIZE
    theta = 2 * np.pi * np.fft.fftfreq(n)
    eigenvalues = 4 - 2 * np.cos(theta)[:, None] - 2 * np.cos(theta)
    f = np.random.default_rng(5).standard_normal((n, n))
    f_hat = np.fft.fft2(f - f.mean())
    is_high = (np.abs(theta)[:, None] >= np.pi / 2) | (np.abs(theta) >= np.pi / 2)
    jacobi = 1 - 0.8 * eigenvalues / 4
    for panel in computed.data["panels"]:
        part = is_high if panel["region"] == "high" else np.ones_like(is_high)
        curves = {curve["strategy"]: curve for curve in panel["curves"]}
        assert set(curves) == set(STRATEGIES) - {"given", "complex"} | {"damped Jacobi 4/5"}
        curve = curves["damped Jacobi 4/5"]
        expected = [np.linalg.norm((jacobi**k * f_hat)[part]) for k in curve["applications"]]
        np.testing.assert_allclose(curve["norms"], np.array(expected) / expected[0], rtol=1e-10)
    # A step takes as many applications of A as it has roots; the rate is the mean factor of one application.
    for panel in computed.data["panels"]:
        for each in panel["curves"]:
            count = 1 if each["strategy"].startswith("damped") else 4
            assert each["applications"].tolist() == list(range(0, 25, count))
            rate = each["norms"][-1] ** (1 / 24)
            sentence = (
                f"{panel['title']}, '{each['strategy']}': a factor of {rate:.3g} per application of A on average."
            )
            assert sentence in computed.words
    # Its smoothing factor is 3/5, a bound on each step that the last ones nearly attain.
    ratios = curve["norms"][1:] / curve["norms"][:-1]
    assert ratios.max() < 0.6
    assert ratios[-1] > 0.56
    # The minimax polynomial with four roots for the high frequencies is better than four steps of Jacobi.
    assert curves["minimax"]["norms"][-1] < 1e-2 * curve["norms"][-1]


@pytest.mark.slow
def test_what_grows_is_named_and_not_drawn(smoothed: Computed) -> None:
    computed, pictures = smoothed, FIGURES["smoothing"].draw(smoothed.data, WIDTHS["two"])
    for axes, panel in zip(pictures[""].axes, computed.data["panels"], strict=True):
        growing = [curve["strategy"] for curve in panel["curves"] if curve["norms"][-1] > 1]
        assert "smallest" in growing
        notes = f"not shown, growing: {', '.join(growing)}\nwithout roots: complex"
        assert axes.get_xlabel().split() == f"applications of $A$\n{notes}".split()  # lines are broken to fit
        names = [text.get_text() for text in axes.texts]
        assert sorted(names + growing) == sorted(curve["strategy"] for curve in panel["curves"])


# All of them


@pytest.mark.slow
@pytest.mark.parametrize("name", ["1", "2", "3", "4", "strategies", "smoothing"])
def test_no_word_is_cut(small_A: None, coarse_surfaces: None, smoothed: Computed, name: str) -> None:
    (computed,) = [smoothed] if name == "smoothing" else FIGURES[name].compute(Request(seed=5))
    for width in WIDTHS.values():
        pictures = FIGURES[name].draw(computed.data, width)
        for figure in pictures.values():
            assert figure.get_size_inches()[0] <= width
            require_nothing_is_cut(figure)
            # With letters of 12 points a figure in one column fits on a page.
            if name in ("1", "strategies") and width == WIDTHS["one"]:
                with printing(points=12):
                    large = FIGURES[name].draw(computed.data, width)[""]
                assert large.get_figheight() < 9.3
                require_nothing_is_cut(large)
            if name == "3":
                q = pr.ResidualPolynomial(computed.data["roots"])
                require_colours_enclose(figure, float(np.abs(q(computed.data["values"])).max()))
        if name == "4":
            assert pictures[""].get_figheight() < 5.2


def test_strategies_of_a_real_spectrum_have_no_hull() -> None:
    values = np.linspace(1, 2, 9) + 0j
    row = {"strategy": "real", "error": "", "roots": np.array([1.0]), "max_abs": 1.0}
    data = {"title": "", "shape": "", "values": values, "best": 0.0, "rows": [row]}
    with pytest.raises(pr.InputError, match="lie on a line"):
        strategies.draw(data, 7)
