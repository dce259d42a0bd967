"""The figures of runs and studies, their stored data, and the command."""

from __future__ import annotations

import json
import shutil
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import fails, run
from matplotlib.colors import to_hex
from pictures import require_nothing_is_cut
from PIL import Image
from small_runs import small

import polyroots as pr
from polyroots.checkpoints.own import Checkpoint, load_checkpoint, save_checkpoint
from polyroots.plotting.style import EIGENVALUE, START, WIDTHS
from polyroots.training import load_run, open_data, train
from polyroots_figures import FIGURES, Request, store
from polyroots_figures.make import FORMATS

# The package has a function of this name as well.
MAKE = import_module("polyroots_figures.make")


@pytest.fixture
def small_figures(monkeypatch: pytest.MonkeyPatch, rough_pictures: None, coarse_surfaces: None) -> None:
    """Make figures with few channels and pixels, for tests of files and messages."""
    monkeypatch.setattr("polyroots_figures.operators.CHANNELS", 4)
    monkeypatch.setattr("polyroots_figures.operators.SIZE", (8, 8))
    monkeypatch.setattr("polyroots_figures.smoothing.SIZE", 16)
    monkeypatch.setattr("polyroots_figures.figure1.NETWORKS", {"q2": "q2"})


# spectra


def test_spectra_before_and_after_training(tracked: Path) -> None:
    loaded = load_run(tracked)
    (computed,) = FIGURES["spectra"].compute(Request(run=loaded))
    assert [level["title"] for level in computed.data["levels"]] == ["level 1: 8 x 8", "level 2: 4 x 4"]
    for level, first, last in zip(
        computed.data["levels"], loaded.snapshots[0].operators, loaded.snapshots[-1].operators, strict=True
    ):
        before, after = level["moments"]["before training"], level["moments"]["after training"]
        assert np.array_equal(before["values"], first.values)
        assert np.array_equal(after["values"], last.values)
        assert np.array_equal(after["roots"], last.q.roots)
    for width in WIDTHS.values():
        figure = FIGURES["spectra"].draw(computed.data, width)[""]
        require_nothing_is_cut(figure)
        panels = {axes.get_title(): axes for axes in figure.axes}
        assert len(panels) == 4
        for level in computed.data["levels"]:
            for (when, moment), colour in zip(level["moments"].items(), (START, EIGENVALUE), strict=True):
                axes = panels[f"{level['title']}\n{when}"]
                (low, high), (bottom, top) = axes.get_xlim(), axes.get_ylim()
                values = moment["values"]
                assert low < values.real.min() <= values.real.max() < high
                assert bottom < values.imag.min() <= values.imag.max() < top
                lines = {line.get_label(): line for line in axes.lines}
                (cloud,) = [line for line in axes.lines if line.get_marker() == "." and np.size(line.get_xdata())]
                assert to_hex(cloud.get_color()) == colour
                shown = (
                    {complex(*point) for point in np.asarray(lines["roots"].get_xydata())}
                    if "roots" in lines
                    else set()
                )
                assert shown <= set(moment["roots"].tolist())
                outside = len(moment["roots"]) - len(shown)
                assert (f"{outside} root" in axes.get_xlabel()) == (outside > 0)
                # The spectrum before training is an outline on the one after it.
                assert ("their outline before training" in lines) == (when == "after training")
                if when == "after training":
                    outline = np.asarray(lines["their outline before training"].get_xydata())
                    before = level["moments"]["before training"]["values"]
                    assert outline[:, 0].max() == before.real.max()
                    assert outline[:, 1].max() == before.imag.max()


