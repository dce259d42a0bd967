"""``polyroots report``."""

from __future__ import annotations

from pathlib import Path

import click

from polyroots_cli.types import DIRECTORY, OUTPUT


@click.command(short_help="A run as one HTML page.")
@click.argument("run", type=DIRECTORY)
@click.option("-o", "--out", type=OUTPUT, help="The page. [default: report.html in the run's directory]")
def report(run: Path, out: Path | None) -> None:
    """Write a RUN as one HTML page that needs no network.

    The page has the configuration, the results, the training curves and, for each convolution A before and after
    training, its spectrum with the roots, the surface of |q| to turn, tables of roots, coefficients and diagnoses, and
    what the level applies with its batch norms.
    For a run with --track-spectrum it also has the spectra over the epochs.

    It needs plotly and jinja2: pip install plotly jinja2

    \b
    Examples:
      polyroots report runs/first
      polyroots report runs/first -o first.html
    """
    from polyroots.report import write_report
    from polyroots_cli.console import progress, say

    with progress() as bar:
        bar.add_task("spectra and plots", total=None)
        path = write_report(run, out)
    say(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB)")
