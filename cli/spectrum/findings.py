"""The layers of checkpoints that ``polyroots spectrum`` analyses, and their results."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polyroots.errors import InputError
from polyroots.spectra import require_finite
from polyroots.text import count_of, listed, quoted

if TYPE_CHECKING:
    from polyroots.analysis import Analysis, Layer, LayerResult, Verification
    from polyroots.checkpoints import Architecture, Geometry, LayerSet
    from polyroots_cli.spectrum.effective import AppliedLevel


# Seconds of work from which on an estimate is printed.
_LONG = 10.0


@dataclass
class SpectrumReport:
    """The chosen layers of a checkpoint, and their results.

    Attributes
    ----------
    path : of the checkpoint
    found : its convolutions
    layers : those that are analysed
    skipped : reasons by name, of the chosen ones that can't be analysed
    unmatched : patterns that no name matches
    size_given : whether the image size was given, rather than taken from the checkpoint
    results : name -> result, of the layers that are done
    checks : name -> comparison with the explicit matrix, where it was asked for
    levels : what each level applies, where it was asked for
    """

    path: Path
    found: LayerSet
    layers: list[Layer]
    skipped: dict[str, str]
    unmatched: list[str]
    size_given: bool
    results: dict[str, LayerResult] = field(default_factory=dict)
    checks: dict[str, Verification] = field(default_factory=dict)
    levels: list[AppliedLevel] = field(default_factory=list)

    def leave_out_broken(self) -> None:
        """Skip layers whose weights are not finite, with the reason."""
        for layer in list(self.layers):
            try:
                require_finite(layer.read(), layer.name)
            except InputError as error:
                self.layers.remove(layer)
                self.skipped[layer.name] = str(error).removeprefix(f"{layer.name}: ")


@dataclass(frozen=True)
class Given:
    """The geometry of layers that the options give.

    Attributes
    ----------
    size : (H, W) or None
    geometry : strides, dilations and groups by hand
    architecture : the network that gives all of it, or None
    entry : name of the state dict in a file of several, or None
    """

    size: tuple[int, int] | None
    geometry: Geometry
    architecture: Architecture | None
    entry: str | None = None


def read_layers_of(path: Path, given: Given, globs: Sequence[str], analysis: Analysis) -> SpectrumReport:
    """Read the list of a checkpoint's convolutions and choose those that can be analysed."""
    from polyroots.checkpoints import read_layers

    found = read_layers(path, given.size, geometry=given.geometry, architecture=given.architecture, entry=given.entry)
    layers, skipped = found.choose(globs, analysis.why_not)
    return SpectrumReport(path, found, layers, skipped, found.unmatched(globs), size_given=given.size is not None)


def require_names(findings: Sequence[SpectrumReport], globs: Sequence[str]) -> None:
    """Raise InputError if no name in the checkpoints matches a pattern."""
    if not any(item.layers or item.skipped for item in findings):
        item = findings[0]
        patterns = listed(globs, 3, characters=80, separator=" or ")
        raise InputError(
            f"{item.path} has no convolution named like {patterns}; its names are such as "
            f"{listed(item.found.names, 3)} (--list shows all)"
        )


def require_rules(findings: Sequence[SpectrumReport], geometry: Geometry) -> None:
    """Raise InputError if a layer whose stride, dilation or groups are given is in none of the checkpoints."""
    from polyroots.checkpoints import require_rules

    require_rules(geometry, [item.found for item in findings])


def require_layers(findings: Sequence[SpectrumReport]) -> None:
    """Raise InputError, with every reason, if no checkpoint has a layer to analyse."""
    if not any(item.layers for item in findings):
        item = findings[0]
        reasons = listed(
            (f"{name} ({reason})" for name, reason in item.skipped.items()), characters=160, separator="; "
        )
        singular = any(reason.endswith("it has singular values") for reason in item.skipped.values())
        also = ["--kind singular computes singular values."] if singular else []
        raise InputError(" ".join([f"{item.path} holds nothing to analyse: {reasons}.", *also, *hints(item)]))


def hints(item: SpectrumReport) -> list[str]:
    """Return the options that answer the reasons for which layers are skipped."""
    found = []
    requested = [name for name in item.skipped if name in item.found.on_request]
    if requested:
        found.append(f"A tensor is taken for a kernel if its exact name is given: --layer {shlex.quote(requested[0])}")
    for name, reason in item.skipped.items():
        groups = re.search(r"perhaps (?:grouped|depthwise) \((\d+)\)", reason)
        if groups:
            rule = f"{name.removesuffix('.weight')}={groups[1]}"
            found.append(f"Groups that a state dict doesn't contain are given by hand: --groups {shlex.quote(rule)}")
            break
    return found


