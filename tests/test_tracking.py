"""Spectra of a network while it trains, and the figure flow."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import fails, run
from forked import snapshots_without_processes
from matplotlib.text import Text
from pictures import require_nothing_is_cut
from small_runs import small

import polyroots as pr
from polyroots.checkpoints.own import Checkpoint, load_checkpoint
from polyroots.plotting import SpectrumAtEpoch, draw_flow
from polyroots.plotting.flow import root_paths
from polyroots.plotting.style import ROOT, WIDTHS
from polyroots.training import Reporter, Snapshot, TrackedLevel, load_run, open_data, train
from polyroots.training.runs.directory import Run
from polyroots.training.runs.tracking import Tracker
from polyroots_figures.flow import _MU


def test_snapshots_are_the_networks_spectra_and_coefficients(tracked: Path) -> None:
    found = load_run(tracked)
    snapshots = found.snapshots
    assert [snapshot.epoch for snapshot in snapshots] == [0, 2, 4, 5]
    assert not list(found.run.spectra.glob("*.pt"))
    for operator, level in zip(snapshots[0].operators, found.init["levels"], strict=True):
        assert np.abs(operator.values).max() == pytest.approx(level["radius"], rel=1e-12)
    model: Any = found.model
    for operator, level, size, q in zip(
        snapshots[-1].operators, model.levels, found.config.model.sizes, model.polynomials(), strict=True
    ):
        assert np.array_equal(operator.values, pr.eigenvalues(level.A.weight, size).values)
        assert operator.letters == ("L", "L", "C")
        assert [a.tolist() for a in operator.alphas] == [step.alphas.tolist() for step in level.blocks]
        assert np.array_equal(operator.q.roots, q.roots)
    assert [operator.level for operator in snapshots[0].operators] == [1, 2]
    assert [operator.name for operator in snapshots[0].operators] == ["levels.0.A.weight", "levels.1.A.weight"]
    assert not np.array_equal(snapshots[0].operators[0].values, snapshots[-1].operators[0].values)


def test_snapshots_have_what_the_levels_apply(tracked: Path, tmp_path: Path) -> None:
    """Before the first step batch norm has no statistics, and q4's residual runs through it."""
    found = load_run(tracked)
    assert [len(snapshot.levels) for snapshot in found.snapshots] == [0, 2, 2, 2]
    last = found.snapshots[-1]
    assert last.levels == found.end.levels
    for number in (1, 2):
        applied = pr.effective_operator(found.model, number)
        high = np.quantile(np.abs(applied.values), 0.9)
        level = last.level(number)
        assert level == TrackedLevel(number, applied.radius, high, applied.median, applied.norm)
        assert level.median < level.high < level.radius <= level.norm
    assert last.level(3) is None
    smoother: Any = pr.models.build("q4", image_size=8, channels=(4, 8), placement="smoother")
    # Batch norm at the exit doesn't touch the residual.
    assert [level.level for level in Snapshot.of(smoother, 0).levels] == [1, 2]
    old = Snapshot(3, last.operators)
    old.save(tmp_path / "old.npz")
    assert Snapshot.load(tmp_path / "old.npz").levels == ()


def test_networks_with_several_or_no_polynomials_are_tracked(tmp_path: Path) -> None:
    torch.manual_seed(43)
    several: Any = pr.models.build("q6", image_size=8, channels=(4,), steps_per_A=1)
    pr.initialize(several)
    none = pr.models.build("mgnet-ab", image_size=8, channels=(4, 8))
    for model, letters in ((several, [("S",), ("S",), ("C",)]), (none, [(), ()])):
        Snapshot.of(model, 3).save(tmp_path / "s.npz")
        found = Snapshot.load(tmp_path / "s.npz")
        assert [operator.letters for operator in found.operators] == letters
        assert found.epoch == 3
    assert [operator.q for operator in found.operators] == [None, None]
    with torch.no_grad():
        several.levels[0].blocks[0].alphas.zero_()
    assert Snapshot.of(several, 1).operators[0].q is None
    with pytest.raises(pr.InputError, match="expected a network with convolutions A, got a ResNet"):
        Snapshot.of(pr.models.build("resnet20", image_size=8), 0)
    (tmp_path / "no.npz").write_bytes(b"x")
    with pytest.raises(pr.FileError, match="holds no tracked spectra"):
        Snapshot.load(tmp_path / "no.npz")


