"""``polyroots figures``."""

from __future__ import annotations

from pathlib import Path

import click

from .options import PATH, seed_option, usage_errors, was_given


@click.command(short_help="Draw the paper's figures.")
@click.option("--only", multiple=True, metavar="NAME", help="3 or flow; may be given again. [default: all there are]")
@click.option("--out", type=PATH, required=True, help="Directory for the pictures (PNG and PDF).")
@click.option("--checkpoint", type=PATH, help="Figure 3: take A from this network. [default: a freshly drawn one]")
@click.option("--run", type=PATH, help="flow: this run, which was trained with --track-spectrum.")
@click.option("--level", type=int, help="Figure 3: the checkpoint's level, from 1. [default: 1]")
@seed_option("Of the freshly drawn A.")
def figures(
    only: tuple[str, ...], out: Path, checkpoint: Path | None, run: Path | None, level: int | None, seed: int
) -> None:
    """Draw figures of the paper, and of a run, from computed data.

    3: the surface of |q_4| over the spectrum of a convolution A, with four roots chosen from that spectrum: the
    smallest and the largest real part, and the conjugate pair with the largest imaginary part. A is freshly drawn, 64 x
    64 x 3 x 3 on 32 x 32 pixels, or as trained, from a level of --checkpoint.

    flow: how the spectrum, the roots and |q| of each level moved while the network of --run trained.

    \b
    Examples:
      polyroots figures --only 3 --out figures
      polyroots figures --only 3 --checkpoint runs/first/last.pt --level 2 --out figures
      polyroots figures --only flow --run runs/first --out figures
    """
    from polyroots.checkpoint import load_checkpoint
    from polyroots.errors import unknown_name
    from polyroots.files import make_directory
    from polyroots.training import load_run
    from polyroots_figures import FIGURES, OF_A_RUN, Request

    from .console import say

    with usage_errors():
        for name in only:
            if name not in FIGURES:
                raise unknown_name("figure", name, FIGURES)
            if name in OF_A_RUN and run is None:
                raise click.UsageError(f"Figure {name} is of a run; add --run RUN.")
    if level is not None and checkpoint is None:
        raise click.UsageError("--level is a level of the network in --checkpoint; give both or neither.")
    if checkpoint is not None and was_given("seed"):
        raise click.UsageError("--seed draws a fresh A, --checkpoint brings one; leave one of them out.")
    loaded = load_checkpoint(checkpoint) if checkpoint else None
    level = 1 if level is None else level
    if loaded is not None:
        with usage_errors():
            loaded.config.level_index(level)
    request = Request(out, loaded, level, seed, load_run(run) if run else None)
    make_directory(out)
    for name in only or (name for name in FIGURES if run or name not in OF_A_RUN):
        drawn = FIGURES[name](request)
        for path in drawn.paths:
            say(f"wrote {path}")
        say(*drawn.words)
