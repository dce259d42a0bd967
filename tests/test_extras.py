"""The packages of the extras, which only some commands need."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from commands import fails
from forked import start, status_of
from victims import commands_without_extras

import polyroots as pr


@pytest.mark.slow
@pytest.mark.xdist_group("forked")
def test_commands_work_without_extras(tmp_path: Path) -> None:
    """Only the last command, the report, needs an extra, and its message has the pip command."""
    (tmp_path / "study.toml").write_text('title = "one"\n\n[base]\nmodel = "q2"\nepochs = 1\nscale = 0.25\n')
    said = tmp_path / "said"
    assert status_of(start(commands_without_extras, tmp_path, said), 600) == 0
    assert said.read_text() == (
        "report run: a report needs jinja2 and plotly, which are not installed: 'pip install jinja2 plotly'"
    )
    assert {"init.pt", "run", "spectra", "figures"} <= {path.name for path in tmp_path.iterdir()}
    assert {"figure3.pdf", "flow-level1.pdf", "spectra.pdf"} <= {path.name for path in (tmp_path / "figures").iterdir()}
    assert not (tmp_path / "run" / "report.html").exists()


def test_a_package_that_is_missing_is_said(
    trained: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "plotly", None)
    message = "a report needs plotly, which is not installed: 'pip install plotly'"
    with pytest.raises(pr.InputError, match=message):
        pr.write_report(trained[0], tmp_path / "report.html")
    assert fails("report", trained[0], "-o", tmp_path / "report.html") == f"Error: {message}"
    assert not (tmp_path / "report.html").exists()
