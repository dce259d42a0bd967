"""The command group."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import click

from polyroots.errors import PolyrootsError, is_out_of_memory
from polyroots.escaping import shown
from polyroots.limits import without_limits
from polyroots_cli.completion import completion
from polyroots_cli.evaluate import evaluate
from polyroots_cli.figures import figures
from polyroots_cli.init import init
from polyroots_cli.models import models
from polyroots_cli.options import is_first_process, with_options
from polyroots_cli.report import report
from polyroots_cli.spectrum.command import spectrum
from polyroots_cli.study import study
from polyroots_cli.train import train


class _Group(click.Group):
    """Commands in the order of the work, and the library's errors as messages."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        try:
            return super().make_context(*args, **extra)
        except click.ClickException as error:
            _escape(error)
            raise

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except PolyrootsError as error:
            if not is_first_process():
                raise SystemExit(1) from error
            command = self.get_command(ctx, ctx.invoked_subcommand or "")
            raise click.ClickException(with_options(error, command)) from error
        except click.ClickException as error:
            _escape(error)
            raise
        except (MemoryError, SystemError, OSError, ImportError, RuntimeError) as error:
            if not is_out_of_memory(error):
                if isinstance(error, OSError) and (reason := _refused_by_the_system(error)):
                    raise click.ClickException(reason) from error
                raise
            why = "" if isinstance(error, SystemError) else str(error)
            raise click.ClickException(f"not enough memory: {why or 'the work is too large'}") from error


def _refused_by_the_system(error: OSError) -> str:
    """Return a sentence for a path that can't be looked up and for too many files or processes; else nothing."""
    reason = error.strerror or str(error)
    if error.filename is not None:
        return f"cannot use {shown(os.fsdecode(error.filename), 200)}: {reason}"
    if error.errno in (errno.EMFILE, errno.ENFILE, errno.EAGAIN):
        return f"{reason}: ask for fewer workers, or raise the limit (ulimit -n, ulimit -u)"
    return ""


def _escape(error: click.ClickException) -> None:
    """Write what a terminal can't show in the values of options by its numbers."""
    vars(error)["message"] = shown(error.message or "")


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="polyroots", message="%(prog)s %(version)s")
@click.option("--no-limits", is_flag=True, help="Read files of any size: only such that you trust.")
@click.pass_context
def main(ctx: click.Context, no_limits: bool) -> None:
    """Spectra of convolutions, roots of residual polynomials, and the networks they initialise.

    \b
    Examples:
      polyroots train                    train a Poly-MgNet on handwritten digits
      polyroots spectrum runs/first      eigenvalues of its convolutions
      polyroots init --degree 3 --roots extremal --out init.pt
      polyroots train --init init.pt
    """
    try:
        Path.cwd()
    except FileNotFoundError as error:  # it would end the import of torch, without a reason
        raise click.ClickException("the current directory was removed; change to another one") from error
    if no_limits:
        ctx.with_resource(without_limits())


for command in (train, evaluate, spectrum, init, models, figures, report, study, completion):
    main.add_command(command)