def test_tracking_changes_nothing_of_the_training(tmp_path: Path, tracked: Path) -> None:
    source = open_data("digits")
    result = train(small(source, limit=100, epochs=5, relax="none", signs="paper"), source, tmp_path / "run")
    one, other = load_checkpoint(result.run.last).weights, load_checkpoint(tracked / "last.pt").weights
    assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.slow
def test_a_spectrum_that_fails_is_a_warning(tmp_path: Path) -> None:
    """A diverged network, in a process of its own, has no spectrum, and later ones in the queue are computed."""
    run_ = Run(tmp_path)
    config = pr.models.model_config("q2", image_size=8, channels=(4,))
    model: Any = pr.models.build(config)
    tracker = Tracker(run_)
    tracker.add(1, Checkpoint(config, {name: value * torch.nan for name, value in model.state_dict().items()}))
    tracker.add(2, Checkpoint(config, model.state_dict()))
    tracker.advance()
    with snapshots_without_processes():
        tracker.wait()
    assert [path.name for path in run_.spectra.iterdir()] == ["epoch-000002.npz"]
    (problem,) = tracker.problems
    assert "levels.0.A.weight: 144 of 144 entries are NaN or infinite" in problem
    tracker.forget_after(1)
    assert list(run_.spectra.iterdir()) == []


def test_the_process_ends_with_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its parent is gone before it begins: it ends before torch is imported, and its network stays in the queue."""
    config = pr.models.model_config("q2", image_size=8, channels=(4,))
    tracker = Tracker(Run(tmp_path))
    tracker.add(1, Checkpoint(config, pr.models.build(config).state_dict()))
    monkeypatch.setattr("polyroots.training.runs.tracking.os.getpid", lambda: -1)
    tracker.wait()
    assert tracker.problems == [f"its process ended with status {-signal.SIGTERM}"]
    assert [path.name for path in tracker.run.spectra.iterdir()] == ["epoch-000001.pt"]


def test_a_warning_reaches_the_reporter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = []

    class Recorder(Reporter):
        def on_warning(self, message: str) -> None:
            said.append(message)

    monkeypatch.setattr("sys.executable", "/bin/false")
    source = open_data("digits")
    train(small(source, limit=20, epochs=1, track_spectrum=1), source, tmp_path / "run", reporter=Recorder())
    assert said == ["a spectrum could not be tracked: its process ended with status 1"] * 2


def test_a_spectrum_whose_process_was_killed_is_done_when_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_ = Run(tmp_path)
    config = pr.models.model_config("q2", image_size=8, channels=(4,))
    checkpoint = Checkpoint(config, pr.models.build(config).state_dict())
    with monkeypatch.context() as patch:
        suicide = tmp_path / "suicide"
        suicide.write_text("#!/bin/sh\nkill -9 $$\n")
        suicide.chmod(0o755)
        for executable, words in ((suicide, "its process ended with status -9"), (tmp_path / "none", "can be started")):
            patch.setattr("sys.executable", str(executable))
            tracker = Tracker(run_)
            tracker.add(1, checkpoint)
            tracker.wait()
            assert words in tracker.problems[0]
            assert [path.name for path in run_.spectra.iterdir()] == ["epoch-000001.pt"]
    with snapshots_without_processes():
        Tracker(run_).wait()
    assert [path.name for path in run_.spectra.iterdir()] == ["epoch-000001.npz"]


def test_a_spectrum_that_was_done_in_the_meantime_is_no_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that a killed run has left may compute the spectrum and remove the checkpoint."""
    run_ = Run(tmp_path)
    config = pr.models.model_config("q2", image_size=8, channels=(4,))
    late = tmp_path / "late"
    done = run_.spectra / "epoch-000001"
    late.write_text(f"#!/bin/sh\nmv {done}.pt {done}.npz\nexit 1\n")
    late.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(late))
    tracker = Tracker(run_)
    tracker.add(1, Checkpoint(config, pr.models.build(config).state_dict()))
    tracker.wait()
    assert tracker.problems == []


