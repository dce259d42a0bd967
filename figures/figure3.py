"""Figure 3: the surface of |q_4| over the spectrum of one convolution, with the roots that make it."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch

from polyroots.checkpoint import Checkpoint
from polyroots.models import Level, MgNet, SmoothingLevel
from polyroots.plotting import draw_surface, save_figure
from polyroots.polynomial import ResidualPolynomial
from polyroots.roots import select_roots
from polyroots.spectrum import eigenvalues
from polyroots_figures.drawn import Drawn

#: The paper's operator: a freshly drawn A of 64 x 64 x 3 x 3 at its level's 32 x 32 pixels.
CHANNELS, SIZE = 64, (32, 32)


def draw(out: Path, checkpoint: Checkpoint | None = None, level: int = 1, seed: int = 7) -> Drawn:
    """Draw Figure 3 to out/figure3.png and .pdf, of a checkpoint to out/figure3-levelL.png and .pdf.

    Parameters
    ----------
    out : directory
    checkpoint : Checkpoint, optional
        Take A from a level of this network rather than a fresh one.
    level : int
        Of the checkpoint, from 1.
    seed : int
        Of the fresh A.

    Notes
    -----
    The roots are chosen anew from the spectrum: smallest and largest real part, and the conjugate pair with the largest
    imaginary part.
    """
    if checkpoint is None:
        torch.manual_seed(seed)
        weight, size = Level(CHANNELS, "L").operators[0].weight, SIZE
        source, stem = "a freshly drawn $A$", "figure3"
    else:
        index = checkpoint.config.level_index(level)
        network = checkpoint.model()
        assert isinstance(network, MgNet)
        # Where the steps have several A, the one that the level begins with.
        weight = cast("SmoothingLevel", network.levels[index]).operators[0].weight
        size = checkpoint.config.sizes[index]
        source, stem = f"$A$ of level {level} of a {checkpoint.config.title}", f"figure3-level{level}"
    Lambda = eigenvalues(weight, size, name=f"level {level}")
    q = ResidualPolynomial(select_roots(Lambda, degree=3, strategy="extremal"))
    shape = " x ".join(str(n) for n in weight.shape)
    title = (
        f"$|q_4(\\Lambda)|$ over the spectrum of {source}\n"
        f"{shape}, {size[0]} x {size[1]} pixels; four roots chosen from this spectrum"
    )
    paths = save_figure(draw_surface(Lambda.values, q, title), out / stem)
    return Drawn(paths, q.diagnose(Lambda).sentences())
