"""Reports as ``print`` and notebooks show them: the same tables as those of the commands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from commands import run
from torch import nn

import polyroots as pr
from polyroots.tables import as_html, as_text, table


class Cells(HTMLParser):
    """The rows of the tables of a page, as lists of texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


def lines_of(text: str) -> list[list[str]]:
    """The columns of each line that is neither empty nor a rule."""
    return [re.split(r" {2,}", line.strip()) for line in text.splitlines() if line.strip(" -")]


@pytest.fixture(scope="module")
def report() -> pr.InitReport:
    torch.manual_seed(7)
    model = pr.models.build("q4", image_size=8, in_channels=1, channels=[4, 8])
    return pr.initialize(model, relax="none", signs="paper")


def test_a_report_prints_the_tables_of_the_command(report: pr.InitReport) -> None:
    """The drawn network of the command with this seed is the same."""
    result = run("init", "--dataset", "digits", "--channels", "4,8", "--seed", 7)
    printed, shown = lines_of(result.stdout), lines_of(str(report))
    numbers = [line for line in shown if line[0] in {"1", "2", "level"} or line[0] in {"L", "C"}]
    # Headings, spectra, blocks and diagnoses.
    assert len(numbers) == 3 + 2 + 6 + 2
    assert all(line in printed for line in numbers)
    radius = f"{report.levels[0].radius:#.4g}"
    assert any(radius in line for line in numbers)
    assert len(repr(report)) < 100


def test_a_report_is_a_table_in_a_notebook(report: pr.InitReport) -> None:
    rows = Cells(report._repr_html_()).rows
    assert rows[0] == ["level", "size", "channels", "radius", "min Re", "max Re", "max Im"]
    assert rows[1][:3] == ["1", "8x8", "4"]
    assert float(rows[1][3]) == pytest.approx(report.levels[0].radius, rel=5e-4)
    assert [row[1] for row in rows if row[1] in {"L", "C"}] == ["L", "L", "C"] * 2


def test_a_diagnosis_prints_its_numbers() -> None:
    """Damped Jacobi, omega = 4/5, on the 5-point Laplacian has the smoothing factor 3/5."""
    K = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]]).reshape(1, 1, 3, 3)
    found = pr.ResidualPolynomial([5]).diagnose(pr.eigenvalues(K, 8))
    heads, numbers, *sentences = lines_of(str(found))
    assert dict(zip(heads, numbers, strict=False))["smoothing"] == "0.6000"
    assert any("1 eigenvalue is zero" in " ".join(line) for line in sentences)
    assert Cells(found._repr_html_()).rows[1][:2] == ["1", "all"]
    assert repr(found) == "Diagnosis(1 root, max|q| 0.8828 on 63 eigenvalues)"


def test_the_spectra_of_a_model_are_a_mapping_of_names_to_layers() -> None:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1))
    found = pr.model_spectra(model, 8)
    assert isinstance(found, Mapping)
    assert list(found) == ["1.weight", "2.weight"]
    assert "0.weight" not in found
    assert dict(found.items())["2.weight"] is found["2.weight"]
    heads, *rows = lines_of(str(found))
    assert heads[0] == "convolution"
    for row, (name, layer) in zip(rows, found.items(), strict=False):
        assert row[:4] == [name, "8x8x3x3", "8x8", "512"]
        assert float(row[4]) == pytest.approx(np.abs(layer.spectrum.values).max(), rel=5e-4)
    assert str(found).endswith("0.weight: not square: 8 output channels from 3; it has singular values")
    assert repr(found) == "ModelSpectra(2 layers, 1 skipped)"


def test_text_and_html_have_the_same_cells() -> None:
    rows = table("name", "value")
    rows.add_row("a<b>&", "1")
    rows.add_row("c", "23")
    assert Cells(as_html("before <p>", rows)).rows == [["name", "value"], ["a<b>&", "1"], ["c", "23"]]
    assert lines_of(as_text(rows)) == [["name", "value"], ["a<b>&", "1"], ["c", "23"]]
