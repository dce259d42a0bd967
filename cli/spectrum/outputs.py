"""The files that ``polyroots spectrum`` writes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from polyroots.files import are_same, checkpoint_in, make_directory, shards_beside

if TYPE_CHECKING:
    from polyroots_cli.spectrum.findings import SpectrumReport


@dataclass(frozen=True)
class Outputs:
    """The files of values and the directory of pictures; None for those that aren't written."""

    npz: Path | None
    csv: Path | None
    pictures: Path | None

    def check_names(self, checkpoints: Sequence[Path]) -> None:
        """Raise click.UsageError if a name has another suffix than its format, or another file has it."""
        if self.npz is not None and self.npz.suffix != ".npz":
            raise click.UsageError(f"--save writes an .npz file, got {self.npz}; give a name that ends in .npz")
        read = [checkpoint_in(path) for path in checkpoints]
        read += [shard for path in read for shard in shards_beside(path)]
        for file in (self.npz, self.csv):
            if file is not None and any(are_same(file, path) for path in read):
                raise click.UsageError(
                    f"{file} is the checkpoint itself, and would be overwritten; choose another file"
                )
        if self.npz is not None and self.csv is not None and are_same(self.npz, self.csv):
            raise click.UsageError(f"--save and --csv both write {self.csv}; give one of them another name")

    def make_directories(self) -> None:
        """Make the directories before the computation, or raise FileError."""
        for directory in (self.pictures, *(file.parent for file in (self.npz, self.csv) if file is not None)):
            if directory is not None:
                make_directory(directory)

    def write(self, findings: Sequence[SpectrumReport], workers: int | None) -> Iterator[str]:
        """Write the files, and yield a line with the path of each."""
        from polyroots.analysis import save_results, write_csv
        from polyroots_cli.spectrum.findings import results_by_name

        results = results_by_name(findings)
        if self.npz is not None:
            save_results(self.npz, results)
            yield f"Values in {self.npz}"
        if self.csv is not None:
            write_csv(self.csv, results)
            yield f"Values in {self.csv}"
        if self.pictures is not None:
            from polyroots_cli.spectrum.pictures import draw_all

            title = " and ".join(item.path.name for item in findings)
            draw_all(results, self.pictures, title, workers)
            yield f"Pictures in {self.pictures}"
