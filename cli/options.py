"""Types of options, and options that several commands share."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from polyroots.errors import InputError, PolyrootsError
from polyroots.text import quoted

F = TypeVar("F", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)
# Key of --wide among what a running command knows.
_WIDE = "polyroots.wide"


class ImageSize(click.ParamType):  # type: ignore[type-arg, unused-ignore] # generic in newer versions of click
    """H or HxW in pixels."""

    name = "H[xW]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Return (H, W)."""
        if isinstance(value, tuple):
            return value
        parts = str(value).lower().split("x")
        if len(parts) > 2 or not all(part.isascii() and part.isdigit() and 0 < int(part) < 2**20 for part in parts):
            self.fail(f"expected a size in pixels such as 32 or 28x32, got {quoted(value)}", param, ctx)
        return int(parts[0]), int(parts[-1])


class ByLayer(click.ParamType):  # type: ignore[type-arg, unused-ignore] # generic in newer versions of click
    """A whole number, or with `pairs` also one for each direction, for all layers or for those with such a name."""

    def __init__(self, *, pairs: bool) -> None:
        self.pairs = pairs
        self.name = "[GLOB=]N[xN]" if pairs else "[GLOB=]N"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int | tuple[int, int]]:
        """Return the pattern, ``"*"`` if there is none, and the value."""
        if isinstance(value, tuple):
            return value
        glob, _, text = str(value).rpartition("=")
        parts = text.lower().split("x")
        if len(parts) > 1 + self.pairs or not all(re.fullmatch("[1-9][0-9]{0,6}", part) for part in parts):
            example = "2 or layer4.0.conv2=2" if self.pairs else "32 or layer4.*.conv2=32"
            self.fail(f"expected a positive whole number such as {example}, got {quoted(value)}", param, ctx)
        numbers = [int(part) for part in parts]
        return glob or "*", numbers[0] if len(numbers) == 1 else (numbers[0], numbers[1])


class Root(click.ParamType):  # type: ignore[type-arg, unused-ignore] # generic in newer versions of click
    """A complex number."""

    name = "RE[+IMj]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> complex:
        """Return the root."""
        if isinstance(value, complex):
            return value
        try:
            root = complex(re.sub(r"i$", "j", str(value).replace(" ", "")))
        except ValueError:
            root = complex("nan")
        if not math.isfinite(abs(root)):
            self.fail(f"expected a real or complex number such as 0.3 or 0.1+0.2j, got {quoted(value)}", param, ctx)
        return root


class Sweeps(click.ParamType):  # type: ignore[type-arg, unused-ignore] # generic in newer versions of click
    """Numbers of smoothing steps before and after a coarse-grid correction."""

    name = "PRE,POST"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Return (PRE, POST)."""
        if isinstance(value, tuple):
            return value
        if not re.fullmatch("[0-9]{1,3},[0-9]{1,3}", str(value)):
            self.fail(f"expected two numbers of smoothing steps such as 1,1, got {value!r}", param, ctx)
        pre, post = str(value).split(",")
        return int(pre), int(post)


json_option: Callable[[F], F] = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document instead of tables."
)


wide_option: Callable[[F], F] = click.option(
    "--wide",
    is_flag=True,
    expose_value=False,
    callback=lambda ctx, _, value: ctx.meta.update({_WIDE: value}),
    help="Tables with all columns and whole names, also on a narrow terminal.",
)


def is_wide() -> bool:
    """Return whether the running command has --wide."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_WIDE))


def geometry_options(function: F) -> F:
    """Add --stride, --dilation and --groups of the layers of a state dict."""
    for name, what in (
        (
            "groups",
            "Groups of these layers; repeatable. [default: from their neighbours, else 1]",
        ),
        ("dilation", "Dilation of these layers; repeatable. [default: 1]"),
        (
            "stride",
            "Stride, which a state dict doesn't contain, of all layers or of those like GLOB; repeatable. [default: 1]",
        ),
    ):
        function = click.option(f"--{name}", type=ByLayer(pairs=name != "groups"), multiple=True, help=what)(function)
    return function