def test_roots_are_followed(rng: np.random.Generator) -> None:
    """Roots are matched in any order, and a root far from 0 may move far."""
    start = np.array([0.4, -0.6, 0.1 + 0.5j, 0.1 - 0.5j, 30.0])
    steps = [start * (1 + 0.02 * k) for k in range(6)]
    steps[4][-1] = 80.0
    ways = root_paths([pr.ResidualPolynomial(rng.permutation(step)) for step in steps])
    order = [int(np.abs(ways[0] - root).argmin()) for root in start]
    np.testing.assert_allclose(ways[:, order], np.array(steps), rtol=1e-12)
    ways = root_paths([None, pr.ResidualPolynomial([0.5]), None, pr.ResidualPolynomial([0.6])])
    assert np.isnan(ways[[0, 2]]).all()
    assert ways[[1, 3], 0].tolist() == [0.5, 0.6]


def test_the_flow_has_spectra_roots_and_heights(tracked: Path) -> None:
    operators = [(snapshot.epoch, snapshot.operators[0]) for snapshot in load_run(tracked).snapshots]
    moments = [SpectrumAtEpoch(epoch, operator.values, operator.q) for epoch, operator in operators]
    figure = draw_flow(moments, "the title", "the remark")
    plane, heights = figure.axes
    (bar,) = plane.child_axes
    assert (plane.get_xlabel()[:14], heights.get_xlabel(), bar.get_ylabel()) == ("Re $\\lambda$", "epoch", "epoch")
    lines = {line.get_label(): line for line in heights.lines}
    for share, label in ((1, "largest $|q|$"), (0.9, "90 % of $|q|$ are below"), (0.5, "median $|q|$")):
        x, y = lines[label].get_data()
        assert np.asarray(x).tolist() == [0, 2, 4, 5]
        assert y == pytest.approx([np.quantile(np.abs(m.q(m.values)), share) for m in moments])
    assert not any("mu" in str(label) for label in lines)
    assert heights.get_ylabel() == "$|q|$ on the spectrum"
    assert "the title\nthe remark" in [text.get_text() for text in figure.findobj(Text)]
    low, high = plane.get_xlim()
    filled = [line for line in plane.lines if line.get_marker() == "o" and line.get_markerfacecolor() == ROOT]
    rings = [line for line in plane.lines if line.get_marker() == "o" and line.get_markerfacecolor() == "none"]
    for line, moment in ((filled[0], moments[-1]), (rings[0], moments[0])):
        drawn = np.sort_complex(np.asarray(line.get_xdata()) + 1j * np.asarray(line.get_ydata()))
        assert np.allclose(drawn, np.sort_complex(moment.q.roots))
    for moment in moments:
        assert low < moment.values.real.min() < moment.values.real.max() < high
        for root in moment.q.roots:
            if abs(root) < 2:
                assert low < root.real < high


def with_applied(moments: list[SpectrumAtEpoch]) -> list[SpectrumAtEpoch]:
    """Return moments with what is applied after the first."""
    return [moments[0], *(moment._replace(applied=(8.0 - k, 4.0, 2.0)) for k, moment in enumerate(moments[1:]))]


def test_the_flow_shows_what_is_applied_beside_the_roots(tracked: Path) -> None:
    operators = [(snapshot.epoch, snapshot.operators[0]) for snapshot in load_run(tracked).snapshots]
    moments = [SpectrumAtEpoch(epoch, operator.values, operator.q) for epoch, operator in operators]
    heights = draw_flow(with_applied(moments), "a title").axes[1]
    lines = {line.get_label(): line for line in heights.lines}
    for label, sizes in (("largest", [8, 7, 6]), ("90 % of $|\\mu|$ are below", [4] * 3), ("median $|\\mu|$", [2] * 3)):
        line = lines[f"{label} $|\\mu|$" if label == "largest" else label]
        assert np.asarray(line.get_xdata()).tolist() == [2, 4, 5]
        assert np.asarray(line.get_ydata()).tolist() == sizes
        assert line.get_color() != lines["largest $|q|$"].get_color()
    assert heights.get_ylabel() == "$|q|$ of the roots, $|\\mu|$ applied"


