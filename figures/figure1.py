"""Figure 1: which weights a ResNet, two MgNets and a Poly-MgNet share on one resolution.

Hooks on the modules of each network record the convolutions that are applied to an image. The figure has a box for each
of them, in the order of application, and one colour for each weight tensor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle
from torch import nn

from polyroots.models import Network, PolyStep, Step, build
from polyroots.plotting import COLOURS, REFERENCE, extent, magnified, new_figure, style
from polyroots.text import count_of
from polyroots_figures.request import Computed, Request

#: The paper's four networks, with their names in the paper.
NETWORKS = {
    "resnet18": "ResNet18",
    "mgnet-a": "MgNet$^A$",
    "mgnet-ab": "MgNet$^{A,B}$",
    "q2": "Poly-MgNet$^{q_2}$",
}

# The second resolution, as nothing is restricted to the first, where the multigrid networks begin with u = 0.
_LEVEL = 2

# A, B, R and Pi have the same colours in every network, the kernels K of a ResNet have others.
_COLOURS_OF = {
    "A": (COLOURS[0], COLOURS[5]),
    "B": (COLOURS[1], COLOURS[4]),
    "R": (COLOURS[2],),
    "Pi": (COLOURS[3],),
    "K": ("#000000", "#5a5a5a", "#8c6d1f", "#b0b0b0", "#5e3c99"),
}
_SYMBOLS = {"Pi": "\\Pi"}

# The update by each convolution between steps, without batch norm and ReLU.
_BETWEEN = {"Pi": "$u \\leftarrow \\Pi\\,u$", "R": "$r \\leftarrow R\\,r$", "A": "$r \\leftarrow r - A\\,\\delta$"}
_UPDATE = "$u \\leftarrow u + \\delta$"
# p(A) r of a step by its letter.
_SMOOTHERS = {
    "L": "\\alpha_0\\,r",
    "S": "\\alpha_1 A\\,r",
    "R": "(\\alpha_0 + \\alpha_1 A)\\,r",
    "C": "(\\alpha_0 + \\alpha_1 A)\\,r",
}

# In the units of a panel, which is 1 wide; a box is 1 high.
_LINE, _GAP = 0.2, 0.35
# Half the width of a box, and the place of shortcuts: beside formulas, and in panels without any, with wider letters.
_HALF, _SHORTCUT = 0.14, _LINE + 0.36
_WIDE_HALF, _FAR_SHORTCUT = 0.21, 0.7
# Luminance above which a colour is light.
_LIGHT = 0.6
_SMALL: dict[str, Any] = {"fontsize": "small", "color": "0.2"}


def compute(request: Request) -> list[Computed]:
    """Record the convolutions of each network."""
    del request
    panels: list[dict[str, Any]] = []
    for name, title in NETWORKS.items():
        network = build(name)
        assert isinstance(network, Network)
        panels.append({"name": name, "title": title, "groups": _record(network)})
    words = [f"{panel['name']}, resolution {_LEVEL}: {_counts(panel)}." for panel in panels]
    return [Computed("figure1", {"level": _LEVEL, "panels": panels}, words)]


def draw(data: Mapping[str, Any], width: float) -> dict[str, Figure]:
    """Draw a column of boxes for each network."""
    panels = data["panels"]
    depth = max(sum(_height(group) + _GAP for group in panel["groups"]) for panel in panels)
    with style(width):
        # As many panels beside each other as their formulas have room for, in lines of the same length. Four panels
        # below each other are higher than a page: rather two beside each other, without formulas.
        most = max(1, int(width / _needed_width("$r \\leftarrow r - A\\,\\delta$")))
        has_formulas = max(most, 3 - len(panels)) > 1 or _box_width() / (2 * _WIDE_HALF) > 0.47 * width
        most = most if has_formulas else 2
        rows = -(-len(panels) // most)
        columns = -(-len(panels) // rows)
        has_names = bool(width / columns >= _needed_width(f"step 1: {_UPDATE}"))
        title = (
            f"Convolutions on resolution {data['level']} in their order (batch norm and ReLU left out): "
            "one colour is one weight tensor"
        )
        line = 0.22 if has_formulas else 0.17
        figure = new_figure(width, magnified() * (rows * (line * depth + 0.92) + 0.1), title)
        for axes, panel in zip(figure.subplots(rows, columns, squeeze=False).ravel(), panels, strict=True):
            _draw_panel(axes, panel, depth, has_names=has_names, has_formulas=has_formulas)
    return {"": figure}


def _needed_width(line: str) -> float:
    """Return the width in inches that a panel needs for a line right of the boxes, and for the words in these."""
    return max(extent(line, "small")[0] / (0.95 - _LINE - 0.15), _box_width() / 0.29) + 0.05


def _box_width() -> float:
    """Return the width in inches of the longest word in a box."""
    return extent("1x1 $K_3$")[0]


def _record(network: Network) -> list[dict[str, Any]]:
    """Return the steps and convolutions on one resolution in the order in which an image passes them.

    A group is a step with its convolutions, or the convolutions between two steps, with the number 0.
    """
    # Only here: importing torchvision takes as long as importing torch, and other figures need none of it.
    from torchvision.models.resnet import BasicBlock

    groups: list[dict[str, Any]] = []
    inside = [m for module in network.resolutions[_LEVEL - 1] for m in module.modules()]
    names = {module: name for name, module in network.named_modules()}
    convolutions = {module: _kind(names[module]) for module in inside if isinstance(module, nn.Conv2d)}
    steps = [module for module in inside if isinstance(module, Step | BasicBlock)]

    def enter(step: nn.Module, _: Any) -> None:
        number = next(number for number, other in enumerate(steps, 1) if other is step)
        groups.append({"step": number, "letter": step.letter if isinstance(step, PolyStep) else "", "calls": []})

    def leave(*_: Any) -> None:
        groups.append({"step": 0, "letter": "", "calls": []})

    def record(convolution: nn.Module, *_: Any) -> None:
        assert isinstance(convolution, nn.Conv2d)
        kind = convolutions[convolution]
        # Modules may share a weight.
        same = list(dict.fromkeys(id(c.weight) for c, other in convolutions.items() if other == kind))
        groups[-1]["calls"].append(
            {
                "module": names[convolution],
                "kind": kind,
                "number": 1 + same.index(id(convolution.weight)),
                "of": len(same),
                "size": list(convolution.kernel_size),
                "weights": convolution.weight.numel(),
                "is_shortcut": "downsample" in names[convolution],
            }
        )

    leave()
    hooks = [step.register_forward_pre_hook(enter) for step in steps]
    hooks += [step.register_forward_hook(leave) for step in steps]
    hooks += [convolution.register_forward_hook(record) for convolution in convolutions]
    with torch.no_grad():
        network.eval()(torch.zeros(1, network.config.in_channels, *network.config.image_size))
    for hook in hooks:
        hook.remove()
    return [group for group in groups if group["step"] or group["calls"]]


def _kind(name: str) -> str:
    """A, B, R or Pi, from the name of the module; K for a ResNet's convolutions."""
    words = [word for word in name.split(".") if not word.isdigit()]
    return words[-1] if words[-1] in _COLOURS_OF else "K"


