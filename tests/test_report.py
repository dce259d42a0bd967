"""The page of a run: what it says."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from commands import fails, run
from small_runs import small

import polyroots as pr
from polyroots.report.facts import AFTER, BEFORE, facts_of
from polyroots.report.page import render
from polyroots.report.plots import thinned
from polyroots.training import load_run, open_data, train, train_config


class Parts(HTMLParser):
    """Attributes that load something, and the data of the plots."""

    def __init__(self):
        super().__init__()
        self.links, self.plots, self.words = [], {}, []
        self._script = None

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.links += [found[name] for name in ("src", "href") if name in found]
        self._script = found.get("id", "script") if tag in ("script", "style") else None

    def handle_endtag(self, tag):
        self._script = None

    def handle_data(self, data):
        if self._script is None:
            self.words.append(data)
        elif self._script.endswith("-data"):
            self.plots[self._script.removesuffix("-data")] = json.loads(data)


def parts_of(page):
    parts = Parts()
    parts.feed(page)
    return parts


def words_of(parts):
    return re.sub(r"\s+", " ", " ".join(parts.words))


@pytest.fixture(scope="module")
def parts(tracked):
    return parts_of(render(facts_of(load_run(tracked))))


def array(value):
    """An array as plotly writes it."""
    if isinstance(value, dict):
        import base64

        return np.frombuffer(base64.b64decode(value["bdata"]), dtype=np.dtype(value["dtype"]).newbyteorder("<"))
    return np.array(value)


def trace(plot, moment, name):
    (found,) = [t for t in plot["data"] if t.get("meta") == moment and t.get("name", "").endswith(name)]
    return found


def test_the_page_needs_no_network_and_is_small(parts, tracked):
    assert all(link.startswith(("#", "data:")) for link in parts.links), parts.links
    page = render(facts_of(load_run(tracked)))
    assert len(page.encode()) < 10e6
    assert page == render(facts_of(load_run(tracked)))
    assert "@import" not in page[: page.index("<body>")]


def test_every_level_has_its_spectrum_roots_and_surface(parts, tracked):
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
            height = trace(surface, moment, "|q|")
            grid = array(height["x"]) + 1j * array(height["y"])
            np.testing.assert_allclose(array(height["z"]), np.abs(operator.q(grid)), rtol=1e-4, atol=1e-4)
            on_it = trace(surface, moment, "eigenvalues")
            at = array(on_it["x"]) + 1j * array(on_it["y"])
            np.testing.assert_allclose(array(on_it["z"]), np.abs(operator.q(at)), rtol=1e-4, atol=1e-4)
            assert (array(trace(surface, moment, "roots")["z"]) == 0).all()
            assert {t["visible"] for t in surface["data"] if t["meta"] == moment} == {moment == AFTER}


def test_the_page_has_the_runs_numbers(parts, tracked):
    loaded = load_run(tracked)
    words = words_of(parts)
    assert "q4 on digits" in words
    assert f"Test accuracy {100 * loaded.result['last']['test_accuracy']:.2f} % after 5 epochs" in words
    assert "so its accuracy is optimistic" in words
    assert "track_spectrum 2" in words
    assert "Batch norm cancels the size of the coefficients of block 1 (L) and 2 (L)" in words
    curves = {(t["name"], t.get("yaxis")): t for t in parts.plots["curves"]["data"]}
    np.testing.assert_allclose(array(curves["training", "y"]["y"]), loaded.metrics["train_loss"])
    np.testing.assert_allclose(array(curves["test", "y2"]["y"]), 100 * loaded.metrics["test_accuracy"])
    flow = {t["name"]: t for t in parts.plots["flow-1"]["data"]}
    assert array(flow["radius"]["x"]).tolist() == [0, 2, 4, 5]
    assert array(flow["radius"]["y"]) == pytest.approx([s.operators[1].radius for s in loaded.snapshots])
    for level, operator in zip(loaded.init["levels"], loaded.end.operators, strict=True):
        assert f"{level['radius']:.4g} before training, {operator.radius:.4g} after training." in words
        assert f"{level['diagnosis']['max_abs']:.4g} {np.abs(operator.q(operator.values)).max():.4g}" in words
        for block, alphas in zip(level["blocks"], operator.alphas, strict=True):
            for value in (*block["alphas"], *alphas):
                assert f"{value:.4g}" in words


def test_diagnoses_are_of_the_same_operator_before_and_after(tmp_path):
    """Roots that were chosen for the high frequencies of the zero-padded... here: of one region."""
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
    facts = facts_of(load_run(tmp_path / "run"))
    for level in facts.levels:
        for moment in level.moments.values():
            assert moment.report["diagnosis"]["region"] == "high"


@pytest.mark.parametrize(("name", "remark"), [("mgnet-ab", "has no polynomials"), ("resnet20", "has no convolution A")])
def test_networks_without_polynomials(name, remark, tmp_path):
    source = open_data("digits")
    channels = (4, 8) if name == "mgnet-ab" else None
    train(small(source, name=name, channels=channels, limit=40, epochs=1), source, tmp_path / "run")
    parts = parts_of(render(facts_of(load_run(tmp_path / "run"))))
    assert remark in words_of(parts)
    assert set(parts.plots) == ({"curves", "plane-0", "plane-1"} if name == "mgnet-ab" else {"curves"})


def test_a_run_that_is_not_done(tracked, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(tracked, copy)
    for name in ("result.json", "metrics.csv"):
        (copy / name).unlink()
    parts = parts_of(render(facts_of(load_run(copy))))
    words = words_of(parts)
    assert "Not done: 5 of 5 epochs" in words
    assert "This run is not done yet" in words
    assert "curves" not in parts.plots


def test_what_users_wrote_is_no_markup(tracked, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(tracked, copy)
    document = json.loads((copy / "result.json").read_text())
    document["data"] = "</script><b>data</b>"
    (copy / "result.json").write_text(json.dumps(document))
    page = render(facts_of(load_run(copy)))
    assert "<b>data" not in page
    assert "&lt;b&gt;data" in page


def test_many_A_keep_the_page_small(tmp_path):
    source = open_data("digits")
    blocks = ",".join("C" * 34)
    model = pr.models.model_config(blocks, image_size=8, in_channels=1, channels=(4,), steps_per_A=1)
    config = train_config("digits", model, limit=20, epochs=1, batch_size=16, device="cpu")
    train(config, source, tmp_path / "run")
    facts = facts_of(load_run(tmp_path / "run"))
    assert [level.title for level in facts.levels[:2]] == ["Level 1, A 1", "Level 1, A 2"]
    page = render(facts)
    assert len(page.encode()) < 10e6
    parts = parts_of(page)
    assert sum(name.startswith("surface") for name in parts.plots) == 32
    assert words_of(parts).count("Plots are shown of the first 32 A only.") == len(facts.levels) - 32


def test_thinning_keeps_the_extremes(rng):
    values = rng.standard_normal(9000) + 1j * rng.standard_normal(9000)
    few = thinned(values, 1)
    assert len(few) <= 2010
    for part in (np.real, np.imag):
        assert part(few).max() == part(values).max()
        assert part(few).min() == part(values).min()
    assert np.abs(few).max() == np.abs(values).max()
    assert np.isin(few, values).all()


def test_the_command_writes_the_page(tracked, tmp_path, monkeypatch):
    copy = tmp_path / "copy"
    shutil.copytree(tracked, copy)
    assert f"wrote {copy / 'report.html'} (" in run("report", copy).stdout
    run("report", copy, "-o", tmp_path / "new" / "page.html")
    assert (tmp_path / "new" / "page.html").read_bytes() == (copy / "report.html").read_bytes()
    assert "no directory none: expected a run of 'polyroots train'" in fails("report", "none")
    assert "cannot write" in fails("report", copy, "-o", copy / "config.json" / "below.html")

    def breaks(facts):
        raise pr.InputError("no")

    monkeypatch.setattr("polyroots.report.page.render", breaks)
    fails("report", copy, "-o", tmp_path / "half.html")
    assert not (tmp_path / "half.html").exists()
