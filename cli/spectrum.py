"""``polyroots spectrum``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import PATH, ImageSize, is_named, json_option, usage_errors

if TYPE_CHECKING:
    from polyroots.analysis import Analysis, Layer, LayerResult

    from .spectrum_findings import SpectrumReport


@click.command(short_help="Eigenvalues and singular values of a checkpoint's convolutions.")
@click.argument("checkpoint", type=PATH)
@click.argument("other", type=PATH, required=False)
@click.option("--list", "only_list", is_flag=True, help="List the convolutions and compute nothing.")
@click.option("--layer", "globs", multiple=True, metavar="GLOB", help="Only layers with such a name; repeatable.")
@click.option("--size", type=ImageSize(), help="Image size in pixels. [default: the network's own; 32 if unknown]")
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
@click.option("--extremes", type=click.IntRange(min=1), metavar="K", help="K eigenvalues at each end instead of all.")
@click.option("--verify", "with_check", is_flag=True, help="Compare with the explicit matrix on a small grid.")
@click.option("--save", "npz", type=PATH, help="Write the values, frequencies and kernels to this .npz file.")
@click.option("--csv", "csv_file", type=PATH, help="Write one line a value to this CSV file.")
@click.option("--plot", "plot_dir", type=PATH, help="Draw each layer and an overview to this directory (PNG and PDF).")
@json_option
@click.option("--workers", type=click.IntRange(min=1), help="Threads. [default: one for each core]")
def spectrum(
    checkpoint: Path,
    other: Path | None,
    only_list: bool,
    globs: tuple[str, ...],
    size: tuple[int, int] | None,
    padding: str,
    kind: str,
    extremes: int | None,
    with_check: bool,
    npz: Path | None,
    csv_file: Path | None,
    plot_dir: Path | None,
    as_json: bool,
    workers: int | None,
) -> None:
    """Compute the spectra of the convolutions in CHECKPOINT.

    With circular padding, through the symbol: for an image of H x W pixels and c channels, H W matrices of c x c. With
    zero padding, from the operator itself: all eigenvalues of small ones, the extremes of large ones. CHECKPOINT is a
    file of polyroots, which knows its image sizes, or anybody's state dict, written by torch.save or safetensors. With
    a second checkpoint, OTHER, both are shown and how far the eigenvalues moved.

    \b
    Examples:
      polyroots spectrum runs/first/last.pt --plot spectra
      polyroots spectrum resnet50.safetensors --list
      polyroots spectrum resnet50.pt --layer 'layer3.*.conv2' --size 14 --kind both --verify
      polyroots spectrum runs/first/best.pt runs/first/last.pt
    """
    from polyroots.analysis import Analysis
    from polyroots.files import make_directory

    from .console import print_json, say
    from .spectrum_findings import document, list_document, require_layers, require_names
    from .spectrum_tables import print_findings, print_list

    with usage_errors():
        analysis = Analysis(padding, kind, extremes, workers)
        if npz is not None and npz.suffix != ".npz":
            raise click.UsageError(f"--save writes an .npz file, got {npz}; give a name that ends in .npz")
    paths = [checkpoint] if other is None else [checkpoint, other]
    for file in (npz, csv_file):
        if file is not None and any(file.resolve() == path.resolve() for path in paths):
            raise click.UsageError(f"{file} is the checkpoint itself, and would be overwritten; choose another file")
    if other is not None and other.resolve() == checkpoint.resolve():
        raise click.UsageError(f"{checkpoint} is given twice; give two checkpoints to compare")
    findings = [_find(path, size, globs, analysis) for path in paths]
    require_names(findings, globs)
    if only_list:
        if as_json:
            print_json(list_document(findings))
        else:
            print_list(findings)
        return
    for found in findings:
        found.leave_out_broken()
    require_layers(findings)
    # Before hours of work: can its results be written?
    for directory in (plot_dir, *(file.parent for file in (npz, csv_file) if file is not None)):
        if directory is not None:
            make_directory(directory)

    try:
        _compute(findings, analysis, with_check)
    except KeyboardInterrupt:
        done = sum(len(found.results) for found in findings)
        if done and not as_json:
            print_findings(findings, analysis)
        total = sum(len(found.layers) for found in findings)
        raise click.ClickException(f"interrupted: {done} of {total} layers done, no file was written") from None

    # Printed first: a disk that is full by now costs the files, not the numbers.
    if as_json:
        print_json(document(findings, analysis))
    else:
        print_findings(findings, analysis)
    title = checkpoint.name if other is None else f"{checkpoint.name} and {other.name}"
    for line in _write(_by_name(findings), npz, csv_file, plot_dir, title, workers):
        if not as_json:
            say(line)
    failed = [check for found in findings for check in found.checks.values() if not check.is_good]
    if failed:
        raise click.ClickException(
            f"{len(failed)} of the layers differ from the explicit matrix by more than rounding explains; "
            "don't use their numbers, and report it"
        )


def _find(path: Path, size: tuple[int, int] | None, globs: tuple[str, ...], analysis: Analysis) -> SpectrumReport:
    """Read a checkpoint's list of convolutions and sort out what can't be analysed."""
    from polyroots.checkpoints import read_layers

    from .spectrum_findings import SpectrumReport

    found = read_layers(path, size)
    names = [*(layer.name for layer in found.layers), *found.skipped]

    def is_chosen(name: str) -> bool:
        return not globs or any(is_named(name, glob) for glob in globs)

    skipped = {name: reason for name, reason in found.skipped.items() if is_chosen(name)}
    layers: list[Layer] = []
    for layer in found.layers:
        if is_chosen(layer.name):
            reason = analysis.why_not(layer)
            if reason:
                skipped[layer.name] = reason
            else:
                layers.append(layer)
    unmatched = [glob for glob in globs if not any(is_named(name, glob) for name in names)]
    return SpectrumReport(path, found, layers, skipped, unmatched, size_given=size is not None)


def _compute(findings: list[SpectrumReport], analysis: Analysis, with_check: bool) -> None:
    """Analyse layer after layer."""
    from polyroots.analysis import analyse, verify

    from .console import progress

    with progress() as bar:
        layers = bar.add_task("layers", total=sum(len(found.layers) for found in findings))
        for found in findings:
            for layer in found.layers:
                current = bar.add_task(layer.name, total=None)

                def advance(done: int, total: int, task: Any = current) -> None:
                    bar.update(task, completed=done, total=total)

                found.results[layer.name] = analyse(layer, analysis, advance)
                if with_check:
                    found.checks[layer.name] = verify(layer, analysis)
                bar.remove_task(current)
                bar.advance(layers)


def _by_name(findings: list[SpectrumReport]) -> dict[str, LayerResult]:
    """Layer -> result; of two checkpoints file:layer, with the whole path where both files have one name."""
    has_names = len({found.path.name for found in findings}) == len(findings)
    return {
        name if len(findings) == 1 else f"{found.path.name if has_names else found.path}:{name}": result
        for found in findings
        for name, result in found.results.items()
    }


def _write(
    results: dict[str, LayerResult],
    npz: Path | None,
    csv_file: Path | None,
    plot_dir: Path | None,
    title: str,
    workers: int | None,
) -> Iterator[str]:
    """Write the files that were asked for, and yield a line about each."""
    from polyroots.analysis import save_results, write_csv

    from .spectrum_pictures import draw_all

    if npz is not None:
        save_results(npz, results)
        yield f"Values in {npz}"
    if csv_file is not None:
        write_csv(csv_file, results)
        yield f"Values in {csv_file}"
    if plot_dir is not None:
        draw_all(results, plot_dir, title, workers)
        yield f"Pictures in {plot_dir}"