entry_option: Callable[[F], F] = click.option(
    "--entry", metavar="NAME", help="The network to read in a file of several, such as teacher."
)


def architecture_options(function: F) -> F:
    """Add --arch and --arch-option of the layers of a state dict."""
    function = click.option(
        "--arch-option", "arch_options", multiple=True, metavar="NAME=VALUE", help="Keyword argument of it; repeatable."
    )(function)
    return click.option(
        "--arch",
        metavar="NAME",
        help="Geometry from the architecture: torchvision:NAME, timm:NAME, or module.path:callable, whose code is run.",
    )(function)


dataset_option: Callable[[F], F] = click.option(
    "--dataset",
    default="digits",
    show_default=True,
    metavar="NAME",
    help="digits (embedded); folder (train/<class>/* and test/<class>/* under --data-dir); cifar10, cifar100, mnist or "
    "fashion-mnist.",
)
data_dir_option: Callable[[F], F] = click.option("--data-dir", type=PATH, help="Where the data set lies.")
region_option: Callable[[F], F] = click.option(
    "--region",
    type=click.Choice(["all", "high"]),
    default="all",
    show_default=True,
    help="Damp the whole spectrum, or the high frequencies only, as a multigrid smoother does.",
)
device_option: Callable[[F], F] = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    show_default=True,
    help="Where to compute; auto takes an accelerator where there is one.",
)


class SectionedCommand(click.Command):
    """A command whose help has its options under headings.

    Parameters
    ----------
    sections : heading -> names of parameters; those of no section come last, under "Options"
    """

    def __init__(self, *args: Any, sections: Mapping[str, Sequence[str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sections = sections

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options."""
        records = {param.name: param.get_help_record(ctx) for param in self.get_params(ctx)}
        named = {name for names in self.sections.values() for name in names}
        sections = {**self.sections, "Options": [name for name in records if name not in named]}
        for heading, names in sections.items():
            rows = [record for name in names if (record := records.get(name)) is not None]
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)


def seed_option(what: str) -> Callable[[F], F]:
    """Return the option --seed, in the range that every generator takes."""
    return click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=7, show_default=True, help=what)


#: Parameter of a command -> the library's name for it, where the two differ.
FIELDS = {
    "clip": "clip_norm",
    "extremes": "k",
    "gpus_per_job": "devices_per_job",
    "init_file": "start",
    "spectrum_padding": "padding",
    "sync_bn": "sync_batch_norm",
}


def with_options(error: PolyrootsError, command: click.Command | None) -> str:
    """Return the library's message, followed by the options of a command for the fields that the error names."""
    option_of = dict(_options_by_field(command))
    options = [option_of[field] for field in dict.fromkeys(error.fields) if field in option_of]
    return f"{error} ({', '.join(options)})" if options else str(error)


def _options_by_field(command: click.Command | None) -> Iterator[tuple[str, str]]:
    """Yield field and option for each parameter of a command, or of all commands of a group."""
    if isinstance(command, click.Group):
        for member in command.commands.values():
            yield from _options_by_field(member)
    elif command is not None:
        for parameter in command.params:
            yield FIELDS.get(str(parameter.name), str(parameter.name)), parameter.opts[0]


@contextmanager
def usage_errors() -> Iterator[None]:
    """Turn an InputError about the values of options into a usage error, exit status 2."""
    try:
        yield
    except InputError as error:
        raise click.UsageError(with_options(error, click.get_current_context().command)) from error


def was_given(name: str) -> bool:
    """Return whether the command line sets an option of the running command."""
    source = click.get_current_context().get_parameter_source(name)
    return source is not click.core.ParameterSource.DEFAULT


def is_first_process() -> bool:
    """Return whether this process has rank 0 among those that train together: the one that prints."""
    ranks = sys.modules.get("lightning_fabric.utilities.rank_zero")
    return ranks is None or not getattr(ranks.rank_zero_only, "rank", 0)
