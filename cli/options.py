"""Options that several commands share, and the options in messages of the library."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from polyroots.errors import InputError, PolyrootsError
from polyroots_cli.types import DIRECTORY, ByLayer, Whole
from polyroots_cli.values import DATASETS, layers, one_of

F = TypeVar("F", bound=Callable[..., Any])

# Key of --wide in the data of click's context.
_WIDE = "polyroots.wide"


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


def layer_option(name: str, what: str) -> Callable[[F], F]:
    """Return the option --layer as a parameter."""
    return click.option("--layer", name, multiple=True, metavar="GLOB", shell_complete=layers, help=what)


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
    shell_complete=one_of(DATASETS),
    help="digits (embedded); folder (train/<class>/* and test/<class>/* under --data-dir); cifar10, cifar100, mnist or "
    "fashion-mnist.",
)
data_dir_option: Callable[[F], F] = click.option("--data-dir", type=DIRECTORY, help="Where the data set lies.")
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


def seed_option(what: str) -> Callable[[F], F]:
    """Return the option --seed, in the range that every generator takes."""
    return click.option("--seed", type=Whole(0, 2**32 - 1), default=7, show_default=True, help=what)


#: Parameter of a command -> the library's name for it, where the two differ.
FIELDS = {
    "a_init": "A_init",
    "clip": "clip_norm",
    "extremes": "k",
    "gpus_per_job": "devices_per_job",
    "init_file": "start",
    "spectrum_padding": "padding",
    "steps_per_a": "steps_per_A",
    "sync_bn": "sync_batch_norm",
}


def with_options(error: PolyrootsError, command: click.Command | None) -> str:
    """Return the library's message with the options of a command for the fields that the error names.

    An option stands in the place of its field where the message has the field as it is written in Python, such as
    ``download=True`` and ``data_dir``, in quotation marks, or in "leave ... out". Other options follow the message.
    """
    option_of = dict(_options_by_field(command))
    # A message may advise to use another command: "train with track_spectrum".
    root = click.get_current_context().find_root().command
    elsewhere = {field: option for field, option in _options_by_field(root) if "_" in field}
    message, following = str(error), []
    for field in dict.fromkeys([*error.fields, *(field for field in option_of if "_" in field)]):
        option = option_of.get(field) or elsewhere.get(field)
        if option is None:
            continue
        written = _in_place(message, field, option, is_named=field in error.fields)
        if written == message and field in error.fields and field in option_of:
            following.append(option)
        message = written
    return f"{message} ({', '.join(following)})" if following else message


def _in_place(message: str, field: str, option: str, *, is_named: bool) -> str:
    """Return a message with an option in the places of its field; only long names stand for fields by themselves.

    >>> _in_place("choose devices=1; leave data_dir out, in /a/data_dir", "data_dir", "--data-dir", is_named=False)
    'choose devices=1; leave --data-dir out, in /a/data_dir'
    >>> _in_place("choose devices=1, or fewer devices", "devices", "--devices", is_named=True)
    'choose --devices 1, or fewer devices'
    >>> _in_place("download it: run with download=True", "download", "--download", is_named=True)
    'download it: run with --download'
    >>> _in_place("leave relax and signs out", "signs", "--signs", is_named=True)
    'leave relax and --signs out'
    """
    name = rf"(?<![\w./-]){re.escape(field)}(?!\w|[./-]\w)"
    if is_named:
        message = re.sub(rf"{name}=True\b|'{re.escape(field)}'", option, message)
        message = re.sub(rf"{name}=['\"]?(\w+)['\"]?", rf"{option} \1", message)
        message = re.sub(
            r"(?<=\bleave )\w+(?: and \w+)*(?= out\b)", lambda found: re.sub(name, option, found[0]), message
        )
    return re.sub(name, option, message) if "_" in field else message


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


def refuse_given(names: Iterable[str], reason: str) -> None:
    """Raise a usage error for the first of some parameters of the running command that the command line sets."""
    options = {parameter.name: parameter.opts[0] for parameter in click.get_current_context().command.params}
    for name in names:
        if was_given(name):
            raise click.UsageError(f"{reason}; leave {options[name]} out")


def is_first_process() -> bool:
    """Return whether this process has rank 0 among those that train together: the one that prints."""
    ranks = sys.modules.get("lightning_fabric.utilities.rank_zero")
    if ranks is not None:
        return not getattr(ranks.rank_zero_only, "rank", 0)
    # Fabric, which takes its rank from these, is not imported yet.
    given = [os.environ[name] for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID") if name in os.environ]
    return not given or given[0] == "0"