@pytest.mark.parametrize("width", WIDTHS.values())
def test_no_word_of_the_flow_is_cut(tracked: Path, width: float) -> None:
    operators = [(snapshot.epoch, snapshot.operators[1]) for snapshot in load_run(tracked).snapshots]
    moments = [SpectrumAtEpoch(epoch, operator.values, operator.q) for epoch, operator in operators]
    no_roots = [SpectrumAtEpoch(epoch, operator.values, None) for epoch, operator in operators]
    extents = draw_flow(no_roots, "a title", "", width)
    require_nothing_is_cut(extents)
    if width == WIDTHS["one"]:
        # The upper half has no room left: the plane is as high as it would be alone, at its scales.
        (part, _), dpi = extents.subfigs, extents.dpi
        free = part.bbox.height - part.get_tightbbox().height * dpi
        assert free < 0.5 * dpi
    title = "$A$ of level 2 of q4 while it trained, 16 x 16 pixels, circular padding"
    remark = "batch norm cancels the size of the coefficients of blocks 1 (L) and 2 (L): their roots mean little"
    require_nothing_is_cut(draw_flow(moments, title, remark, width))
    require_nothing_is_cut(draw_flow(with_applied(moments), title, f"{remark}\n{_MU}", width))


def test_the_flow_is_that_of_a_run_or_of_spectra(tracked: Path, rng: np.random.Generator) -> None:
    loaded = load_run(tracked)
    moments = [SpectrumAtEpoch.of(snapshot, 1) for snapshot in loaded.snapshots]
    level = loaded.snapshots[-1].level(2)
    assert level is not None
    assert moments[-1].applied == (level.radius, level.high, level.median)
    of_run, of_snapshots, of_moments = (
        draw_flow(loaded, index=1),
        draw_flow(loaded.snapshots, index=1),
        draw_flow(moments),
    )
    for figure in (of_run, of_snapshots):
        for axes, others in zip(figure.axes, of_moments.axes, strict=True):
            for line, other in zip(axes.lines, others.lines, strict=True):
                np.testing.assert_array_equal(line.get_xydata(), other.get_xydata())
    spectra = [pr.eigenvalues(rng.standard_normal((2, 2, 3, 3)), 4) for _ in range(2)]
    extent = draw_flow([SpectrumAtEpoch(epoch, Lambda) for epoch, Lambda in enumerate(spectra)]).axes[1]
    (radii,) = [np.asarray(line.get_ydata()) for line in extent.lines if line.get_label() == "spectral radius"]
    assert radii.tolist() == [Lambda.radius for Lambda in spectra]


def test_the_flow_of_other_spectra(rng: np.random.Generator) -> None:
    """The figure is drawn for real eigenvalues and without polynomials, but not for one epoch."""
    moments = [SpectrumAtEpoch(epoch, rng.uniform(0.1, 2, 50) + 0j, None) for epoch in (0, 10)]
    figure = draw_flow(moments, "a title")
    assert figure.axes[1].get_ylabel() == "extent of the spectrum"
    with pytest.raises(pr.InputError, match="at least two epochs"):
        draw_flow(moments[:1], "a title")


@pytest.mark.slow
def test_the_command_draws_every_level(tracked: Path, tmp_path: Path) -> None:
    result = run("figures", "--only", "flow", "--run", tracked, "--numbers", "--out", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"flow-level{level}.{kind}" for level in (1, 2) for kind in ("npz", "pdf", "png", "svg")
    ]
    assert "Level 1: the spectral radius went from" in result.stdout
    cancelled = "batch norm cancels the size of the coefficients of blocks 1 (L) and 2 (L): their roots mean little"
    assert f"Level 2: {cancelled}." in result.stdout
    applied = load_run(tracked).end.level(2)
    assert applied is not None
    sentence = f"Level 2 applies an operator of spectral radius {applied.radius:.4g} and norm {applied.norm:.4g}"
    assert f"{sentence} to its residual after epoch 5" in result.stdout
    assert "Figure flow is of a run: add --run RUN." in fails(
        "figures", "--only", "flow", "--out", tmp_path / "no", exit_code=2
    )
    assert not (tmp_path / "no").exists()


def test_a_run_without_spectra_is_said(trained: tuple[Path, str], tmp_path: Path) -> None:
    message = fails("figures", "--only", "flow", "--run", trained[0], "--out", tmp_path / "f")
    assert "with 0: train with --track-spectrum K" in message
