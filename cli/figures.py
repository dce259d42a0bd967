"""``polyroots figures``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polyroots_cli.help import GroupedCommand
from polyroots_cli.options import seed_option, usage_errors, was_given
from polyroots_cli.types import DIRECTORY, FILE, Letters, Number, Whole
from polyroots_cli.values import FIGURES, STRATEGIES, one_of

if TYPE_CHECKING:
    from polyroots_figures import Request, WrittenFigure

_NEEDS = {
    "run": "a run: add --run RUN",
    "network": "a network: add --run RUN or --checkpoint FILE",
    "study": "a study: add --study DIR",
}


@click.command(
    short_help="Draw the paper's figures, and those of a run.",
    cls=GroupedCommand,
    sections={
        "Input": ("run", "checkpoint", "level", "study", "strategy", "degree", "seed"),
        "Output": ("only", "out", "redraw", "numbers"),
        "Print": ("width", "height", "font", "no_title"),
    },
)
@click.option(
    "--only",
    multiple=True,
    metavar="NAME",
    shell_complete=one_of(FIGURES),
    help="A figure; may be given again. [default: all with inputs]",
)
@click.option("--out", type=DIRECTORY, required=True, help="Directory for the pictures (PNG, PDF, SVG) and their data.")
@click.option("--checkpoint", type=FILE, help="3, 4, spectra, strategies: take A from this network.")
@click.option(
    "--run",
    type=DIRECTORY,
    help="flow, spectra: this run. 3, 4, strategies: its last network, if there is no --checkpoint.",
)
@click.option("--level", type=Whole(), help="3, 4, strategies: the network's level, from 1. [default: 1]")
@click.option("--study", type=DIRECTORY, help="5, relaxation: directory with the runs, also below.")
@click.option("--degree", type=Whole(0), default=3, show_default=True, help="3, strategies, smoothing.")
@click.option(
    "--roots",
    "strategy",
    metavar="NAME",
    shell_complete=one_of(("own", *STRATEGIES[:-1])),
    help="3: own, the network's roots, or the strategy that chooses others. [default: own; extremal without a network]",
)
@click.option(
    "--width",
    type=click.Choice(["one", "two"]),
    default="two",
    show_default=True,
    help="Columns of a paper: 3.4 or 7 inches.",
)
@click.option("--height", type=Number(0.5, 20), help="Of the pictures, in inches. [default: a height for each]")
@click.option("--font", type=Letters(), help="Letters: serif, sans-serif, or an installed font; points such as :8.")
@click.option("--no-title", is_flag=True, help="Leave titles to captions; names of panels stay.")
@click.option("--redraw", is_flag=True, help="Draw again from the data in --out, without computing anything.")
@seed_option("Of random numbers: A, a right-hand side.")
@click.option("--numbers", is_flag=True, help="Print what the figures show, such as max|q|, as well.")
def figures(  # noqa: PLR0913 - click passes each option by its name
    only: tuple[str, ...],
    out: Path,
    checkpoint: Path | None,
    run: Path | None,
    level: int | None,
    study: Path | None,
    degree: int,
    strategy: str | None,
    width: str,
    height: float | None,
    font: tuple[str, float | None] | None,
    no_title: bool,
    redraw: bool,
    seed: int,
    numbers: bool,
) -> None:
    """Draw figures from computed data, which is stored as .npz beside each picture.

    \b
    1           weight sharing in a ResNet, two MgNets and a Poly-MgNet
    2           features, data and residual of a level, restriction, prolongation
    3           |q| over the spectrum of A with its roots: surface, and flat
    4           choices of two roots over a real spectrum
    5           accuracy against weights, of the runs in --study
    relaxation  accuracy against the relaxation, of the runs in --study
    spectra     spectra of all levels, of a --run before and after training
    flow        spectra, roots and |q| over the epochs, with --track-spectrum
    strategies  all root strategies on one spectrum
    smoothing   residual norms of all strategies on the 2-D Poisson equation

    A is freshly drawn, 64 x 64 x 3 x 3 on 32 x 32 pixels, or as trained, from a level of --run or --checkpoint.

    \b
    Examples:
      polyroots figures --out figures
      polyroots figures --only 3 --run runs/first --level 2 --out figures
      polyroots figures --only flow --only spectra --run runs/first --out figures
      polyroots figures --redraw --width one --out figures
    """
    name, points = font or (None, None)
    settings = {"height": height, "font": name, "points": points, "has_title": not no_title}
    if redraw:
        if numbers:
            raise click.UsageError("--numbers are printed when figures are computed; leave it or --redraw out.")
        _redraw(only, out, width, settings)
        return
    chosen = _chosen(only, {"run": run, "network": run or checkpoint, "study": study, "": True})
    _require_used_options(chosen)
    if (checkpoint or run) and was_given("seed") and set(chosen) <= {"3", "4"}:
        raise click.UsageError("--seed draws a fresh A, --checkpoint and --run bring one; leave one of them out.")
    request = _request(checkpoint, run, study, level=level, degree=degree, strategy=strategy, seed=seed)
    _require_used_degree(chosen, request)
    with _printing(settings):
        _draw(chosen, request, out, width, leave_out=not only, numbers=numbers)


@contextmanager
def _printing(settings: Mapping[str, Any]) -> Iterator[None]:
    """Draw with the letters and the height of the options."""
    from polyroots.plotting import printing

    with ExitStack() as stack:
        with usage_errors():
            stack.enter_context(printing(**settings))
        yield


def _redraw(only: tuple[str, ...], out: Path, width: str, settings: Mapping[str, Any]) -> None:
    """Draw the pictures in a directory again from their data."""
    from polyroots_figures import redraw

    _require_names(only)
    for _, option in _given_options():
        raise click.UsageError(f"--redraw draws stored data again; leave {option} out, which determines new data.")
    with _printing(settings):
        for written in redraw(out, only, width):
            _say(written, numbers=False)


def _require_names(names: tuple[str, ...]) -> None:
    """Raise a usage error if there is no figure of some name."""
    from polyroots.errors import unknown_name
    from polyroots_figures import FIGURES

    with usage_errors():
        for name in names:
            if name not in FIGURES:
                raise unknown_name("figure", name, FIGURES)


def _chosen(only: tuple[str, ...], inputs: Mapping[str, object]) -> tuple[str, ...]:
    """Return the figures that were asked for, or all for which there are inputs."""
    from polyroots_figures import FIGURES

    _require_names(only)
    for name in only:
        if not inputs[FIGURES[name].needs]:
            raise click.UsageError(f"Figure {name} is of {_NEEDS[FIGURES[name].needs]}.")
    return tuple(dict.fromkeys(only)) or tuple(name for name, kind in FIGURES.items() if inputs[kind.needs])


def _require_used_options(chosen: tuple[str, ...]) -> None:
    """Raise a usage error for an option on which no chosen figure depends."""
    from polyroots_figures import FIGURES

    for field, option in _given_options():
        if not any(field in FIGURES[name].uses for name in chosen):
            which = f"figure {chosen[0]} doesn't" if len(chosen) == 1 else f"figures {' and '.join(chosen)} don't"
            raise click.UsageError(f"{which} depend on {option}; leave it out.")


def _require_used_degree(chosen: tuple[str, ...], request: Request) -> None:
    """Raise a usage error for --degree if only a figure with the network's own roots depends on it."""
    from polyroots_figures import FIGURES

    network = request.network
    is_polynomial = network is not None and (network.config.is_polynomial or network.config.is_own)
    has_own = is_polynomial and request.strategy in (None, "own")
    if was_given("degree") and has_own and not any("degree" in FIGURES[name].uses for name in {*chosen} - {"3"}):
        raise click.UsageError(
            "figure 3 shows the network's own roots, which have its degree; choose others by --roots NAME, or leave "
            "--degree out."
        )


