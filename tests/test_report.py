"""The report of a run: contents of the page and its plots."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import fails, run
from matplotlib.figure import Figure
from numpy.typing import NDArray
from small_runs import small

import polyroots as pr
from polyroots.checkpoints.own import Checkpoint, load_checkpoint, save_checkpoint
from polyroots.report import html
from polyroots.report.html import render
from polyroots.report.planes import thinned
from polyroots.report.summary import AFTER, BEFORE, OperatorState, summarise
from polyroots.text import floored
from polyroots.training import load_run, open_data, train, train_config


class Parts(HTMLParser):
    """Parser of a page: attributes with addresses, and the data of the plots."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[Any] = []
        self.plots: dict[str, Any] = {}
        self.words: list[str] = []
        self._script: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.links += [found[name] for name in ("src", "href") if name in found]
        self._script = found.get("id", "script") if tag in ("script", "style") else None

    def handle_endtag(self, tag: str) -> None:
        self._script = None

    def handle_data(self, data: str) -> None:
        if self._script is None:
            self.words.append(data)
        elif self._script.endswith("-data"):
            self.plots[self._script.removesuffix("-data")] = json.loads(data)


def parts_of(page: str) -> Parts:
    parts = Parts()
    parts.feed(page)
    return parts


def words_of(parts: Parts) -> str:
    return re.sub(r"\s+", " ", " ".join(parts.words))


@pytest.fixture(scope="module")
def parts(tracked: Path) -> Parts:
    """Return the parts of the page without still pictures, which take most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("polyroots.report.html._PICTURED", 0)
        return parts_of(render(summarise(load_run(tracked))))


@pytest.fixture
def copy(tracked: Path, tmp_path: Path) -> Path:
    """Return a copy of the run that a test may change."""
    return shutil.copytree(tracked, tmp_path / "copy")


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyroots.report.html._PICTURED", 0)


def array(value: Any) -> NDArray[Any]:
    """Return an array from plotly's encoding."""
    if isinstance(value, dict):
        import base64

        return np.frombuffer(base64.b64decode(value["bdata"]), dtype=np.dtype(value["dtype"]).newbyteorder("<"))
    return np.array(value)


def trace(plot: Any, moment: Any, name: str) -> Any:
    found = [t for t in plot["data"] if t.get("meta") == moment and t.get("name", "").endswith(name)]
    assert len(found) == 1
    (found,) = found
    return found


@pytest.mark.slow
def test_the_page_needs_no_network_and_is_small(tracked: Path) -> None:
    page = render(summarise(load_run(tracked)))
    parts = parts_of(page)
    assert all(link.startswith(("#", "data:")) for link in parts.links), parts.links
    assert len(page.encode()) < 10e6
    assert "@import" not in page[: page.index("<body>")]


def test_every_level_has_its_spectrum_roots_and_surface(parts: Parts, tracked: Path) -> None:
    loaded = load_run(tracked)
    assert set(parts.plots) == {"curves"} | {f"{kind}-{n}" for kind in ("plane", "surface", "flow") for n in (0, 1)}
    for moment, snapshot in ((BEFORE, loaded.snapshots[0]), (AFTER, loaded.snapshots[-1])):
        for index, operator in enumerate(snapshot.operators):
            plane, surface = parts.plots[f"plane-{index}"], parts.plots[f"surface-{index}"]
            points = trace(plane, moment, "eigenvalues")
            values = array(points["x"]) + 1j * array(points["y"])
            assert np.array_equal(np.sort_complex(values), np.sort_complex(operator.values))
            np.testing.assert_allclose(array(points["customdata"]), np.abs(operator.q(values)), rtol=1e-12)
            roots = trace(plane, moment, "roots")
            shown = array(roots["x"]) + 1j * array(roots["y"])
            assert np.array_equal(np.sort_complex(shown), np.sort_complex(operator.q.roots))
            (left, right), (bottom, top) = (plane["layout"]["meta"][moment][f"{axis}axis.range"] for axis in "xy")
            assert left < values.real.min() <= values.real.max() < right
            assert bottom < values.imag.min() <= values.imag.max() < top
            if moment == AFTER:
                assert [left, right] == plane["layout"]["xaxis"]["range"]
            bands = next(t for t in plane["data"] if t.get("meta") == moment and t["type"] == "contour")
            x, y = array(bands["x"]).astype(float), array(bands["y"]).astype(float)
            size = np.abs(operator.q(x + 1j * y[:, None]))
            drawn = array(bands["z"]).reshape(size.shape)
            inside = (size > 0.01) & (size < size.max())
            np.testing.assert_allclose(drawn[inside], np.log10(size)[inside], atol=1e-3)
            one = trace(plane, moment, "|q| = 1")
            line = array(one["x"]).astype(float) + 1j * array(one["y"]).astype(float)
            np.testing.assert_allclose(np.abs(operator.q(line[np.isfinite(line)])), 1, atol=0.05)
            stands = [t for t in surface["data"] if t.get("meta") == moment and t.get("name") == "|q| = 1"]
            assert all((array(t["z"]) == 1).all() for t in stands)
            height = trace(surface, moment, "|q|")
            grid = array(height["x"]) + 1j * array(height["y"])
            np.testing.assert_allclose(array(height["z"]), np.abs(operator.q(grid)), rtol=1e-4, atol=1e-4)
            on_it = trace(surface, moment, "eigenvalues")
            at = array(on_it["x"]) + 1j * array(on_it["y"])
            np.testing.assert_allclose(array(on_it["z"]), np.abs(operator.q(at)), rtol=1e-4, atol=1e-4)
            assert (array(trace(surface, moment, "roots")["z"]) == 0).all()
            assert {t["visible"] for t in surface["data"] if t["meta"] == moment} == {moment == AFTER}