def _calls(panel: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [call for group in panel["groups"] for call in group["calls"]]


def _counts(panel: Mapping[str, Any]) -> str:
    calls = _calls(panel)
    different = {(call["kind"], call["number"]): call["weights"] for call in calls}
    return (
        f"{count_of(len(calls), 'convolution')}, {count_of(len(different), 'weight tensor')}, "
        f"{sum(different.values()):,} weights"
    )


def _height(group: Mapping[str, Any]) -> float:
    """Height of a group in boxes; a step without convolutions has a line of text."""
    return max(1.0, sum(not call["is_shortcut"] for call in group["calls"])) + (0.3 if group["step"] else 0.0)


def _draw_panel(
    axes: Axes, panel: Mapping[str, Any], depth: float, *, has_names: bool, has_formulas: bool = True
) -> None:
    """Draw the boxes of a network; steps have their names, and boxes their formulas, if there is room."""
    axes.set_xlim(0, 1)
    # Lines without formulas are lower, of which three lines of letters take more.
    axes.set_ylim(depth + (1.9 if has_formulas else 2.5), -0.1)
    axes.axis("off")
    axes.set_title(panel["title"])
    y = _GAP
    for group in panel["groups"]:
        height = _height(group)
        main = [call for call in group["calls"] if not call["is_shortcut"]]
        if group["step"]:
            _draw_step(axes, group, y, has_names=has_names, has_formulas=has_formulas)
        for row, call in enumerate(main):
            centre = y + (height - len(main)) / 2 + row + 0.5
            _draw_box(axes, call, _LINE, centre)
            words = _words(call, group)
            if words and has_formulas:
                lift = 0.25 if group["step"] else 0.0
                axes.text(_LINE + 0.18, centre - lift, words, ha="left", va="center", **_SMALL)
        if not main and has_formulas:
            words = f"$\\delta = {_smoother(group)}$"
            axes.text(_LINE + 0.18, y + height / 2 - 0.25, words, ha="left", va="center", **_SMALL)
        for call in group["calls"]:
            if call["is_shortcut"]:
                x, half = (_SHORTCUT, _HALF) if has_formulas else (_FAR_SHORTCUT, _WIDE_HALF)
                _draw_box(axes, call, x, y + height / 2, half)
        y += height + _GAP
    axes.add_patch(
        FancyArrowPatch((_LINE, -0.1), (_LINE, y), arrowstyle="-|>", mutation_scale=6, color="0.35", linewidth=0.7)
    )
    axes.text(
        0.5,
        depth + (1.15 if has_formulas else 1.45),
        _counts(panel).replace(", ", "\n"),
        ha="center",
        va="center",
        **_SMALL,
    )


def _draw_step(axes: Axes, group: Mapping[str, Any], y: float, *, has_names: bool, has_formulas: bool) -> None:
    """Draw the frame of a step with its name, and the shortcut of a residual block."""
    height = _height(group)
    is_residual = any(call["kind"] == "K" for call in group["calls"])
    if is_residual:
        _draw_shortcut(axes, y, height, _SHORTCUT if has_formulas else _FAR_SHORTCUT)
    if has_formulas:
        name = f"block {group['step']}" if is_residual else f"step {group['step']}: {_UPDATE}"
        if not has_names and not is_residual:
            name = _UPDATE
        axes.text(0.95, y + height - 0.25, name, ha="right", va="center", **_SMALL)
    elif not is_residual:
        axes.text(0.95, y + height / 2, f"step {group['step']}", ha="right", va="center", **_SMALL)
    axes.add_patch(Rectangle((0.02, y), 0.96, height, facecolor="#f1f1f1", edgecolor=REFERENCE, linewidth=0.4))


def _draw_shortcut(axes: Axes, y: float, height: float, x: float) -> None:
    """Draw the shortcut past the convolutions of a residual block."""
    top, bottom = y + 0.09, y + height - 0.09
    axes.plot([_LINE, x, x, _LINE], [top, top, bottom, bottom], "-", color="0.35", linewidth=0.7)


def _words(call: Mapping[str, Any], group: Mapping[str, Any]) -> str:
    """The update by a convolution, without batch norm and ReLU."""
    if not group["step"]:
        return _BETWEEN.get(call["kind"], "")
    if call["kind"] == "B":
        return f"$\\delta = {_symbol(call)}\\,r$"
    return f"$\\delta = {_smoother(group)}$" if group["letter"] else ""


def _smoother(group: Mapping[str, Any]) -> str:
    """p(A) r of a step, with the number of the step at its coefficients."""
    number = f"^{{({group['step']})}}"
    return _SMOOTHERS[group["letter"]].replace("alpha_0", f"alpha_0{number}").replace("alpha_1", f"alpha_1{number}")


def _symbol(call: Mapping[str, Any]) -> str:
    return _SYMBOLS.get(call["kind"], call["kind"]) + (f"_{{{call['number']}}}" if call["of"] > 1 else "")


def _draw_box(axes: Axes, call: Mapping[str, Any], x: float, y: float, half: float = _HALF) -> None:
    sizes = "" if call["size"] == [3, 3] else "x".join(map(str, call["size"])) + " "
    colours = _COLOURS_OF[call["kind"]]
    colour = colours[(call["number"] - 1) % len(colours)]
    axes.add_patch(Rectangle((x - half, y - 0.34), 2 * half, 0.68, facecolor=colour, edgecolor="none", zorder=2))
    # Black on light colours, of which white would not stand out.
    ink = "white" if float(np.dot(to_rgb(colour), (0.299, 0.587, 0.114))) < _LIGHT else "black"
    axes.text(x, y, f"{sizes}${_symbol(call)}$", ha="center", va="center", color=ink, zorder=3)
