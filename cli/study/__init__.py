"""``polyroots study``."""

from __future__ import annotations

import click

from polyroots_cli.study.plan import plan
from polyroots_cli.study.run import run
from polyroots_cli.study.table import table


@click.group(short_help="Run a grid of networks, and make its tables.")
def study() -> None:
    """Run a grid of networks, from a file that describes it, and make its tables.

    \b
    Examples:
      polyroots study plan studies/quick.toml
      polyroots study run studies/quick.toml --out quick
      polyroots study table quick --columns alpha-init
      polyroots figures --only 5 --study quick --out figures
    """


study.add_command(plan)
study.add_command(run)
study.add_command(table)