def test_the_page_has_the_runs_numbers(parts: Parts, tracked: Path) -> None:
    loaded = load_run(tracked)
    words = words_of(parts)
    assert "q4 on digits" in words
    assert f"Test accuracy {100 * loaded.result['last']['test_accuracy']:.2f} % after 5 epochs" in words
    assert "so its accuracy is optimistic" in words
    assert "track_spectrum 2" in words
    assert "Batch norm cancels the size of the coefficients of blocks 1 (L) and 2 (L)" in words
    for name in ("last", "best"):
        scores = loaded.result[name]
        assert f"{name} {scores['epoch']} {100 * scores['test_accuracy']:.2f} % {scores['test_loss']:.4g}" in words
    last = summarise(loaded).operators[0].states[AFTER].report["diagnosis"]
    first = loaded.init["levels"][0]["diagnosis"]
    for row, field in (
        ("mean |q|", "mean_abs"),
        ("root mean square of |q|", "rms"),
        ("max |q| over the high frequencies", "smoothing_factor"),
        ("all blocks together multiply a residual by at worst", "norm"),
        ("largest partial product of the factors", "growth"),
        ("of a polynomial with as many roots", "best"),
    ):
        assert f"{row} {first[field]:.4g} {last[field]:.4g}" in words
    assert f"proven {floored(first['best_bound'])} {floored(last['best_bound'])}" in words
    assert "Over the spectrum of A with circular padding." in words
    for level, channels in zip(loaded.init["levels"], loaded.config.model.channels, strict=True):
        assert f"A has {channels} channels on {level['size'][0]} x {level['size'][1]} pixels" in words
    curves = {(t["name"], t.get("yaxis")): t for t in parts.plots["curves"]["data"]}
    np.testing.assert_allclose(array(curves["training", "y"]["y"]), loaded.metrics["train_loss"])
    np.testing.assert_allclose(array(curves["test", "y2"]["y"]), 100 * loaded.metrics["test_accuracy"])
    flow = {t["name"]: t for t in parts.plots["flow-1"]["data"]}
    assert array(flow["radius"]["x"]).tolist() == [0, 2, 4, 5]
    sizes = [np.abs(s.operators[1].q(s.operators[1].values)) for s in loaded.snapshots]
    for name, share in (("largest |q|", 1.0), ("90 % are below", 0.9), ("median", 0.5)):
        assert array(flow[name]["y"]) == pytest.approx([np.quantile(size, share) for size in sizes])
    assert array(flow["radius"]["y"]) == pytest.approx([s.operators[1].radius for s in loaded.snapshots])
    assert array(flow["largest |μ|"]["y"])[1:] == pytest.approx([s.level(2).radius for s in loaded.snapshots[1:]])
    for number in (1, 2):
        applied = pr.effective_operator(loaded.model, number)
        # Before the first step batch norm has no statistics.
        assert f"max |μ| - {applied.radius:.4g} " in words
        assert f"what the level multiplies a residual by at worst - {applied.norm:.4g} " in words
    for level, operator in zip(loaded.init["levels"], loaded.end.operators, strict=True):
        assert f"{level['radius']:.4g} before training, {operator.radius:.4g} after training." in words
        assert f"{level['diagnosis']['max_abs']:.4g} {np.abs(operator.q(operator.values)).max():.4g}" in words
        for block, alphas in zip(level["blocks"], operator.alphas, strict=True):
            for value in (*block["alphas"], *alphas):
                assert f"{value:.4g}" in words


