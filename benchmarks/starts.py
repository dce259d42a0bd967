"""The time until something begins: imports, a small command, and what `train` computes before its first step.

Processes are measured by the processor time of all their threads beside the clock, since other work on the machine
changes the latter. ``--study FILE`` runs a study too.
"""

from __future__ import annotations

import argparse
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from timing import both_in_turns

import polyroots as pr
from polyroots.threads import usable_cores


def of_process(words: list[str]) -> tuple[float, float]:
    """Return (seconds, processor seconds) of a process and of those that it starts."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def row(title: str, pairs: list[tuple[float, float]]) -> str:
    """Return a line of the table: medians, and spreads in brackets."""
    cells = (f"{statistics.median(values):.2f} ({np.ptp(values):.2f})" for values in zip(*pairs, strict=True))
    return f"| {title} | {' | '.join(cells)} |"


def processes(directory: Path, runs: int) -> None:
    """Measure processes in turns."""
    file = directory / "small.pt"
    torch.save({"a.weight": torch.randn(8, 8, 3, 3)}, file)
    commands = {
        "`python -c pass`": ["-c", "pass"],
        "`import polyroots`": ["-c", "import polyroots"],
        "`import torch`": ["-c", "import torch"],
        "`import polyroots.training`": ["-c", "import polyroots.training"],
        "`polyroots --help`": ["-m", "polyroots", "--help"],
        "`polyroots spectrum FILE`, one 8x8x3x3 layer at 8x8": [
            "-m",
            "polyroots",
            "spectrum",
            str(file),
            "--size",
            "8",
        ],
    }
    pairs: dict[str, list[tuple[float, float]]] = {title: [] for title in commands}
    for _ in range(runs + 1):
        for title, words in commands.items():
            pairs[title].append(of_process(words))
    for title, found in pairs.items():
        print(row(title, found[1:]), flush=True)


def initialisations(names: list[str], runs: int) -> None:
    """Measure roots, relaxation and diagnosis of networks at full width, images of 32x32."""

    def start(name: str) -> None:
        torch.manual_seed(11)
        pr.initialize(pr.models.build(name))

    for name, pairs in both_in_turns({name: lambda name=name: start(name) for name in names}, runs).items():  # type: ignore[misc]
        print(row(f"roots and diagnosis of {name}", pairs), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--networks", nargs="+", default=["q2", "q4"])
    parser.add_argument("--study", type=Path)
    arguments = parser.parse_args()
    print(
        f"{usable_cores()} cores, Python {platform.python_version()}, torch {torch.__version__}, "
        f"numpy {np.__version__}, polyroots {pr.__version__}; medians of {arguments.runs} runs (spread)"
    )
    print("| | seconds | processor seconds |\n| --- | --- | --- |")
    with tempfile.TemporaryDirectory() as directory:
        processes(Path(directory), arguments.runs)
        initialisations(arguments.networks, arguments.runs)
        if arguments.study:
            words = [
                "-m",
                "polyroots",
                "study",
                "run",
                str(arguments.study),
                "--out",
                f"{directory}/out",
                "--jobs",
                "2",
            ]
            print(row(f"`polyroots study run {arguments.study} --jobs 2`", [of_process(words)]))


if __name__ == "__main__":
    main()
