"""The packages of the extras, which only some commands need."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands import fails

import polyroots as pr

# In one process without any extra: small networks through all commands but `study run --cluster` and `report`.
COMMANDS = """
import sys

for name in ("jinja2", "plotly", "submitit", "tensorboard"):
    sys.modules[name] = None

from importlib import import_module

import click

from polyroots_cli.main import main
from polyroots_figures import operators

operators.CHANNELS, operators.SIZE = 4, (8, 8)
import_module("polyroots.plotting.style").DPI = 20
for command in (
    "init --model q2 --channels 4,8 --out init.pt",
    "train --init init.pt --epochs 2 --limit 20 --track-spectrum 1 --device cpu --out run",
    "spectrum run/last.pt --plot spectra",
    "figures --only 3 --out figures",
    "figures --only flow --only spectra --run run --out figures",
    "study plan study.toml",
    "report run",
):
    try:
        main(command.split(), standalone_mode=False)
    except click.ClickException as error:
        sys.exit(f"{command}: {error.message}")
"""


@pytest.mark.slow
def test_commands_work_without_extras(tmp_path: Path) -> None:
    """Only the last command, the report, needs an extra, and its message has the pip command."""
    (tmp_path / "study.toml").write_text('title = "one"\n\n[base]\nmodel = "q2"\nepochs = 1\nscale = 0.25\n')
    result = subprocess.run(
        [sys.executable, "-c", COMMANDS],
        cwd=tmp_path,
        env=os.environ | {"MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == (
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