def test_diagnoses_are_of_the_same_operator_before_and_after(tmp_path: Path) -> None:
    """Both diagnoses are over the high frequencies, for which the roots were chosen."""
    run(
        "init",
        "--model",
        "q2",
        "--channels",
        "4,8",
        "--roots",
        "extremal",
        "--region",
        "high",
        "--out",
        tmp_path / "i.pt",
    )
    run("train", "--init", tmp_path / "i.pt", "--limit", 40, "--epochs", 1, "--out", tmp_path / "run")
    summary = summarise(load_run(tmp_path / "run"))
    for level in summary.operators:
        for state in level.states.values():
            assert state.report["diagnosis"]["region"] == "high"


def test_diagnoses_are_of_the_padding_that_roots_were_chosen_for(no_pictures: None, tmp_path: Path) -> None:
    """Both diagnoses are of the zero-padded operator, and a remark says that the plots have circular padding."""
    run("init", "--model", "q2", "--channels", "4,8", "--spectrum-padding", "zeros", "--out", tmp_path / "i.pt")
    run("train", "--init", tmp_path / "i.pt", "--limit", 40, "--epochs", 1, "--lr", 1e-9, "--out", tmp_path / "run")
    summary = summarise(load_run(tmp_path / "run"))
    assert summary.remarks == ()
    for level in summary.operators:
        before, after = (level.states[when].report["diagnosis"]["max_abs"] for when in (BEFORE, AFTER))
        assert before == pytest.approx(after, rel=1e-3)
        operator = level.states[AFTER].operator
        assert np.abs(operator.q(operator.values)).max() != pytest.approx(after, rel=1e-2)
    words = words_of(parts_of(render(summary)))
    assert "of A with zeros padding, unlike the plots, which are of A with circular padding." in words


@pytest.mark.slow
def test_each_A_has_its_own_blocks(tmp_path: Path, rough_pictures: None, no_tracker_process: Any) -> None:
    source = open_data("digits")
    model = pr.models.model_config("q4", image_size=8, in_channels=1, channels=(4, 8), steps_per_A=1)
    config = train_config("digits", model, limit=40, epochs=1, batch_size=16, device="cpu", track_spectrum=1)
    train(config, source, tmp_path / "run")
    summary = summarise(load_run(tmp_path / "run"))
    # In q4 the linear blocks are inert, the quadratic one is not.
    assert [(level.title, level.first_block, level.inert) for level in summary.operators[-3:]] == [
        ("Level 2, A 1", 1, ("1 (L)",)),
        ("Level 2, A 2", 2, ("2 (L)",)),
        ("Level 2, A 3", 3, ()),
    ]
    run("figures", "--only", "flow", "--only", "spectra", "--run", tmp_path / "run", "--out", tmp_path / "f")
    stems = {path.stem for path in (tmp_path / "f").glob("*.npz")}
    assert {f"flow-level2-{number}" for number in (1, 2, 3)} < stems


def test_a_run_that_diverged_has_a_page(copy: Path, no_pictures: None) -> None:
    """With weights that are not finite, the page has the contents that don't depend on them."""
    checkpoint = load_checkpoint(copy / "last.pt")
    weights = {name: value * torch.nan if "A" in name else value for name, value in checkpoint.weights.items()}
    save_checkpoint(copy / "last.pt", Checkpoint(checkpoint.config, weights, checkpoint.init, checkpoint.training))
    parts = parts_of(render(summarise(load_run(copy))))
    assert "The network as it was last saved is not shown: levels.0.A.weight: 144 of 144 entries are NaN" in words_of(
        parts
    )
    assert {"curves", "plane-0", "surface-0"} <= set(parts.plots)
    assert {t["meta"] for t in parts.plots["plane-0"]["data"]} == {BEFORE}
    assert all(t["visible"] for t in parts.plots["plane-0"]["data"])


def test_a_polynomial_beyond_float64_has_a_page(tracked: Path) -> None:
    summary = summarise(load_run(tracked))
    state = summary.operators[0].states[AFTER]
    huge = dataclasses.replace(state.operator, letters=("C",) * 12, alphas=(np.array([1e30, 1e30]),) * 12)
    operator = dataclasses.replace(summary.operators[0], states={AFTER: OperatorState(huge, None)})
    parts = parts_of(render(dataclasses.replace(summary, operators=(operator,), snapshots=())))
    # There is no surface, or one within the range of float32.
    assert "plane-0" in parts.plots
    for plot in parts.plots.values():
        assert all(np.isfinite(array(t["z"])).all() for t in plot["data"] if "z" in t)


