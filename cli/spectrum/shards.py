"""The layers of ``polyroots spectrum --cluster slurm``, divided among jobs."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

import polyroots
from polyroots.files import shards_beside
from polyroots.limits import are_lifted, without_limits
from polyroots.own_code import source_of
from polyroots_cli.cluster_options import cluster_option, job_options, refuse_options_of_slurm, resources_of
from polyroots_cli.options import usage_errors
from polyroots_cli.types import DIRECTORY, Whole

if TYPE_CHECKING:
    from polyroots.analysis import Analysis, LayerResult, Verification
    from polyroots.study import Resources
    from polyroots_cli.spectrum.findings import Given, SpectrumReport

F = TypeVar("F", bound=Callable[..., Any])

#: Options of SLURM's jobs.
SLURM = ("jobs_dir", "jobs", "cpus_per_job", "time", "partition", "sbatch")


@dataclass(frozen=True)
class Cluster:
    """The SLURM jobs among which layers are divided.

    Attributes
    ----------
    directory : of their logs and results, which all nodes share
    count : largest number of jobs; None for one for each layer
    resources : of each job
    """

    directory: Path
    count: int | None
    resources: Resources


@dataclass(frozen=True)
class Shard:
    """The call that analyses some of a checkpoint's layers in a job.

    Attributes
    ----------
    path : of the checkpoint
    given, globs, analysis, with_check : as the command has them
    names : of the layers
    is_trusted : whether the file is read without limits
    """

    path: Path
    given: Given
    globs: tuple[str, ...]
    analysis: Analysis
    with_check: bool
    names: tuple[str, ...]
    is_trusted: bool

    @property
    def key(self) -> str:
        """A text that differs where the results may: by version, settings, and the state of the files that are read."""
        files = sorted(self.path.iterdir()) if self.path.is_dir() else [self.path, *shards_beside(self.path)]
        arch = self.given.architecture
        source = source_of(arch.name.partition(":")[0]) if arch is not None and arch.is_own_code else None
        files += [source] if source is not None else []
        states = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
        settings = (self.given, self.globs, replace(self.analysis, workers=None), self.with_check, self.names)
        return hashlib.sha256(repr((polyroots.__version__, states, settings)).encode()).hexdigest()[:32]

    def __call__(self) -> dict[str, tuple[LayerResult, Verification | None]]:
        """Return the result of each layer, and its comparison with the explicit matrix."""
        with without_limits() if self.is_trusted else nullcontext():
            return self._results()

    def _results(self) -> dict[str, tuple[LayerResult, Verification | None]]:
        from polyroots.analysis import analyse, verify
        from polyroots_cli.spectrum.findings import read_layers_of

        cores = os.environ.get("SLURM_CPUS_PER_TASK")
        analysis = replace(self.analysis, workers=self.analysis.workers or (int(cores) if cores else None))
        found = read_layers_of(self.path, self.given, self.globs, analysis)
        results = {}
        for layer in found.layers:
            if layer.name in self.names:
                result = analyse(layer, analysis)
                check = verify(layer, analysis) if self.with_check else None
                # The function that reads the weight works in this process only, and isn't sent with the result.
                results[layer.name] = (replace(result, layer=replace(layer, read=_not_read)), check)
        return results


def _not_read() -> Any:
    raise NotImplementedError("the weight was read in a job")


def cluster_options(function: F) -> F:
    """Add the options of SLURM's jobs, which reach the command as ``slurm``: a Cluster, or None."""

    @cluster_option
    @click.option(
        "--jobs-dir",
        type=DIRECTORY,
        help="slurm: directory of the jobs' results, on a file system that all nodes share.",
    )
    @click.option(
        "--jobs",
        type=Whole(1),
        metavar="N",
        help="slurm: divide the layers among at most N jobs. [default: a job for each layer]",
    )
    @job_options("; it doesn't return to the queue")
    @functools.wraps(function)
    def call(
        *arguments: Any,
        cluster: str,
        jobs_dir: Path | None,
        jobs: int | None,
        cpus_per_job: int | None,
        time: str,
        partition: str | None,
        sbatch: tuple[str, ...],
        **options: Any,
    ) -> Any:
        refuse_options_of_slurm(cluster, SLURM)
        slurm = None
        if cluster == "slurm":
            if jobs_dir is None:
                raise click.UsageError("--cluster slurm needs --jobs-dir DIR, a directory that all nodes share")
            with usage_errors():
                resources = resources_of(cpus_per_job, time, partition, sbatch, gpus=0)
            slurm = Cluster(jobs_dir, jobs, resources)
        return function(*arguments, slurm=slurm, **options)

    return call  # type: ignore[return-value]


def compute_anywhere(
    findings: Sequence[SpectrumReport],
    analysis: Analysis,
    with_check: bool,
    given: Given,
    globs: tuple[str, ...],
    slurm: Cluster | None,
) -> None:
    """Analyse the layers here, or in SLURM's jobs; each result is stored when it is there."""
    from polyroots_cli.spectrum.findings import compute

    if slurm is None:
        compute(findings, analysis, with_check)
        return
    shards = {}
    for item, names in divided(findings, analysis, slurm.count):
        shard = Shard(item.path.resolve(), given, globs, analysis, with_check, names, are_lifted())
        shards[shard.key] = item, shard
    _wait(findings, shards, slurm)


def _wait(
    findings: Sequence[SpectrumReport], shards: Mapping[str, tuple[SpectrumReport, Shard]], slurm: Cluster
) -> None:
    """Wait for the jobs of the shards, with a progress bar."""
    from polyroots.study import results_on_slurm
    from polyroots.text import count_of
    from polyroots_cli.console import console, progress, say

    calls = {key: shard for key, (_, shard) in shards.items()}
    say(f"{count_of(len(shards), 'job')} in {slurm.directory}", screen=console(stderr=True))
    instead = "leave --cluster out"
    with progress() as bar:
        task = bar.add_task("layers", total=sum(len(item.layers) for item in findings))
        for key, results in results_on_slurm(slurm.directory, calls, slurm.resources, instead):
            item, _ = shards[key]
            own = {layer.name: layer for layer in item.layers}
            for name, (result, check) in results.items():
                item.results[name] = replace(result, layer=own[name])
                if check is not None:
                    item.checks[name] = check
                bar.advance(task)
    for item in findings:
        item.results = {layer.name: item.results[layer.name] for layer in item.layers}


def divided(
    findings: Sequence[SpectrumReport], analysis: Analysis, count: int | None
) -> list[tuple[SpectrumReport, tuple[str, ...]]]:
    """Divide the layers of checkpoints among at most `count` jobs for each checkpoint, of about the same work."""
    from polyroots.analysis import estimate

    shares = []
    for item in findings:
        seconds = {(work.shape, work.size): work.seconds / work.count for work in estimate(item.layers, analysis)}
        size = {layer.name: seconds[layer.shape, layer.conv.size] for layer in item.layers}
        jobs: list[list[str]] = [[] for _ in range(min(count or len(size), len(size)))]
        for name in sorted(size, key=lambda name: -size[name]):
            min(jobs, key=lambda job: (sum(size[other] for other in job), len(job))).append(name)
        shares += [(item, tuple(names)) for names in jobs]
    return shares
