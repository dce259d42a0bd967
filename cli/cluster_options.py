"""The options of commands that submit jobs to a SLURM cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from polyroots_cli.options import was_given
from polyroots_cli.types import Whole

if TYPE_CHECKING:
    from polyroots.study import Resources

F = TypeVar("F", bound=Callable[..., Any])


def cluster_option(function: F) -> F:
    """Add --cluster."""
    return click.option(
        "--cluster",
        type=click.Choice(["local", "slurm"]),
        default="local",
        show_default=True,
        help="Work on this machine, or submit jobs to SLURM.",
    )(function)


def job_options(of_time: str) -> Callable[[F], F]:
    """Return the decorator that adds the options of a SLURM job; `of_time` follows in the help of its time limit."""

    def add(function: F) -> F:
        for option in reversed(
            (
                click.option("--cpus-per-job", type=Whole(1), help="slurm: cores of a job. [default: the cluster's]"),
                click.option(
                    "--time",
                    metavar="H:M:S",
                    default="4:00:00",
                    show_default=True,
                    help=f"slurm: time limit of a job{of_time}.",
                ),
                click.option(
                    "--partition", metavar="NAME", help="slurm: partition of the jobs. [default: the cluster's]"
                ),
                click.option(
                    "--sbatch",
                    multiple=True,
                    metavar="KEY[=VALUE]",
                    help="slurm: another option of sbatch, as account=mine.",
                ),
            )
        ):
            function = option(function)
        return function

    return add


def resources_of(cpus: int | None, time: str, partition: str | None, sbatch: Iterable[str], **others: Any) -> Resources:
    """Return the resources that the options of a job request.

    Raises
    ------
    InputError
        If a value has another form.
    """
    from polyroots.study import Resources, minutes_of
    from polyroots_cli.study.options import pairs

    limit, more = minutes_of(time), {name: value or True for name, value in pairs(list(sbatch), "--sbatch", "").items()}
    return Resources(cpus=cpus, minutes=limit, partition=partition, sbatch=more, **others)


def refuse_options_of_slurm(cluster: str, names: Iterable[str]) -> None:
    """Raise click.UsageError if an option of SLURM's jobs is given without --cluster slurm."""
    for name in names:
        if cluster == "local" and was_given(name):
            raise click.UsageError(f"--{name.replace('_', '-')} is for --cluster slurm; leave it out")