def test_the_still_picture_is_of_the_last_network(tracked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def record(values: Any, q: Any, title: str) -> Figure:
        seen.append(values)
        return Figure(figsize=(1, 1))

    monkeypatch.setattr("polyroots.report.html.draw_surface", record)
    loaded = load_run(tracked)
    page = render(summarise(loaded))
    assert page.count('class="still" src="data:image/png;base64,') == len(seen) == 2
    for values, operator in zip(seen, loaded.end.operators, strict=True):
        assert np.array_equal(values, operator.values)


@pytest.mark.parametrize(("name", "remark"), [("mgnet-ab", "has no polynomials"), ("resnet20", "has no convolution A")])
def test_networks_without_polynomials(name: str, remark: str, tmp_path: Path) -> None:
    source = open_data("digits")
    channels = (4, 8) if name == "mgnet-ab" else None
    train(small(source, name=name, channels=channels, limit=40, epochs=1), source, tmp_path / "run")
    parts = parts_of(render(summarise(load_run(tmp_path / "run"))))
    assert remark in words_of(parts)
    # The curves of one epoch would be points: a table has its numbers.
    assert set(parts.plots) == ({"plane-0", "plane-1"} if name == "mgnet-ab" else set())
    metrics = load_run(tmp_path / "run").metrics
    assert f"training {metrics['train_loss'][0]:.4g} {100 * metrics['train_accuracy'][0]:.2f} %" in words_of(parts)


def test_a_run_that_is_not_done(copy: Path, no_pictures: None) -> None:
    for name in ("result.json", "metrics.csv"):
        (copy / name).unlink()
    parts = parts_of(render(summarise(load_run(copy))))
    words = words_of(parts)
    assert "Not done: 5 of 5 epochs" in words
    assert "This run is not done yet" in words
    assert "curves" not in parts.plots
    assert "after 5 of 5 epochs" in words


def test_epochs_that_are_lost_are_said(copy: Path) -> None:
    lines = (copy / "metrics.csv").read_text().splitlines()
    (copy / "metrics.csv").write_text("\n".join(lines[:3]) + "\n")
    assert "metrics.csv has 2 of 5 epochs: the others are lost." in summarise(load_run(copy)).remarks


def test_what_users_wrote_is_no_markup(copy: Path, no_pictures: None) -> None:
    document = json.loads((copy / "result.json").read_text())
    document["data"] = "</script><b>data</b>"
    (copy / "result.json").write_text(json.dumps(document))
    page = render(summarise(load_run(copy)))
    assert "<b>data" not in page
    assert "&lt;b&gt;data" in page


@pytest.mark.slow
def test_many_A_keep_the_page_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictured = html._PICTURED
    monkeypatch.setattr(html, "_PICTURED", 1)
    source = open_data("digits")
    blocks = ",".join("C" * 34)
    model = pr.models.model_config(blocks, image_size=8, in_channels=1, channels=(4,), steps_per_A=1)
    config = train_config("digits", model, limit=20, epochs=1, batch_size=16, device="cpu", relax="none", signs="paper")
    train(config, source, tmp_path / "run")
    summary = summarise(load_run(tmp_path / "run"))
    assert [level.title for level in summary.operators[:2]] == ["Level 1, A 1", "Level 1, A 2"]
    page = render(summary)
    (picture,) = re.findall('<img class="still" src="([^"]+)', page)
    assert len(page.encode()) + (pictured - 1) * len(picture) < 10e6
    parts = parts_of(page)
    assert sum(name.startswith("surface") for name in parts.plots) == 32
    assert words_of(parts).count("Plots are shown of the first 32 A only.") == len(summary.operators) - 32


def test_thinning_keeps_the_extremes(rng: np.random.Generator) -> None:
    values = rng.standard_normal(9000) + 1j * rng.standard_normal(9000)
    few = thinned(values, 1)
    assert len(few) <= 2010
    for part in (np.real, np.imag):
        assert part(few).max() == part(values).max()
        assert part(few).min() == part(values).min()
    assert np.abs(few).max() == np.abs(values).max()
    assert np.isin(few, values).all()
    # Both imaginary extremes are included.
    values = np.concatenate([values, [-9j]])
    assert thinned(values, 1).imag.min() == -9


@pytest.mark.slow
def test_the_command_writes_the_page(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # One picture is enough for equal pages.
    monkeypatch.setattr("polyroots.report.html._PICTURED", 1)
    assert f"wrote {copy / 'report.html'} (" in run("report", copy).stdout
    run("report", copy, "-o", tmp_path / "new" / "page.html")
    assert (tmp_path / "new" / "page.html").read_bytes() == (copy / "report.html").read_bytes()
    assert "no directory none: expected a run of 'polyroots train'" in fails("report", "none")
    assert "cannot write" in fails("report", copy, "-o", copy / "config.json" / "below.html")

    def breaks(summary: Any) -> None:
        raise pr.InputError("no")

    monkeypatch.setattr("polyroots.report.html.render", breaks)
    fails("report", copy, "-o", tmp_path / "half.html")
    assert not (tmp_path / "half.html").exists()
