"""``polyroots spectrum``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import PATH, ImageSize, json_option

if TYPE_CHECKING:
    from polyroots.checkpoint import KernelSet
    from polyroots.spectrum import Spectrum


@click.command(short_help="Eigenvalues of a checkpoint's convolutions.")
@click.argument("checkpoint", type=PATH)
@click.option("--size", type=ImageSize(), help="Image size in pixels. [default: the network's own; 32 if unknown]")
@click.option("--plot", "plot_dir", type=PATH, help="Draw each spectrum to this directory (PNG and PDF).")
@json_option
def spectrum(checkpoint: Path, size: tuple[int, int] | None, plot_dir: Path | None, as_json: bool) -> None:
    """Compute the eigenvalues of every square convolution in CHECKPOINT.

    The boundary is circular, so the eigenvalues come from the symbol: for an image of H x W pixels and c channels, H W
    matrices of c x c. CHECKPOINT is a file of polyroots, which knows its image sizes, or any file that torch.save wrote
    with a state dict in it.

    \b
    Examples:
      polyroots spectrum runs/first/last.pt --plot spectra
      polyroots spectrum resnet50.pt --size 56 --json
    """
    from polyroots.checkpoint import read_kernels
    from polyroots.errors import InputError
    from polyroots.files import make_directory
    from polyroots.operators import require_finite
    from polyroots.spectrum import eigenvalues

    from .console import print_json, progress

    found = read_kernels(checkpoint, size)
    if not found.kernels:
        reasons = "; ".join(f"{name} ({reason})" for name, reason in found.skipped.items())
        raise InputError(f"{checkpoint} holds no square convolution with stride 1: {reasons}")
    for conv, weight in found.kernels:
        require_finite(weight, conv.name)
    if plot_dir is not None:
        make_directory(plot_dir)

    spectra: list[tuple[str, Spectrum]] = []
    with progress() as bar:
        task = bar.add_task("eigenvalues", total=len(found.kernels))
        for conv, weight in found.kernels:
            bar.update(task, description=conv.name)
            Lambda = eigenvalues(weight, conv.size, dilation=conv.dilation, groups=conv.groups, name=conv.name)
            spectra.append((conv.name, Lambda))
            if plot_dir is not None:
                _plot(plot_dir / _file_stem(conv.name, len(spectra)), conv.name, Lambda)
            bar.advance(task)

    if as_json:
        print_json(_document(checkpoint, found, spectra, size is not None))
    else:
        _print(found, spectra, plot_dir, size is not None)


def _file_stem(name: str, number: int) -> str:
    """Return a file name for a layer: its own where that can be one, else with its number to keep it apart."""
    plain = re.sub(r"[^\w.-]", "_", name)[:120]
    return plain if name and plain == name and not name.startswith(".") else f"{number}-{plain}"


def _plot(stem: Path, name: str, Lambda: Spectrum) -> None:
    from polyroots.plotting import draw_spectrum, save_figure

    from .console import dimensions

    # A dollar sign would begin mathematics.
    title = f"{name}, {dimensions(Lambda.weight.shape)} at {dimensions(Lambda.size)}".replace("$", r"\$")
    save_figure(draw_spectrum(Lambda.values, title), stem)


def _document(
    checkpoint: Path, found: KernelSet, spectra: list[tuple[str, Spectrum]], size_given: bool
) -> dict[str, Any]:
    return {
        "checkpoint": str(checkpoint),
        "padding": "circular",
        "network_padding": found.padding,
        "size_assumed": found.assumed and not size_given,
        "geometry_assumed": found.assumed,
        "layers": [
            {
                "name": name,
                "shape": list(Lambda.weight.shape),
                "size": list(Lambda.size),
                "eigenvalues": len(Lambda),
                "radius": Lambda.radius,
                "min_real": Lambda.min_real,
                "max_real": Lambda.max_real,
                "max_imag": Lambda.max_imag,
            }
            for name, Lambda in spectra
        ],
        "skipped": [{"name": name, "reason": reason} for name, reason in found.skipped.items()],
    }


def _print(found: KernelSet, spectra: list[tuple[str, Spectrum]], plot_dir: Path | None, size_given: bool) -> None:
    from .console import dimensions, number, say, table

    result = table("convolution", "shape", "size", "eigenvalues", "radius", "min Re", "max Re", "max Im")
    for name, Lambda in spectra:
        result.add_row(
            name,
            dimensions(Lambda.weight.shape),
            dimensions(Lambda.size),
            f"{len(Lambda):,}",
            number(Lambda.radius),
            *(number(value, Lambda.radius) for value in (Lambda.min_real, Lambda.max_real, Lambda.max_imag)),
        )
    say(result)
    remark = {
        "zeros": "; the network itself pads with zeros, where the spectrum can differ",
        "circular": ", as in the network",
        None: "",
    }
    say(f"All eigenvalues, circular padding{remark[found.padding]}.")
    if found.assumed:
        size = "" if size_given else "size 32x32 (give --size), "
        say(
            f"This checkpoint doesn't say how its layers are used: {size}stride 1, dilation 1 and groups 1 are assumed."
        )
    if found.skipped:
        say(f"Skipped {len(found.skipped)}:")
        for name, reason in found.skipped.items():
            say(f"  {name}: {reason}")
    if plot_dir is not None:
        say(f"Pictures in {plot_dir}")
