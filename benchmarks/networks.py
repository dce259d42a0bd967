"""Images per second of the networks: the carried formulation against the textbook's, in the same run.

*Textbook* computes the residual f - A u anew for every step and transition, as the papers write it; it is the oracle of
``tests/textbook.py``. Both have the same weights, see the same images and are timed in turns.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from timing import in_turns
from torch import Tensor, nn

import polyroots as pr
from polyroots.models import channels_last, cost, model_config
from polyroots.threads import usable_cores

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from textbook import textbook

NAMES = ("q2", "q4", "q8", "mgnet-ab", "resnet18")
FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


@dataclass(frozen=True)
class Variant:
    """One way to run a network.

    Attributes
    ----------
    formulation : ``"carried"`` or ``"textbook"``
    memory_format : a name in `FORMATS`
    is_mixed, is_compiled : bf16 autocast; torch.compile
    """

    formulation: str
    memory_format: str
    is_mixed: bool = False
    is_compiled: bool = False

    @property
    def title(self) -> str:
        """Label in the table."""
        parts = [self.formulation, self.memory_format]
        return ", ".join(parts + ["bf16"] * self.is_mixed + ["compiled"] * self.is_compiled)

    def runner(self, model: nn.Module, images: Tensor, backward: bool) -> Callable[[], None]:
        """Return a function that does one forward pass, or one forward and backward pass."""
        device = images.device
        images = images.contiguous(memory_format=FORMATS[self.memory_format])
        forward = model if self.formulation == "carried" else lambda x: textbook(model, x)
        if self.is_compiled:
            forward = torch.compile(forward)

        def run() -> None:
            with torch.set_grad_enabled(backward), torch.autocast(device.type, torch.bfloat16, self.is_mixed):
                loss = forward(images).float().square().mean()
            if backward:
                model.zero_grad(set_to_none=True)
                loss.backward()
            if device.type == "cuda":
                torch.cuda.synchronize()

        return run


def formatted(model: nn.Module, memory_format: str) -> nn.Module:
    """Return a fresh, contiguous network in one of `FORMATS`."""
    return channels_last(model) if memory_format == "channels_last" else model


def network(name: str, device: str, memory_format: str) -> nn.Module:
    torch.manual_seed(11)
    model = pr.models.build(name)
    if model.config.is_polynomial:
        pr.initialize(model)
    return formatted(model.to(device), memory_format).train()


def variants(device: str) -> list[Variant]:
    found = [
        Variant(formulation, memory_format) for memory_format in FORMATS for formulation in ("textbook", "carried")
    ]
    if device == "cuda":
        found += [Variant(formulation, "channels_last", True) for formulation in ("textbook", "carried")]
        found += [Variant(formulation, "channels_last", True, True) for formulation in ("textbook", "carried")]
    return found


def measure(name: str, device: str, batch: int, runs: int) -> None:
    """Print the rows of one network."""
    images = torch.randn(batch, 3, 32, 32, device=device)
    config = model_config(name)
    chosen = [v for v in variants(device) if not config.is_resnet or v.formulation == "carried"]
    rates: dict[tuple[Variant, bool], list[float]] = {}
    for backward in (False, True):
        functions = {v: v.runner(network(name, device, v.memory_format), images, backward) for v in chosen}
        for variant, seconds in in_turns(functions, runs).items():
            rates[variant, backward] = [batch / s for s in seconds]
    plain = Variant("textbook", "contiguous")
    for variant in chosen:
        cells = []
        for backward in (False, True):
            rate = statistics.median(rates[variant, backward])
            spread = max(rates[variant, backward]) - min(rates[variant, backward])
            cells.append(f"{rate:,.0f} ({spread:,.0f})")
            for other in (Variant("textbook", *_setting(variant)), plain):
                is_compared = variant.formulation == "carried" and not config.is_resnet
                cells.append(f"{rate / statistics.median(rates[other, backward]):.2f}" if is_compared else "")
        title = variant.title.removeprefix("carried, ") if config.is_resnet else variant.title
        peak = peak_memory(name, variant, device, batch)
        print(f"| {name} | {title} | {' | '.join(cells)} | {peak:,.0f} |", flush=True)


def _setting(variant: Variant) -> tuple[str, bool, bool]:
    return variant.memory_format, variant.is_mixed, variant.is_compiled


def peak_memory(name: str, variant: Variant, device: str, batch: int) -> float:
    """Return the peak memory of a forward and a backward pass above the network in MiB; on a CPU in a new process."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        run = variant.runner(
            network(name, device, variant.memory_format), torch.randn(batch, 3, 32, 32, device=device), True
        )
        before = torch.cuda.memory_allocated()
        run()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    arguments = [__file__, "--peak", name, variant.formulation, variant.memory_format, "--batch", str(batch)]
    result = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True)
    return float(result.stdout)


def print_peak(name: str, formulation: str, memory_format: str, batch: int) -> None:
    # Without initialisation, which takes more memory than the network.
    model = formatted(pr.models.build(name), memory_format).train()
    variant = Variant(formulation, memory_format)
    # A small pass first, so that the memory of the libraries isn't counted.
    variant.runner(model, torch.randn(2, 3, 32, 32), True)()
    images = torch.randn(batch, 3, 32, 32)
    before = high_water_mark()
    variant.runner(model, images, True)()
    print(high_water_mark() - before)


def high_water_mark() -> float:
    """Return the peak of this process's resident memory in MiB; that of getrusage includes the parent process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (kib,) = [line.split()[1] for line in lines if line.startswith("VmHWM")]
    return int(kib) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        print_peak(options.peak[0], options.peak[1], options.peak[2], options.batch)
        return
    device = torch.cuda.get_device_name() if options.device == "cuda" else f"{usable_cores()} cores"
    print(
        f"{device}, Python {platform.python_version()}, torch {torch.__version__}, polyroots {pr.__version__}; "
        f"batches of {options.batch}, float32 unless said, medians of {options.runs} runs (spread: max - min)\n"
    )
    print(
        "| network | formulation | forward, images/s | to textbook | to plain | forward and backward, images/s "
        "| to textbook | to plain | peak MiB |\n|" + " --- |" * 9
    )
    for name in NAMES:
        measure(name, options.device, options.batch, options.runs)
    print("\nApplications of A, textbook's and carried:", end="")
    for name in NAMES[:-1]:
        print(f" {name} {textbook_applications(name)} and {cost(model_config(name)).applications};", end="")
    print()


def textbook_applications(name: str) -> int:
    """Return the number of products with A in the textbook's residuals and polynomials."""
    config = model_config(name)
    of_p = sum(letter != "L" for letter in config.blocks) if config.is_polynomial else 0
    steps = len(config.blocks) if config.is_polynomial else config.steps
    # f - A u for each step and on leaving, A u on entering.
    levels = len(config.channels)
    return levels * (steps + of_p + 1) + levels - 1


if __name__ == "__main__":
    main()