def _draw(chosen: tuple[str, ...], request: Request, out: Path, width: str, *, leave_out: bool, numbers: bool) -> None:
    """Draw figures; one that fails doesn't stop the others."""
    from polyroots.errors import InputError
    from polyroots.files import make_directory
    from polyroots_cli.console import say
    from polyroots_figures import impossible, make

    make_directory(out)
    failed = []
    for name in chosen:
        reason = impossible(name, request) if leave_out else ""
        if reason:
            say(f"Figure {name} is left out: {reason}.")
            continue
        try:
            for written in make(name, request, out, width):
                _say(written, numbers=numbers)
        except InputError as error:
            if len(chosen) == 1:
                raise
            say(f"Figure {name} is left out: {error}.")
            failed.append(name)
    if failed:
        names = f"figure {failed[0]}" if len(failed) == 1 else f"figures {', '.join(failed)}"
        raise click.ClickException(f"{names} could not be drawn, for the reasons above")


def _request(
    checkpoint: Path | None,
    run: Path | None,
    study: Path | None,
    *,
    level: int | None,
    degree: int,
    strategy: str | None,
    seed: int,
) -> Request:
    """Open the inputs, and check the options that depend on them."""
    from polyroots.checkpoints import load_checkpoint
    from polyroots.roots import require_strategy
    from polyroots.training import load_run
    from polyroots_figures import Request, require_level

    if level is not None and not (checkpoint or run):
        raise click.UsageError("--level is a level of a network; add --checkpoint FILE or --run RUN.")
    if strategy == "given":
        raise click.UsageError(
            "roots by hand are drawn by 'polyroots init --root ... --plot DIR'; choose another strategy."
        )
    if strategy == "own":
        if not (checkpoint or run):
            raise click.UsageError("--roots own are those of a network; add --run RUN or --checkpoint FILE.")
    elif strategy is not None:
        with usage_errors():
            require_strategy(strategy)
    request = Request(
        checkpoint=load_checkpoint(checkpoint) if checkpoint else None,
        run=load_run(run) if run else None,
        study=study,
        level=1 if level is None else level,
        seed=seed,
        degree=degree,
        strategy=strategy,
    )
    if level is not None and request.network is not None:
        with usage_errors():
            require_level(request)
    return request


def _given_options() -> Iterator[tuple[str, str]]:
    """Yield (field of the request, option) for each given option that determines the data of figures."""
    for name in ("checkpoint", "run", "level", "study", "degree", "strategy", "seed"):
        if was_given(name):
            yield name, "--roots" if name == "strategy" else f"--{name}"


def _say(written: WrittenFigure, *, numbers: bool) -> None:
    """Print the files of a figure in a line, what it lacks, and its numbers where they are asked for."""
    from polyroots_cli.console import say

    stems = list(dict.fromkeys(path.with_suffix("") for path in written.paths))
    kinds = dict.fromkeys(path.suffix for path in written.paths)
    say(f"wrote {stems[0]}{''.join(f', {stem.name}' for stem in stems[1:])} ({', '.join(kinds)})")
    say(*written.notes, *(written.words if numbers else ()))
