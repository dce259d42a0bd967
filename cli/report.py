"""``polyroots report``."""

from __future__ import annotations

from pathlib import Path

import click

from .options import PATH


@click.command(short_help="A run as one HTML page.")
@click.argument("run", type=PATH)
@click.option("-o", "--out", type=PATH, metavar="FILE", help="The page. [default: report.html in the run's directory]")
def report(run: Path, out: Path | None) -> None:
    """Write a RUN as one HTML page that needs no network.

    It has the configuration and results, training curves, and for each convolution A the spectrum with the roots and
    the surface of |q| to turn, before and after training, with tables of roots, coefficients and diagnoses, and how
    they moved if the run was trained with --track-spectrum.

    \b
    Examples:
      polyroots report runs/first
      polyroots report runs/first -o first.html
    """
    from polyroots.report import write_report

    from .console import progress, say

    with progress() as bar:
        bar.add_task("spectra and plots", total=None)
        path = write_report(run, out)
    say(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB)")
