"""Accuracy against the weight of the relaxation."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import fails, run
from pictures import require_nothing_is_cut
from small_runs import result_document

from polyroots.plotting.style import WIDTHS
from polyroots_figures import FIGURES, Request

SEEDS = (11, 12, 13)
# Relaxation, the weights of its two levels, and the accuracy of the first seed.
CHOICES: tuple[tuple[str, tuple[float, float], float], ...] = (
    ("none", (1.0, 1.0), 0.5),
    ("0.25", (0.25, 0.25), 0.7),
    ("auto:1.5", (0.1, 0.4), 0.8),
)


@pytest.fixture
def study(tmp_path: Path, trained: tuple[Path, str]) -> Path:
    """Run directories that were not trained: a network with three relaxations, and with the authors' coefficients."""
    document = json.loads((trained[0] / "config.json").read_text())
    # As in runs of version 0.1.0: configurations with an identity can't be edited.
    del document["identity"]
    init = json.loads((trained[0] / "init.json").read_text())

    def write(name: str, accuracy: float, levels: list[dict[str, Any]], **fields: Any) -> None:
        for seed in SEEDS:
            directory = tmp_path / "study" / f"{name}-{seed}"
            directory.mkdir(parents=True)
            config = document["config"] | {"seed": seed, "signs": "paper"} | fields
            (directory / "config.json").write_text(json.dumps(document | {"config": config}))
            (directory / "init.json").write_text(json.dumps(init | {"levels": levels}))
            (directory / "result.json").write_text(json.dumps(result_document(accuracy + (seed - 12) / 100)))

    for relax, weights, accuracy in CHOICES:
        levels = [level | {"relaxation": w} for level, w in zip(init["levels"], weights, strict=True)]
        write(relax.replace(":", "-"), accuracy, levels, relax=relax)
    write("xavier", 0.6, init["levels"], alpha_init="xavier", relax="none")
    return tmp_path / "study"


def test_each_network_has_a_curve_and_drawn_coefficients_a_line(study: Path) -> None:
    (computed,) = FIGURES["relaxation"].compute(Request(study=study))
    curve, drawn = sorted(computed.data["series"], key=lambda series: series["is_drawn"])
    assert [point["relax"] for point in curve["points"]] == ["auto:1.5", "0.25", "none"]
    # The geometric mean of 0.1 and 0.4.
    assert [point["weight"] for point in curve["points"]] == pytest.approx([0.2, 0.25, 1.0])
    assert (curve["label"], drawn["label"]) == ("q4", "q4, alpha-init xavier")
    assert "q4, relax auto:1.5, w = 0.2: 80.00 +- 1.00 % (3 seeds)." in computed.words
    assert "q4, alpha-init xavier: 60.00 +- 1.00 % (3 seeds)." in computed.words
    for width in WIDTHS.values():
        figure = FIGURES["relaxation"].draw(computed.data, width)[""]
        require_nothing_is_cut(figure)
        (axes,) = figure.axes
        fixed, chosen = [line for line in axes.lines if line.get_marker() in ("o", "D")]
        np.testing.assert_allclose(np.asarray(fixed.get_xydata(), dtype=float), [[0.25, 70.0], [1.0, 50.0]])
        np.testing.assert_allclose(np.asarray(chosen.get_xydata(), dtype=float), [[0.2, 80.0]])
        (line,) = [line for line in axes.lines if line.get_linestyle() == ":"]
        assert np.asarray(line.get_ydata()).tolist() == pytest.approx([60, 60])
        assert line.get_color() == fixed.get_color()
        assert [label.get_text() for label in axes.get_xticklabels()] == ["1/8", "1/4", "1/2", "1"]
        assert {text.get_text() for text in figure.legends[0].get_texts()} == {curve["label"], drawn["label"]}
    curve["points"].append(curve["points"][-1] | {"relax": "3", "weight": 3.0})
    (axes,) = FIGURES["relaxation"].draw(computed.data, 3.4)[""].axes
    assert axes.get_xlim()[1] > 4
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1/8", "1/4", "1/2", "1", "2", "4"]


def test_networks_with_one_relaxation_are_left_out_beside_others(study: Path) -> None:
    """The drawn coefficients of the learning rate that has several relaxations stay."""
    for source, lr in (("auto-1.5", 0.05), ("xavier", 0.05)):
        for seed in SEEDS:
            copy = Path(shutil.copytree(study / f"{source}-{seed}", study / f"{source}-{seed}-{lr}"))
            document = json.loads((copy / "config.json").read_text())
            document["config"]["lr"] = lr
            (copy / "config.json").write_text(json.dumps(document))
    (computed,) = FIGURES["relaxation"].compute(Request(study=study))
    assert {series["label"] for series in computed.data["series"]} == {"q4", "q4, alpha-init xavier"}
    assert sorted(len(series["points"]) for series in computed.data["series"]) == [1, 3]
    assert computed.words[-1] == "Left out: 6 runs of networks with one relaxation, or of coefficients drawn for them."
    for relax in ("0.25", "none"):
        for seed in SEEDS:
            shutil.rmtree(study / f"{relax}-{seed}")
    # Where none has several, all are shown.
    (computed,) = FIGURES["relaxation"].compute(Request(study=study))
    assert len(computed.data["series"]) == 4
    assert not any(word.startswith("Left out") for word in computed.words)


def test_a_study_without_roots_is_said(study: Path, tmp_path: Path) -> None:
    for relax, _, _ in CHOICES:
        for seed in SEEDS:
            (study / f"{relax.replace(':', '-')}-{seed}" / "result.json").unlink()
    line = fails("figures", "--only", "relaxation", "--study", study, "--out", tmp_path / "figures")
    assert "holds no finished run whose roots come from a spectrum" in line


@pytest.mark.slow
def test_runs_with_one_relaxation_are_left_out_unless_asked_for(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The paper's figures would be drawn as well.
    of_studies = {name: kind for name, kind in FIGURES.items() if kind.needs == FIGURES["relaxation"].needs}
    assert set(of_studies) == {"5", "relaxation"}
    monkeypatch.setattr("polyroots_figures.FIGURES", of_studies)
    for relax in ("0.25", "auto-1.5"):
        for seed in SEEDS:
            (study / f"{relax}-{seed}" / "result.json").unlink()
    result = run("figures", "--study", study, "--out", tmp_path / "figures")
    assert f"Figure relaxation is left out: the finished runs of {study} have one relaxation." in result.stdout
    assert (tmp_path / "figures" / "figure5.pdf").exists()
