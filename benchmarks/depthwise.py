"""Processor time of the authors' restriction, forward and backward: torch's depthwise convolution against ours.

Both get the same features in channels_last on one thread, in turns. *Ours* is
`polyroots.models.grid_transfer.DepthwiseConv`, whose kernel is filled up with zeros to groups of 16 outputs.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import torch
from torch import nn

from polyroots.models.grid_transfer import DepthwiseConv

#: Fine and coarse channels, and fine pixels, of the paper's transitions.
TRANSITIONS = ((64, 128, 32), (128, 256, 16), (256, 256, 8))


def seconds(forward: Any, layer: DepthwiseConv, u: torch.Tensor, gradient: torch.Tensor, is_mixed: bool) -> float:
    """Return the processor time of one forward and backward pass."""
    start = time.process_time()
    with torch.autocast("cpu", torch.bfloat16, is_mixed):
        v = forward(layer, u)
    torch.autograd.grad(v, (u, layer.weight), gradient.to(v.dtype))
    return time.process_time() - start


def main() -> None:
    """Print a row for each transition and precision."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--batch", type=int, default=128)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("| channels, pixels | precision | torch, ms | ours, ms | ratio |\n| --- | --- | ---: | ---: | ---: |")
    for fine, coarse, size in TRANSITIONS:
        for is_mixed in (False, True):
            torch.manual_seed(13)
            layer = DepthwiseConv(fine, coarse)
            shapes = (fine, size, size), (coarse, size // 2, size // 2)
            u, gradient = (
                torch.randn(arguments.batch, *shape).contiguous(memory_format=torch.channels_last) for shape in shapes
            )
            u.requires_grad_()
            times = []
            for _ in range(arguments.runs + 1):
                forwards = (nn.Conv2d.forward, DepthwiseConv.forward)
                times.append([1e3 * seconds(forward, layer, u, gradient, is_mixed) for forward in forwards])
            plain, ours = zip(*times[1:], strict=True)
            cells = [f"{statistics.median(t):.1f} ({max(t) - min(t):.1f})" for t in (plain, ours)]
            ratio = statistics.median(plain) / statistics.median(ours)
            precision = "bfloat16" if is_mixed else "float32"
            print(f"| {fine} to {coarse}, {size} | {precision} | {' | '.join(cells)} | {ratio:.1f} |", flush=True)


if __name__ == "__main__":
    main()
