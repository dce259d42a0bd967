"""The options of ``polyroots spectrum``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from polyroots.files import are_same
from polyroots_cli.help import GroupedCommand
from polyroots_cli.options import (
    architecture_options,
    entry_option,
    geometry_options,
    json_option,
    layer_option,
    refuse_given,
    usage_errors,
    wide_option,
)
from polyroots_cli.spectrum.outputs import Outputs
from polyroots_cli.spectrum.shards import SLURM, cluster_options, compute_anywhere
from polyroots_cli.types import DIRECTORY, FILE, OUTPUT, ImageSize, Whole

if TYPE_CHECKING:
    from polyroots.checkpoints import Rules
    from polyroots_cli.spectrum.shards import Cluster

_GEOMETRY = ("stride", "dilation", "groups")


@click.command(
    short_help="Eigenvalues and singular values of a checkpoint's convolutions.",
    cls=GroupedCommand,
    sections={
        "Layers": ("only_list", "globs", "size", "entry", "arch", "arch_options", "image_size", *_GEOMETRY),
        "Analysis": ("padding", "kind", "effective", "k", "sample", "precision", "with_check", "workers"),
        "Output": ("plot_dir", "npz", "csv_file", "as_json", "wide"),
        "Cluster": ("cluster", *SLURM),
    },
    rare=("entry", "arch_options", "image_size", *_GEOMETRY, "precision", "workers", "cluster", *SLURM),
)
@click.argument("checkpoint", type=FILE)
@click.argument("other", type=FILE, required=False)
@click.option("--list", "only_list", is_flag=True, help="List the convolutions and compute nothing.")
@layer_option("globs", "Only layers with such a name; repeatable.")
@click.option(
    "--size", type=ImageSize(), help="Size of the layers' input in pixels. [default: the network's; 32 if unknown]"
)
@entry_option
@architecture_options
@click.option("--image-size", type=ImageSize(), help="Images of the architecture. [default: 224]")
@geometry_options
@click.option(
    "--padding",
    type=click.Choice(["circular", "zeros"]),
    default="circular",
    show_default=True,
    help="Boundary: circular through the symbol, zeros through the operator itself.",
)
@click.option(
    "--kind",
    type=click.Choice(["eigenvalues", "singular", "both"]),
    default="eigenvalues",
    show_default=True,
    help="Singular values exist for every convolution, eigenvalues for square ones with stride 1.",
)
@click.option(
    "--precision",
    type=click.Choice(["double", "single"]),
    default="double",
    show_default=True,
    help="Of all eigenvalues with circular padding; the error of single is measured at some frequencies.",
)
@click.option("--extremes", "k", type=Whole(1), metavar="K", help="K eigenvalues at each end instead of all.")
@click.option(
    "--sample",
    type=Whole(1),
    metavar="N",
    help="Eigenvalues at N random pairs of frequencies, with quantiles at 95 % confidence.",
)
@click.option(
    "--effective",
    type=click.Choice(["linear", "relu"]),
    help="Also what each level of a trained network applies, with the scaling of its batch norms, and with ReLU as the "
    "identity or as its mean slope on test images.",
)
@click.option("--verify", "with_check", is_flag=True, help="Compare with the explicit matrix on a small grid.")
@click.option("--save", "npz", type=OUTPUT, help="Write the values, frequencies and kernels to this .npz file.")
@click.option("--csv", "csv_file", type=OUTPUT, help="Write one line a value to this CSV file.")
@click.option(
    "--plot", "plot_dir", type=DIRECTORY, help="Draw each layer and an overview to this directory (PNG and PDF)."
)
@json_option
@wide_option
@click.option("--workers", type=Whole(1), help="Threads. [default: one for each core]")
@cluster_options
def spectrum(  # noqa: PLR0913 - click passes each option by its name
    checkpoint: Path,
    other: Path | None,
    only_list: bool,
    globs: tuple[str, ...],
    size: tuple[int, int] | None,
    entry: str | None,
    arch: str | None,
    arch_options: tuple[str, ...],
    image_size: tuple[int, int] | None,
    stride: Rules,
    dilation: Rules,
    groups: Rules,
    padding: str,
    kind: str,
    precision: str,
    k: int | None,
    sample: int | None,
    effective: str | None,
    with_check: bool,
    npz: Path | None,
    csv_file: Path | None,
    plot_dir: Path | None,
    as_json: bool,
    workers: int | None,
    slurm: Cluster | None,
) -> None:
    """Compute the spectra of the convolutions in CHECKPOINT.

    With circular padding, through the symbol: for an image of H x W pixels and c channels, H W matrices of c x c. With
    zero padding, from the operator itself: all eigenvalues of small ones, the extremes of large ones. CHECKPOINT is a
    file of polyroots, which contains the image sizes, or any state dict in a file of torch.save or safetensors. A state
    dict doesn't contain size, stride, dilation and groups: they are assumed, and marked, unless --arch names the
    architecture or they are given by hand.
    With a second checkpoint, OTHER, both are shown, with the distances by which the eigenvalues moved.

    \b
    Examples:
      polyroots spectrum runs/first/last.pt --plot spectra
      polyroots spectrum resnet50.safetensors --list
      polyroots spectrum resnet50.pt --layer 'layer3.[1-5].conv2' --size 14
      polyroots spectrum resnext50.pt --arch torchvision:resnext50_32x4d
      polyroots spectrum resnext50.pt --size 28 --kind both \\
          --stride layer3.0.conv2=2 --groups '*.conv2=32'
      polyroots spectrum runs/first/best.pt runs/first/last.pt
      polyroots spectrum runs/first --effective linear
    """
    # Mistakes that are known without torch, whose import takes seconds.
    if only_list:
        computing = ("k", "sample", "precision", "effective", "with_check", "workers", "cluster")
        refuse_given((*computing, "npz", "csv_file", "plot_dir"), "--list computes nothing")
    paths = _different(checkpoint, other)
    outputs = Outputs(npz, csv_file, plot_dir)
    outputs.check_names(paths)

    from polyroots.analysis import Analysis
    from polyroots.checkpoints import Geometry
    from polyroots_cli.console import print_json, say
    from polyroots_cli.spectrum.architecture import architecture_of
    from polyroots_cli.spectrum.documents import document, list_document
    from polyroots_cli.spectrum.findings import (
        Given,
        apply_levels,
        interrupted,
        read_layers_of,
        require_good,
        require_layers,
        require_names,
        require_rules,
    )
    from polyroots_cli.spectrum.tables import print_findings, print_list

    with usage_errors():
        analysis = Analysis(padding, kind, k, workers, precision, sample)
        geometry = Geometry(stride, dilation, groups)
        architecture = architecture_of(arch, arch_options, image_size, geometry, size)
    given = Given(size, geometry, architecture, entry)
    findings = [read_layers_of(path, given, globs, analysis) for path in paths]
    require_names(findings, globs)
    require_rules(findings, geometry)
    if only_list:
        if as_json:
            print_json(list_document(findings))
        else:
            print_list(findings)
        return
    for item in findings:
        item.leave_out_broken()
    require_layers(findings)
    outputs.make_directories()

    try:
        apply_levels(findings, analysis, effective)
        compute_anywhere(findings, analysis, with_check, given, globs, slurm)
    except KeyboardInterrupt:
        if any(item.results for item in findings) and not as_json:
            print_findings(findings, analysis)
        raise click.ClickException(interrupted(findings, slurm is not None)) from None

    # Printed before files are written: if the disk is full, the numbers are not lost.
    if as_json:
        print_json(document(findings, analysis))
    else:
        print_findings(findings, analysis)
    for line in outputs.write(findings, workers):
        if not as_json:
            say(line)
    require_good(findings)


def _different(checkpoint: Path, other: Path | None) -> list[Path]:
    """Return the checkpoints, or raise click.UsageError if both are the same."""
    if other is None:
        return [checkpoint]
    if are_same(other, checkpoint):
        raise click.UsageError(f"{checkpoint} is given twice; give two checkpoints to compare")
    return [checkpoint, other]
