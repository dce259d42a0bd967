"""Figure 5: series of runs, their labels, and the drawing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import fails
from matplotlib.colors import to_hex
from pictures import require_nothing_is_cut, texts
from small_runs import result_document

import polyroots as pr
from polyroots.plotting.style import WIDTHS
from polyroots.study import results_of, series_of
from polyroots_figures import FIGURES, Request


@pytest.fixture
def study(tmp_path: Path, trained: tuple[Path, str]) -> Path:
    """Write run directories without training: two networks, two widths, three seeds; one run is unfinished."""
    config = json.loads((trained[0] / "config.json").read_text())
    # As in runs of version 0.1.0: configurations with an identity can't be edited.
    del config["identity"]
    config["config"] |= {"relax": "none", "signs": "paper"}
    for name in ("q4", "q2"):
        for width in (4, 8):
            for seed in (11, 12, 13):
                config["config"]["model"] |= {"name": name, "channels": [width, 2 * width]}
                config["config"]["seed"] = seed
                directory = tmp_path / "study" / f"{name}-{width}" / str(seed)
                directory.mkdir(parents=True)
                (directory / "config.json").write_text(json.dumps(config))
                accuracy = (0.9 if name == "q4" else 0.8) + width / 100 + (seed - 11) ** 2 / 1000
                (directory / "result.json").write_text(json.dumps(result_document(accuracy, data="some digits")))
    (tmp_path / "study" / "q2-4" / "13" / "result.json").unlink()
    (tmp_path / "study" / "other").mkdir()
    (tmp_path / "study" / "other" / "config.json").write_text("{}")
    return tmp_path / "study"


def test_figure_5_has_mean_and_spread_of_each_network(study: Path) -> None:
    (computed,) = FIGURES["5"].compute(Request(study=study))
    series = {one["label"]: one["points"] for one in computed.data["series"]}
    assert sorted(series) == ["q2", "q4"]
    for name, points in series.items():
        assert [point["channels"] for point in points] == [[4, 8], [8, 16]]
        for point in points:
            config = pr.models.model_config(name, image_size=8, in_channels=1, channels=point["channels"])
            assert point["weights"] == pr.models.count_weights(pr.models.build(config))
    assert series["q4"][0]["accuracies"] == pytest.approx([0.94, 0.941, 0.944])
    assert series["q2"][0]["seeds"] == [11, 12]
    assert [*computed.notes] == [f"1 run not done, left out: {study / 'q2-4' / '13'}."]
    assert any(
        word.startswith("q4, channels 4,8, ") and word.endswith(" weights: 94.17 +- 0.21 % (3 seeds).")
        for word in computed.words
    )
    for width in WIDTHS.values():
        figure = FIGURES["5"].draw(computed.data, width)[""]
        require_nothing_is_cut(figure)
        (axes,) = figure.axes
        assert axes.get_xscale() == "log"
        assert {text.get_text() for text in axes.texts} == {"q2", "q4"}
        assert "some digits, after the last epoch" in texts(figure)
        name = axes.get_xlabel().replace("\n", " ")
        assert name == "weights mean and standard deviation of 2 to 3 seeds; rings: single seeds"
        rings = [line for line in axes.lines if line.get_marker() == "o" and line.get_markerfacecolor() == "none"]
        seeds = sorted(y for line in rings for y in np.asarray(line.get_ydata()))
        expected = [100 * a for points in series.values() for point in points for a in point["accuracies"]]
        assert seeds == pytest.approx(sorted(expected))
        for container, name in zip(axes.containers, series, strict=True):
            line, _, (bars,) = container
            x, y = line.get_data()
            assert list(x) == [point["weights"] for point in series[name]]
            assert y == pytest.approx([100 * point["accuracies"].mean() for point in series[name]])
            for segment, point in zip(bars.get_segments(), series[name], strict=True):
                assert np.ptp(segment[:, 1]) == pytest.approx(200 * point["accuracies"].std(ddof=1))
            (label,) = [text for text in axes.texts if text.get_text() == name]
            assert to_hex(label.get_color()) == to_hex(line.get_color())


def edited(path: Path, **fields: Any) -> None:
    """Change fields of a run's configuration."""
    document = json.loads((path / "config.json").read_text())
    document["config"] |= fields
    (path / "config.json").write_text(json.dumps(document))


def labels(study: Path) -> list[str]:
    return sorted(one.label for one in series_of(results_of(study).done))


@pytest.mark.parametrize(
    ("fields", "mark"),
    [
        ({"epochs": 30}, "epochs 30"),
        ({"limit": 50}, "limit 50"),
        ({"val_fraction": 0.2}, "val-fraction 0.2"),
        ({"lr": 0.05}, "lr 0.05"),
        ({"devices": 2}, "processes 2"),
    ],
)
def test_what_decides_a_run_is_in_the_label(study: Path, fields: dict[str, Any], mark: str) -> None:
    for seed in (11, 12, 13):
        edited(study / "q4-8" / str(seed), **fields)
    (label,) = [label for label in labels(study) if label.endswith(mark)]
    assert label.startswith("q4, ")


