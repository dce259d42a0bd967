"""All measurements that need a GPU, in the order of their worth, within a given time.

    python benchmarks/on_gpu.py --out results/gpu --minutes 9 --data-dir cifar10

Each part is a process with a time limit of its own. What it prints is in a file of DIR from the first line on, and
``summary.md`` names the parts that are done, were ended by their limit, or failed: nothing is lost if the time is over.
The parts need nothing from outside; without ``--data-dir`` (a folder of images with train/ and test/) they use random
bytes, and the last part, which trains as far as the time goes, is left out. ``--device cpu --quick`` tries every part
on a small network.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

import polyroots as pr

HERE = Path(__file__).resolve().parent
KEPT = ("config.json", "metrics.csv", "result.json")


@dataclass(frozen=True)
class Part:
    """A process and its time limit.

    Attributes
    ----------
    name : str
        Of the file with what it prints.
    what : str
        What it measures.
    command : sequence of str
    seconds : float
        It ends after this time, or when the time of all parts is over.
    run : Path or None
        The run directory that it writes.
    """

    name: str
    what: str
    command: Sequence[str]
    seconds: float
    run: Path | None = None


def parts(options: argparse.Namespace) -> list[Part]:
    """Return the parts, those of the greatest worth first."""
    python, device = sys.executable, ["--device", options.device]
    quick = options.quick
    least = ["--runs", "1", "--steps", "1", "--plain-steps", "1", "--batch", "2", "--scale", "0.0625"]
    steps = least if quick else ["--steps", "100"]
    networks = ("q2",) if quick else ("q2", "resnet18", "q4", "mgnet-ab")
    found = [
        Part(
            f"throughput-{name}",
            f"images per second of {name} against the plain way, share of each stage, share of time with a busy GPU",
            [python, f"{HERE / 'training.py'}", *device, *steps, "--networks", name],
            100,
        )
        for name in networks
    ]
    seeds = "2" if quick else "4"
    found += [
        Part(
            "seeds",
            "several seeds of q2 on one device: one after another, in processes, stacked",
            [python, f"{HERE / 'training.py'}", *device, *steps, "--networks", "q2", "--seeds", seeds],
            100,
        ),
        Part(
            "eigenvalues",
            "all eigenvalues by torch on the device, and by polyroots on the processor beside it",
            [python, f"{HERE / 'cuda_eigenvalues.py'}", *device, *(["--runs", "1", "--smallest"] if quick else [])],
            60,
        ),
    ]
    program = [python, "-P", "-m", "polyroots", "train", *device]
    if quick:
        run = options.out / "runs" / "q2"
        settings = ["--model", "q2", "--scale", "0.0625", "--epochs", "1", "--out", f"{run}"]
        found.append(Part("train-q2", "q2 on the digits", [*program, *settings], 100, run))
    elif options.data_dir:
        for name in ("q2", "resnet18"):
            run = options.out / "runs" / name
            settings = ["--dataset", "folder", "--data-dir", f"{options.data_dir}", "--model", name, "--out", f"{run}"]
            speed = ["--precision", "bf16", "--compile", "--epochs", f"{options.epochs}"]
            found.append(Part(f"train-{name}", f"{name} trained", [*program, *settings, *speed], 240, run))
    return found


def execute(part: Part, seconds: float, out: Path) -> str:
    """Run a part, keep what it prints, and return how it ended."""
    with (out / f"{part.name}.txt").open("w") as stream:
        stream.write(f"$ {' '.join(part.command)}\n\n")
        stream.flush()
        process = subprocess.Popen(part.command, stdout=stream, stderr=subprocess.STDOUT)
        try:
            status = process.wait(seconds)
            ended = "done" if status == 0 else f"failed with status {status}"
        except subprocess.TimeoutExpired:
            # polyroots train saves its last epoch and ends.
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            ended = f"ended by its limit of {seconds:.0f} s"
    if part.run is not None:
        for name in KEPT:
            if (part.run / name).exists():
                shutil.copy(part.run / name, out / f"{part.name}-{name}")
    return ended


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=9)
    parser.add_argument("--data-dir", type=Path, help="a folder of images with train/ and test/")
    parser.add_argument("--epochs", type=int, default=60, help="of the last part; its schedule ends there")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--quick", action="store_true", help="one small network, a step each: does every part run?")
    options = parser.parse_args()
    is_cuda = options.device == "cuda"
    if is_cuda and not torch.cuda.is_available():
        raise SystemExit("no CUDA device here: run this on a machine with a GPU, or with --device cpu --quick")
    options.out.mkdir(parents=True, exist_ok=True)
    where = torch.cuda.get_device_name() if is_cuda else "CPU"
    lines = [
        f"{where}, torch {torch.__version__}, polyroots {pr.__version__}",
        "",
        "| part | what | |",
        "| --- | --- | --- |",
    ]
    end = time.monotonic() + 60 * options.minutes
    statuses = []
    for part in parts(options):
        left = end - time.monotonic()
        began = time.monotonic()
        ended = execute(part, min(part.seconds, left), options.out) if left > 1 else "no time left"
        statuses.append(ended)
        lines.append(f"| {part.name} | {part.what} | {ended}, {time.monotonic() - began:.0f} s |")
        (options.out / "summary.md").write_text("\n".join(lines) + "\n")
        print(lines[-1], flush=True)
    if any(status.startswith("failed") for status in statuses):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
