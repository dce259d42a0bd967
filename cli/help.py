"""The page of --help: options in groups by their purpose, the rare ones with --help-all only."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import click

# Key of --help-all in the data of click's context.
_ALL = "polyroots.help-all"


class GroupedCommand(click.Command):
    """A command whose help has its options in groups.

    Parameters
    ----------
    sections : heading -> names of parameters; those of no section come last, under "Options"
    rare : names of parameters that --help leaves out and --help-all shows
    """

    def __init__(
        self, *args: Any, sections: Mapping[str, Sequence[str]], rare: Collection[str] = (), **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.sections, self.rare = sections, rare

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the parameters, with --help-all before --help if some are rare."""
        *others, last = super().get_params(ctx)
        if not self.rare:
            return [*others, last]
        words = f"Show all options, {len(self.rare)} more."
        page = click.Option(
            ["--help-all"], is_flag=True, is_eager=True, expose_value=False, callback=_show_all, help=words
        )
        return [*others, page, last]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options."""
        left_out = () if ctx.meta.get(_ALL) else self.rare
        records = {
            param.name: param.get_help_record(ctx)
            for param in self.get_params(ctx)
            if isinstance(param, click.Option) and param.name not in left_out
        }
        named = {name for names in self.sections.values() for name in names}
        sections = {**self.sections, "Options": [name for name in records if name not in named]}
        for heading, names in sections.items():
            rows = [record for name in names if (record := records.get(name)) is not None]
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)


def _show_all(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    """Print the page with all options, and end."""
    if value and not ctx.resilient_parsing:
        ctx.meta[_ALL] = True
        click.echo(ctx.get_help(), color=ctx.color)
        ctx.exit()