def test_what_a_run_began_with_is_in_the_label(study: Path, trained: tuple[Path, str]) -> None:
    """Labels name the region of the roots, and a start from a trained network, where runs differ in them."""
    for seed in (11, 12, 13):
        init = json.loads((trained[0] / "init.json").read_text())
        (study / "q4-8" / str(seed) / "init.json").write_text(json.dumps(init | {"region": "high"}))
        shutil.copy(trained[0] / "last.pt", study / "q2-8" / str(seed) / "start.pt")
    found = labels(study)
    assert any(label.startswith("q4, region high") for label in found)
    assert "q2, start trained" in found
    # Long names stand below the picture.
    (computed,) = FIGURES["5"].compute(Request(study=study))
    for width in WIDTHS.values():
        figure = FIGURES["5"].draw(computed.data, width)[""]
        require_nothing_is_cut(figure)
        assert {text.get_text().replace("\n", " ") for text in figure.legends[0].get_texts()} == set(found)
    assert "q2, start fresh" in found


def test_networks_whose_titles_are_the_same_are_told_apart(study: Path) -> None:
    for seed, blocks in ((11, "L,L,L,L,C,C,C"), (12, "C,C,C,L,L,L,L")):
        path = study / "q4-8" / str(seed) / "config.json"
        document = json.loads(path.read_text())
        document["config"]["model"] |= {"name": blocks}
        path.write_text(json.dumps(document))
    assert {"L,L,L,L,C,C,C", "C,C,C,L,L,L,L"} < set(labels(study))


def test_one_seed_counts_once(study: Path) -> None:
    shutil.copytree(study / "q4-8" / "11", study / "z")
    edited(study / "z", track_spectrum=3)
    (computed,) = FIGURES["5"].compute(Request(study=study))
    assert all(point["seeds"] in ([11, 12], [11, 12, 13]) for one in computed.data["series"] for point in one["points"])
    assert computed.notes[-1] == f"Left out, as another run has the same configuration and seed: {study / 'z'}."


def test_a_dollar_in_a_name_is_no_mathematics(study: Path) -> None:
    for result in study.rglob("result.json"):
        result.write_text(result.read_text().replace("some digits", "$\\\\foo$ digits"))
    (computed,) = FIGURES["5"].compute(Request(study=study))
    figure = FIGURES["5"].draw(computed.data, 7)[""]
    figure.draw_without_rendering()
    assert sum("digits, after the last epoch" in text for text in texts(figure)) == 1


def test_what_else_differs_is_in_the_label(study: Path) -> None:
    for seed in (11, 12, 13):
        path = study / "q4-8" / str(seed) / "config.json"
        document = json.loads(path.read_text())
        document["config"] |= {"alpha_init": "xavier", "device": "cuda", "workers": 7}
        path.write_text(json.dumps(document))
    assert sorted(one.label for one in series_of(results_of(study).done)) == [
        "q2",
        "q4, alpha-init spectrum",
        "q4, alpha-init xavier",
    ]


def test_runs_on_different_data_do_not_compare(study: Path, tmp_path: Path) -> None:
    path = study / "q4-8" / "11" / "result.json"
    path.write_text(path.read_text().replace("some digits", "other digits"))
    message = fails("figures", "--only", 5, "--study", study, "--out", tmp_path / "f")
    assert "expected runs on one data set, got other digits and some digits" in message
    assert not list((tmp_path / "f").iterdir())
    assert "no directory" in fails("figures", "--only", 5, "--study", tmp_path / "none", "--out", tmp_path / "f")
    (tmp_path / "empty").mkdir()
    assert "holds no run" in fails("figures", "--only", 5, "--study", tmp_path / "empty", "--out", tmp_path / "f")
    for result in study.rglob("result.json"):
        result.unlink()
    assert "no run of" in fails("figures", "--only", 5, "--study", study, "--out", tmp_path / "f")


def test_points_that_would_cover_each_other_stand_side_by_side(study: Path) -> None:
    (computed,) = FIGURES["5"].compute(Request(study=study))
    points = {one["label"]: one["points"] for one in computed.data["series"]}
    for mine, other in zip(points["q2"], points["q4"], strict=True):
        other["accuracies"] = mine["accuracies"] + 0.001
        other["weights"] = mine["weights"] + 1
    for width in WIDTHS.values():
        figure = FIGURES["5"].draw(computed.data, width)[""]
        require_nothing_is_cut(figure)
        (axes,) = figure.axes
        drawn = {name: container[0].get_xdata() for name, container in zip(points, axes.containers, strict=True)}
        # The points are a marker's width apart, around their weights.
        for index in range(2):
            weights = points["q2"][index]["weights"]
            left, right = axes.transData.transform([(drawn[name][index], 85) for name in ("q2", "q4")])[:, 0]
            assert right - left > 4 / 72 * figure.dpi
            assert drawn["q2"][index] < weights < drawn["q4"][index]
            assert f"{weights:,} to {weights + 1:,}" in texts(figure)
        assert "where a grey area meets the axis" in axes.get_xlabel()
        # The areas narrow to the weights of their points.
        areas: Any = axes.patches
        for area, index in zip(areas, range(2), strict=True):
            at_axis = [x for x, y in area.get_xy() if y == 0]
            assert sorted(set(at_axis)) == [points[name][index]["weights"] for name in ("q2", "q4")]