def origin_of_layers(found: LayerSet) -> list[str]:
    """Return sentences on the part of a file that was read, and on its differences from the architecture."""
    lines = [f"Read from the entry {quoted(found.entry)} of the file."] if found.entry else []
    if found.others:
        lines.append(f"Not read: further weights in {listed(found.others)}; --entry NAME reads them")
    return [*lines, f"{found.remark}."] if found.remark else lines


def notes_of(layers: Iterable[tuple[str, str]]) -> list[str]:
    """Return a line for each assumption or doubt about layers, with their names.

    Parameters
    ----------
    layers : iterable of (name, note)
    """
    notes: dict[str, list[str]] = {}
    for name, note in layers:
        for part in filter(None, note.split("; ")):
            notes.setdefault(part, []).append(name)
    return [f"{note[0].upper()}{note[1:]}: {listed(names)}" for note, names in notes.items()]


def require_good(findings: Sequence[SpectrumReport]) -> None:
    """Raise click.ClickException if a layer differs from its explicit matrix."""
    failed = [check for item in findings for check in item.checks.values() if not check.is_good]
    if failed:
        raise click.ClickException(
            f"{len(failed)} of the layers differ from the explicit matrix by more than rounding explains; "
            "don't use their numbers, and report it"
        )


def apply_levels(findings: Sequence[SpectrumReport], analysis: Analysis, effective: str | None) -> None:
    """Compute the operators that the levels apply, with a treatment of ReLU; none without one."""
    from polyroots_cli.spectrum.effective import applied_levels

    if effective is not None:
        for item in findings:
            item.levels = applied_levels(item.path, effective, analysis.padding, analysis.workers)


def compute(findings: Sequence[SpectrumReport], analysis: Analysis, with_check: bool) -> None:
    """Analyse the layers one after the other, with a progress bar; each result is stored when it is computed."""
    from polyroots.analysis import analyse, verify
    from polyroots_cli.console import progress

    _announce([layer for item in findings for layer in item.layers], analysis)
    with progress() as bar:
        layers = bar.add_task("layers", total=sum(len(item.layers) for item in findings))
        for item in findings:
            for layer in item.layers:
                current = bar.add_task(layer.name, total=None)

                def advance(done: int, total: int, task: Any = current) -> None:
                    bar.update(task, completed=done, total=total)

                item.results[layer.name] = analyse(layer, analysis, advance)
                if with_check:
                    item.checks[layer.name] = verify(layer, analysis)
                bar.remove_task(current)
                bar.advance(layers)


def interrupted(findings: Sequence[SpectrumReport], has_jobs: bool) -> str:
    """Return the message of a computation that the user has stopped."""
    done = sum(len(item.results) for item in findings)
    total = sum(len(item.layers) for item in findings)
    rest = "; the jobs go on, and the same command takes their results" if has_jobs else ""
    return f"interrupted: {done} of {total} layers done, no file was written{rest}"


def _announce(layers: Sequence[Layer], analysis: Analysis) -> None:
    """Say on stderr how long the work takes about, and which shapes take more than ten seconds of it."""
    from polyroots.analysis import estimate
    from polyroots.tables import dimensions
    from polyroots_cli.console import console, say

    work = estimate(layers, analysis)
    total = sum(part.seconds for part in work)
    if total <= _LONG:
        return
    fewer = "--extremes K or --sample N computes fewer eigenvalues, --layer takes fewer layers"
    lines = [f"About {_duration(total)} of work ({fewer})."]
    for part in work:
        if part.seconds > _LONG:
            what = count_of(part.count, "layer")
            size = dimensions(part.size)
            lines.append(f"  {what} of shape {dimensions(part.shape)} at {size}: about {_duration(part.seconds)}")
    say(*lines, screen=console(stderr=True))


def _duration(seconds: float) -> str:
    """Return a time in seconds, minutes or hours.

    >>> _duration(12.3), _duration(200), _duration(10_000)
    ('12 s', '3.3 min', '2.8 h')
    """
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.1f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )


def results_by_name(findings: Sequence[SpectrumReport]) -> dict[str, LayerResult]:
    """Layer -> result; of two checkpoints file:layer, with the whole path where both files have one name."""
    has_names = len({item.path.name for item in findings}) == len(findings)
    return {
        name if len(findings) == 1 else f"{item.path.name if has_names else item.path}:{name}": result
        for item in findings
        for name, result in item.results.items()
    }