def test_the_network_at_the_start_is_drawn_once_more(tracked: Path, tmp_path: Path) -> None:
    """Without tracking the first network is drawn again from the seed, and checked against the radii of init.json."""
    copy = tmp_path / "copy"
    shutil.copytree(tracked, copy, ignore=shutil.ignore_patterns("spectra"))
    state = torch.random.get_rng_state()
    beginning = load_run(copy).beginning
    assert torch.equal(torch.random.get_rng_state(), state)
    for operator, expected in zip(beginning.operators, load_run(tracked).snapshots[0].operators, strict=True):
        assert np.array_equal(operator.values, expected.values)
        assert np.array_equal(operator.q.roots, expected.q.roots)
    document = json.loads((copy / "init.json").read_text())
    document["levels"][1]["radius"] *= 1.01
    (copy / "init.json").write_text(json.dumps(document))
    with pytest.raises(pr.InputError, match=r"network that .* began with can.t be drawn again from the seed"):
        load_run(copy).beginning  # noqa: B018


@pytest.mark.parametrize("alpha_init", ["uniform:0.5,1.5", "constant:2"])
def test_coefficients_without_a_spectrum_are_drawn_once_more(
    alpha_init: str, tmp_path: Path, no_tracker_process: Any
) -> None:
    source = open_data("digits")
    config = small(source, limit=40, epochs=1, track_spectrum=1, alpha_init=alpha_init)
    train(config, source, tmp_path / "run")
    loaded = load_run(tmp_path / "run")
    assert loaded.init["alpha_init"] == alpha_init
    tracked = loaded.snapshots[0]
    shutil.rmtree(tmp_path / "run" / "spectra")
    for operator, expected in zip(load_run(tmp_path / "run").beginning.operators, tracked.operators, strict=True):
        assert [a.tolist() for a in operator.alphas] == [a.tolist() for a in expected.alphas]


def test_a_network_without_roots_is_drawn_by_the_same_torch_only(tmp_path: Path, no_tracker_process: Any) -> None:
    source = open_data("digits")
    train(small(source, name="mgnet-ab", limit=40, epochs=1, track_spectrum=1), source, tmp_path / "run")
    first = load_run(tmp_path / "run").snapshots[0]
    shutil.rmtree(tmp_path / "run" / "spectra")
    again = load_run(tmp_path / "run").beginning
    assert all(np.array_equal(a.values, b.values) for a, b in zip(first.operators, again.operators, strict=True))
    document = json.loads((tmp_path / "run" / "config.json").read_text())
    document["environment"]["torch"] = "1.0"
    (tmp_path / "run" / "config.json").write_text(json.dumps(document))
    with pytest.raises(pr.InputError, match="this version of torch draws others"):
        load_run(tmp_path / "run").beginning  # noqa: B018


def test_a_run_from_a_file_begins_with_it(trained: tuple[Path, str], init_file: Path) -> None:
    beginning = load_run(trained[0]).beginning
    weights = load_checkpoint(init_file).weights
    for index, operator in enumerate(beginning.operators):
        size = 8 // 2**index
        assert np.array_equal(operator.values, pr.eigenvalues(weights[f"levels.{index}.A.weight"], size).values)


def test_spectra_of_a_checkpoint_are_one_moment(init_file: Path, tmp_path: Path, rough_pictures: None) -> None:
    run("figures", "--only", "spectra", "--checkpoint", init_file, "--out", tmp_path)
    name, data = store.load(tmp_path / "spectra.npz")
    assert name == "spectra"
    assert [list(level["moments"]) for level in data["levels"]] == [["before training"]] * 2


# What is stored


@pytest.mark.slow
def test_a_run_stands_for_its_checkpoint(trained: tuple[Path, str], tmp_path: Path, rough_pictures: None) -> None:
    for name in ("", "last.pt"):
        run("figures", "--only", "spectra", "--checkpoint", trained[0] / name, "--out", tmp_path / f"of-{name}")
    values = []
    for name in ("", "last.pt"):
        found = store.load(tmp_path / f"of-{name}" / "spectra.npz")
        assert found is not None
        levels = found[1]["levels"]
        values.append([moment["values"] for level in levels for moment in level["moments"].values()])
    assert len(values[0]) == 2
    assert all(np.array_equal(*pair) for pair in zip(*values, strict=True))


