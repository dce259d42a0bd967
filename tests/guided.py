"""Fuzzing guided by coverage, with atheris: ``python -m tests.guided --minutes 30 --corpus DIRECTORY``.

Inputs that reach new lines of polyroots are kept in the corpus and changed further. The first byte says what the rest
is: the pickle of a checkpoint, a whole file, a study or the configuration of a run. As in `tests.fuzz`, the outcome
is a result or one sentence, within 5 s; anything else ends the search, and the input is kept as ``crash-...``.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parent))

with atheris.instrument_imports(include=["polyroots"]):
    from fuzz import STUDY, Fuzzer, audit, rezipped, watched_events

    import polyroots as pr
    from polyroots.checkpoints import read_layers
    from polyroots.errors import PolyrootsError
    from polyroots.study import make_plan


class Guided:
    """The kinds of inputs, each with whole ones to begin with.

    Parameters
    ----------
    directory : Path
        For the files that are read.
    """

    def __init__(self, directory: Path) -> None:
        self.fuzzer, self.path = Fuzzer(directory), directory / "input"
        self.archive = self.fuzzer.whole["own.pt"]
        self.kinds: list[Callable[[bytes], object]] = [self.pickle, self.file, self.study, self.run]
        with zipfile.ZipFile(io.BytesIO(self.archive)) as archive:
            pickles = [archive.read(name) for name in archive.namelist() if name.endswith("data.pkl")]
        files, config = list(self.fuzzer.whole.values()), self.fuzzer.run_files["config.json"]
        self.whole = [pickles, files, [STUDY.encode()], [config]]

    def seeds(self) -> list[bytes]:
        """Whole inputs of all kinds."""
        return [bytes([kind]) + data for kind, inputs in enumerate(self.whole) for data in inputs]

    def one(self, data: bytes) -> None:
        """Read an input; an error that is no sentence is raised."""
        if not data:
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sentence = "a result"
            try:
                self.kinds[data[0] % len(self.kinds)](data[1:])
            except PolyrootsError as error:
                sentence = str(error)
        if not sentence or "\n" in sentence:
            raise ValueError(f"not one sentence: {sentence!r}")
        if events := watched_events():
            raise ValueError(f"ran {events}")

    def pickle(self, data: bytes) -> None:
        """Read our own checkpoint with another pickle, in an archive whose checksums are right."""
        changed = rezipped(self.archive, lambda name, content: data if name.endswith("data.pkl") else content)
        self.path.write_bytes(changed)
        pr.load_checkpoint(self.path).model()

    def file(self, data: bytes) -> None:
        """Read a file of any format."""
        self.path.write_bytes(data)
        read_layers(self.path)

    def study(self, data: bytes) -> None:
        """Plan a study."""
        self.path.with_suffix(".toml").write_bytes(data)
        make_plan(self.path.with_suffix(".toml"))

    def run(self, data: bytes) -> None:
        """Read a run with another configuration."""
        (self.fuzzer.run / "config.json").write_bytes(data)
        run = pr.training.load_run(self.fuzzer.run)
        _ = run.init, run.result, run.metrics


def main() -> None:
    """Search for the given time; libFuzzer ends the process, with an exit status above 0 if it found something."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--corpus", type=Path, required=True, help="directory of inputs, made if it is missing")
    given = parser.parse_args()
    files, corpus = given.corpus / "files", given.corpus / "inputs"
    # Those of the last search.
    shutil.rmtree(files, ignore_errors=True)
    for directory in (files, corpus):
        directory.mkdir(parents=True, exist_ok=True)
    guided = Guided(files)
    for number, data in enumerate(guided.seeds()):
        (corpus / f"seed-{number}").write_bytes(data)
    sys.addaudithook(audit)
    watched_events(begin=True)
    limits = [f"-max_total_time={round(60 * given.minutes)}", "-timeout=5", "-rss_limit_mb=4000", "-max_len=20000"]
    atheris.Setup([sys.argv[0], *limits, f"-artifact_prefix={given.corpus}/", str(corpus)], guided.one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
