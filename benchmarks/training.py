"""Images per second of training: the whole loop, against a common implementation.

*Plain* is a data set of PIL images with torchvision's PIL transforms in a DataLoader of two workers, the textbook's
residual f - A u computed anew (the oracle of ``tests/textbook.py``), float32 in contiguous memory, an optimizer with
its default implementation, and ``loss.item()`` in every step. *Ours* is `polyroots.training.loop.epoch.EpochLoop`, as
``polyroots train`` runs it. Both begin with the same weights, draw augmentations of the same distribution, and are
timed in turns.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from seeds import measure as measure_seeds
from timing import in_turns, seconds_of
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

import polyroots as pr
from polyroots.models import ModelConfig, channels_last
from polyroots.threads import usable_cores
from polyroots.training import Reporter, Split, train_config
from polyroots.training.data.normalisation import Normalisation
from polyroots.training.loop.device import compiled, make_fabric
from polyroots.training.loop.epoch import EpochLoop
from polyroots.training.loop.feed import make_feed
from polyroots.training.loop.interruption import Interruption
from polyroots.training.loop.optimizer import make_optimizer
from polyroots.training.runs.state import RunState

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from textbook import textbook

NAMES = ("q2", "q4", "mgnet-ab", "resnet18")
AUGMENT = "crop,flip,autoaugment"


@dataclass(frozen=True)
class Variant:
    """One way to train.

    Attributes
    ----------
    precision : ``"32"`` or ``"bf16"``
    is_compiled : torch.compile
    """

    precision: str = "32"
    is_compiled: bool = False

    @property
    def title(self) -> str:
        """Label in the table."""
        return ", ".join(["ours", "float32" if self.precision == "32" else "bf16"] + ["compiled"] * self.is_compiled)


class PilImages(Dataset[Any]):
    """A data set of images in memory with the PIL transforms of torchvision."""

    def __init__(self, images: np.ndarray, labels: list[int], normalise: Normalisation) -> None:
        self.images, self.labels = images, labels
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(32, padding=4, fill=128),
                transforms.RandomHorizontalFlip(),
                transforms.AutoAugment(transforms.AutoAugmentPolicy.CIFAR10),
                transforms.ToTensor(),
                transforms.Normalize(normalise.mean, normalise.std),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


class Plain:
    """A common training loop; its loader is endless, so that the start of its workers isn't timed."""

    def __init__(self, config: ModelConfig, split: Split, batch: int, device: torch.device) -> None:
        self.device, self.batch = device, batch
        self.model = fresh(config).to(device)
        is_ours = config.name != "resnet18"
        self.forward: Callable[[Tensor], Tensor] = partial(textbook, self.model) if is_ours else self.model
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
        pil = PilImages(split.images.permute(0, 2, 3, 1).numpy(), split.labels.tolist(), Normalisation.of(split))
        is_cuda = device.type == "cuda"
        self.loader = DataLoader(pil, batch_size=batch, shuffle=True, num_workers=2, drop_last=True, pin_memory=is_cuda)
        self.batches = self._endless()

    def _endless(self) -> Iterator[Any]:
        while True:
            yield from self.loader

    def train(self, steps: int) -> None:
        """Take a number of steps."""
        self.model.train()
        correct = 0
        for images, labels in islice(self.batches, steps):
            images, labels = images.to(self.device), labels.to(self.device)
            self.optimizer.zero_grad()
            logits = self.forward(images)
            loss = cross_entropy(logits, labels)
            loss.backward()
            self.optimizer.step()
            loss.item()
            correct += (logits.argmax(1) == labels).sum().item()


class Ours:
    """The training loop of `polyroots train`; an epoch has as many steps as are timed."""

    def __init__(self, network: ModelConfig, split: Split, batch: int, device: torch.device, variant: Variant) -> None:
        config = train_config(
            "cifar10",
            network,
            batch_size=batch,
            lr=0.01,
            augment=AUGMENT,
            device=device.type,
            precision=variant.precision,
            compile=variant.is_compiled,
        )
        fabric = make_fabric(config)
        model = channels_last(fresh(network))
        wrapped, optimizer = fabric.setup(
            compiled(model, device) if variant.is_compiled else model, make_optimizer(model, config)
        )
        feed = make_feed(split, fabric.device, config)
        self.loop = EpochLoop(
            config, fabric, wrapped, optimizer, feed, split, Normalisation.of(split), Reporter(), Interruption()
        )

    def train(self) -> None:
        """Train an epoch."""
        assert self.loop.run(RunState())

    def stages(self, runs: int) -> dict[str, float]:
        """Return the median seconds of each stage of a step, timed alone and with the device synchronised."""
        loop, device = self.loop, self.loop.fabric.device

        def timed(function: Callable[[], Any]) -> float:
            def once() -> None:
                function()
                synchronise(device)

            once()
            return statistics.median(seconds_of(once, runs))

        parts = loop._batches(1)
        images, labels = next(loop._on_device(parts, 1))
        normal = loop.normalise(images).contiguous(memory_format=torch.channels_last)
        loop.network.train()

        def forward() -> Tensor:
            return cross_entropy(loop.network(normal), labels)

        def step() -> None:
            loop.fabric.backward(forward())

        step()
        seconds = {
            "data": timed(lambda: list(loop.feed.load([torch.cat(parts)]))) / len(parts),
            "augment": 0.0,
            "normalise": timed(lambda: loop.normalise(images).contiguous(memory_format=torch.channels_last)),
            "forward": timed(forward),
            "backward": 0.0,
            "optimizer": timed(loop.optimizer.step),
        }
        # An epoch augments all its images together. The backward pass can't be timed without a forward one.
        seconds["augment"] = timed(lambda: list(loop._on_device(parts, 1))) / len(parts) - seconds["data"]
        seconds["backward"] = timed(step) - seconds["forward"]
        return seconds