def test_data_is_stored_under_its_names(tmp_path: Path) -> None:
    data: dict[str, Any] = {
        "title": "array: a $b$",
        "empty": [],
        "levels": [{"values": np.array([1 + 2j, 3]), "roots": None}, {"n": 3, "x": 0.5}],
    }
    store.save(tmp_path / "a.npz", "3", data)
    name, found = store.load(tmp_path / "a.npz")
    assert name == "3"
    assert found["levels"][0].pop("values").tolist() == [1 + 2j, 3]
    del data["levels"][0]["values"]
    assert found == data
    with np.load(tmp_path / "a.npz") as arrays:
        assert arrays["levels/0/values"].dtype == np.complex128
    np.savez(tmp_path / "b.npz", x=np.arange(3))
    assert store.load(tmp_path / "b.npz") is None
    (tmp_path / "c.npz").write_bytes(b"PK\x03\x04 no")
    with pytest.raises(pr.FileError, match=r"c\.npz holds no data of a figure"):
        store.load(tmp_path / "c.npz")


@pytest.mark.slow
def test_pictures_are_drawn_again_from_their_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is computed again; the files are equal at the same width, and change with the width."""
    monkeypatch.setattr("polyroots_figures.smoothing.SIZE", 16)
    run("figures", "--only", 2, "--only", "smoothing", "--out", tmp_path)
    np.savez(tmp_path / "somebody_elses.npz", x=np.arange(3))
    kinds = [f"{stem}.{kind}" for stem in ("figure2", "smoothing") for kind in ("png", "pdf", "svg")]
    before = {name: (tmp_path / name).read_bytes() for name in kinds}

    def never(request: Any) -> None:
        raise AssertionError

    for kind in FIGURES.values():
        object.__setattr__(kind, "compute", kind.compute)  # assigned to itself, so that monkeypatch restores it
        monkeypatch.setitem(kind.__dict__, "compute", never)
    for name in kinds:
        (tmp_path / name).unlink()
    run("figures", "--redraw", "--out", tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in kinds} == before
    run("figures", "--redraw", "--only", "smoothing", "--width", "one", "--out", tmp_path)
    with Image.open(tmp_path / "smoothing.png") as image, Image.open(tmp_path / "figure2.png") as other:
        assert image.width == pytest.approx(3.4 * 300, abs=1)
        assert other.width == 7 * 300
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_fonts_are_embedded(tmp_path: Path) -> None:
    run("figures", "--only", 2, "--out", tmp_path)
    pdf = (tmp_path / "figure2.pdf").read_bytes()
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    svg = (tmp_path / "figure2.svg").read_text()
    assert "<text" not in svg
    assert "<path" in svg


# The command


@pytest.mark.slow
def test_figures_that_can_be_drawn_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_figures: None, trained: tuple[Path, str]
) -> None:
    out = tmp_path / "new" / "figures"
    with monkeypatch.context() as patch:
        patch.setattr(MAKE, "FORMATS", FORMATS)
        result = run("figures", "--out", out, "--seed", 4)
    expected = {"figure1", "figure2", "figure3", "figure3-flat", "figure4", "strategies", "smoothing"}
    assert {path.stem for path in out.iterdir()} == expected
    assert {path.suffix for path in out.iterdir()} == {".npz", ".png", ".pdf", ".svg"}
    wrote = ["figure1", "figure2", "figure3, figure3-flat", "figure4", "strategies", "smoothing"]
    assert result.stdout.splitlines() == [f"wrote {out / name} (.npz, .png, .pdf, .svg)" for name in wrote]
    result = run("figures", "--out", tmp_path / "run", "--run", trained[0], "--level", 2)
    assert f"Figure flow is left out: {trained[0]} was trained without --track-spectrum." in result.stdout
    names = {"figure1", "figure2", "figure3-level2", "figure3-level2-flat", "figure4-level2", "strategies-level2"}
    assert {path.stem for path in (tmp_path / "run").iterdir()} == names | {"smoothing", "spectra"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--only", "7"),
            "unknown figure '7': expected 1, 2, 3, 4, 5, relaxation, spectra, flow",
        ),
        (("--only", "spectrum"), "unknown figure 'spectrum': did you mean 'spectra'?"),
        (("--only", "5"), "Figure 5 is of a study: add --study DIR."),
        (("--only", "spectra"), "Figure spectra is of a network: add --run RUN or --checkpoint FILE."),
        (("--only", "2", "--degree", "4"), "figure 2 doesn't depend on --degree; leave it out."),
        (("--only", "4", "--only", "1", "--roots", "leja"), "figures 4 and 1 don't depend on --roots; leave it out."),
        (("--redraw", "--seed", "3"), "--redraw draws stored data again; leave --seed out, which determines new data."),
        (("--redraw", "--numbers"), "--numbers are printed when figures are computed; leave it or --redraw out."),
        (("--roots", "lejja"), "unknown strategy 'lejja': did you mean 'leja'?"),
        (("--roots", "given"), "roots by hand are drawn by 'polyroots init --root"),
        (("--roots", "own"), "--roots own are those of a network; add --run RUN"),
        (("--degree", "-1"), "expected a whole number of at least 0, got '-1'"),
    ],
)
def test_mistakes_of_figures(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    assert message in fails("figures", *arguments, "--out", tmp_path / "f", exit_code=2)
    assert not (tmp_path / "f").exists()


@pytest.mark.slow
def test_what_cannot_be_drawn_does_not_stop_the_others(tmp_path: Path, init_file: Path, small_figures: None) -> None:
    """A is zero at level 2, so two figures have a message instead of pictures, and the exit status is 1."""
    checkpoint = load_checkpoint(init_file)
    weights = {key: value.clone() for key, value in checkpoint.weights.items()}
    weights["levels.1.A.weight"].zero_()
    save_checkpoint(tmp_path / "zero.pt", Checkpoint(checkpoint.config, weights))
    out = tmp_path / "f"
    result = run("figures", "--checkpoint", tmp_path / "zero.pt", "--level", 2, "--out", out, exit_code=1)
    assert "Figure 3 is left out: " in result.stdout
    assert "figures 3, 4, strategies could not be drawn" in result.stderr
    assert {path.stem for path in out.iterdir()} == {"figure1", "figure2", "spectra", "smoothing"}
    run("figures", "--redraw", "--out", out)


def test_damaged_data_is_said(tmp_path: Path, rough_pictures: None) -> None:
    run("figures", "--only", 2, "--out", tmp_path)
    store.save(tmp_path / "figure3.npz", "3", {"title": "x", "values": np.array(["a", "b"]), "roots": np.array([1.0])})
    assert f"{tmp_path / 'figure3.npz'} is damaged" in fails("figures", "--redraw", "--only", 3, "--out", tmp_path)


def test_nothing_to_draw_again(tmp_path: Path) -> None:
    assert f"{tmp_path} holds no data that 'polyroots figures" in fails("figures", "--redraw", "--out", tmp_path)
    message = fails("figures", "--redraw", "--only", 3, "--out", tmp_path)
    assert "holds no data of 3 that" in message


@pytest.mark.slow
def test_a_resnet_has_no_levels(tmp_path: Path, small_figures: None) -> None:
    config = pr.models.model_config("resnet20", image_size=8, in_channels=1)
    model = pr.models.build(config)
    save_checkpoint(tmp_path / "r.pt", Checkpoint(config, model.state_dict()))
    message = fails("figures", "--only", 3, "--checkpoint", tmp_path / "r.pt", "--out", tmp_path / "f")
    assert "resnet20 has no levels" in message
    printed = run("figures", "--checkpoint", tmp_path / "r.pt", "--out", tmp_path / "all").stdout
    assert "Figure 3 is left out: resnet20 has no convolution A." in printed
    stems = {path.stem for path in (tmp_path / "all").iterdir()}
    assert stems == {"figure1", "figure2", "smoothing"}
    message = fails("figures", "--only", "spectra", "--checkpoint", tmp_path / "r.pt", "--out", tmp_path / "f")
    assert "expected a network with convolutions A, got a ResNet" in message