def fresh(config: ModelConfig) -> nn.Module:
    """Return the same network at each call."""
    torch.manual_seed(23)
    model = pr.models.build(config)
    if model.config.is_polynomial:
        pr.initialize(model)
    return model


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def busy_share(function: Callable[[], object]) -> float:
    """Return the share of the time in which the GPU runs a kernel, from torch's profiler."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        start = time.perf_counter()
        function()
        torch.cuda.synchronize()
        seconds = time.perf_counter() - start
    spans = sorted((e.time_range.start, e.time_range.end) for e in profiler.events() if e.device_type.name == "CUDA")
    busy, end = 0.0, 0.0
    for first, last in spans:
        busy += max(0.0, last - max(first, end))
        end = max(end, last)
    return busy / 1e6 / seconds


def measure(name: str, options: argparse.Namespace, variants: list[Variant]) -> list[str]:
    device = torch.device(options.device)
    rng = np.random.default_rng(41)
    count = options.steps * options.batch
    split = Split(
        torch.from_numpy(rng.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)),
        torch.from_numpy(rng.integers(0, 10, count)),
    )
    config = pr.models.model_config(name, scale=options.scale or 1)
    plain = Plain(config, split, options.batch, device)
    ours = {variant: Ours(config, split, options.batch, device, variant) for variant in variants}

    def run_plain() -> None:
        plain.train(options.plain_steps)
        synchronise(device)

    def run_ours(variant: Variant) -> None:
        ours[variant].train()
        synchronise(device)

    functions: dict[Any, Callable[[], object]] = {"plain": run_plain}
    functions |= {variant: partial(run_ours, variant) for variant in variants}
    times = in_turns(functions, options.runs)
    images = {key: (options.plain_steps if key == "plain" else options.steps) * options.batch for key in functions}
    rates = {key: [images[key] / s for s in seconds] for key, seconds in times.items()}
    lines = []
    for key in functions:
        median, extent = statistics.median(rates[key]), max(rates[key]) - min(rates[key])
        ratio = statistics.median(a / b for a, b in zip(rates[key], rates["plain"], strict=True))
        if key == "plain":
            lines.append(f"| {name} | plain, float32 | {median:,.0f} ({extent:,.0f}) | | | |")
            continue
        stages = ours[key].stages(options.runs)
        total = sum(stages.values())
        shares = ", ".join(f"{stage} {seconds / total:.1%}" for stage, seconds in stages.items())
        busy = f"{busy_share(partial(run_ours, key)):.0%}" if device.type == "cuda" else "-"
        lines.append(f"| {name} | {key.title} | {median:,.0f} ({extent:,.0f}) | {ratio:.2f} | {busy} | {shares} |")
    return lines


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(": ")[2]
    return platform.processor()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=8, help="steps of ours in a turn; 391 is CIFAR-10's epoch")
    parser.add_argument("--plain-steps", type=int, default=8)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--networks", nargs="+", default=list(NAMES))
    parser.add_argument("--seeds", type=int, help="compare three ways to train this number of seeds on one device")
    parser.add_argument("--scale", type=float, help="of the channels. [default: 1; 0.25 with --seeds]")
    options = parser.parse_args()
    if options.seeds and not options.scale:
        options.scale = 0.25
    variants = [Variant(), Variant("bf16")]
    if options.device == "cuda":
        variants.append(Variant("bf16", True))
        where = torch.cuda.get_device_name()
    else:
        where = f"{usable_cores()} cores ({processor()})"
    print(
        f"{where}, Python {platform.python_version()}, torch {torch.__version__}, polyroots {pr.__version__}; batches "
        f"of {options.batch}; medians of {options.runs} runs of {options.steps} steps, spread (max - min) in brackets."
        "\n"
    )
    if options.seeds:
        print(f"{options.seeds} seeds at {options.scale:g} of the channels; images of all seeds together.\n")
        print("| network | way | images/s | to one after another | largest difference of a weight |")
        print("| --- | --- | --- | --- | --- |", flush=True)
        for name in options.networks:
            print(*measure_seeds(name, options), sep="\n", flush=True)
        return
    print("| network | way | images/s | to plain | GPU busy | a step of ours |")
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    for name in options.networks:
        if len(options.networks) > 1:
            # A process for each network, so that memory left behind by one doesn't slow the next.
            words = [sys.executable, __file__, *sys.argv[1:], "--networks", name]
            printed = subprocess.run(words, check=True, capture_output=True, text=True).stdout
            print(*printed.splitlines()[4:], sep="\n", flush=True)
        else:
            print(*measure(name, options, variants), sep="\n", flush=True)


if __name__ == "__main__":
    main()
