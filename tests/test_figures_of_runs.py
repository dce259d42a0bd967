"""The figures of runs and studies, what is stored beside pictures, and the command."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from commands import fails, run
from matplotlib.colors import to_hex
from pictures import require_nothing_is_cut, texts
from PIL import Image
from small_runs import small

import polyroots as pr
from polyroots.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from polyroots.plotting.style import EIGENVALUE, START, WIDTHS
from polyroots.study import results_of, series_of
from polyroots.training import load_run, open_data, train
from polyroots_figures import FIGURES, Request, store


@pytest.fixture
def study(tmp_path, trained):
    """Runs as if they had been trained: two networks with channels of two kinds, three seeds; one isn't done."""
    config = json.loads((trained[0] / "config.json").read_text())
    for name in ("q4", "q2"):
        for width in (4, 8):
            for seed in (11, 12, 13):
                config["config"]["model"] |= {"name": name, "channels": [width, 2 * width]}
                config["config"]["seed"] = seed
                directory = tmp_path / "study" / f"{name}-{width}" / str(seed)
                directory.mkdir(parents=True)
                (directory / "config.json").write_text(json.dumps(config))
                accuracy = (0.9 if name == "q4" else 0.8) + width / 100 + (seed - 11) ** 2 / 1000
                scores = {"last": {"test_accuracy": accuracy}, "best": {"test_accuracy": accuracy + 0.01}}
                (directory / "result.json").write_text(json.dumps({"data": "some digits", **scores}))
    (tmp_path / "study" / "q2-4" / "13" / "result.json").unlink()
    (tmp_path / "study" / "other").mkdir()
    (tmp_path / "study" / "other" / "config.json").write_text("{}")
    return tmp_path / "study"


# Figure 5


def test_figure_5_has_mean_and_spread_of_each_network(study):
    (computed,) = FIGURES["5"].compute(Request(study=study))
    series = {one["label"]: one["points"] for one in computed.data["series"]}
    assert sorted(series) == ["q2", "q4"]
    for name, points in series.items():
        assert [point["channels"] for point in points] == [[4, 8], [8, 16]]
        for point in points:
            config = pr.models.model_config(name, image_size=8, in_channels=1, channels=point["channels"])
            assert point["weights"] == pr.models.count_weights(pr.models.build(config))
    assert series["q4"][0]["accuracies"] == pytest.approx([0.94, 0.941, 0.944])
    assert series["q2"][0]["seeds"] == [11, 12]
    assert computed.words[-1] == f"1 run not done, left out: {study / 'q2-4' / '13'}."
    assert any(
        word.startswith("q4, channels 4,8, ") and word.endswith(" weights: 94.17 +- 0.21 % (3 seeds).")
        for word in computed.words
    )
    for width in WIDTHS.values():
        figure = FIGURES["5"].draw(computed.data, width)[""]
        require_nothing_is_cut(figure)
        (axes,) = figure.axes
        assert axes.get_xscale() == "log"
        assert {text.get_text() for text in axes.texts} == {"q2", "q4"}
        assert "some digits, after the last epoch" in texts(figure)
        assert axes.get_xlabel() == "weights\nmean and standard deviation of 2 to 3 seeds"
        seeds = sorted(y for line in axes.lines if line.get_marker() == "." for y in line.get_ydata())
        expected = [100 * a for points in series.values() for point in points for a in point["accuracies"]]
        assert seeds == pytest.approx(sorted(expected))
        for container, name in zip(axes.containers, series, strict=True):
            line, _, (bars,) = container
            x, y = line.get_data()
            assert list(x) == [point["weights"] for point in series[name]]
            assert y == pytest.approx([100 * point["accuracies"].mean() for point in series[name]])
            for segment, point in zip(bars.get_segments(), series[name], strict=True):
                assert np.ptp(segment[:, 1]) == pytest.approx(200 * point["accuracies"].std(ddof=1))
            (label,) = [text for text in axes.texts if text.get_text() == name]
            assert to_hex(label.get_color()) == to_hex(line.get_color())


def edited(path, **fields):
    """Change fields of a run's configuration."""
    document = json.loads((path / "config.json").read_text())
    document["config"] |= fields
    (path / "config.json").write_text(json.dumps(document))


def labels(study):
    return sorted(one.label for one in series_of(results_of(study).done))


@pytest.mark.parametrize(
    ("fields", "mark"),
    [
        ({"epochs": 30}, "epochs 30"),
        ({"limit": 50}, "limit 50"),
        ({"val_fraction": 0.2}, "val-fraction 0.2"),
        ({"lr": 0.05}, "lr 0.05"),
        ({"devices": 2}, "processes 2"),
    ],
)
def test_what_decides_a_run_is_in_the_label(study, fields, mark):
    for seed in (11, 12, 13):
        edited(study / "q4-8" / str(seed), **fields)
    (label,) = [label for label in labels(study) if label.endswith(mark)]
    assert label.startswith("q4, ")


def test_what_a_run_began_with_is_in_the_label(study, trained):
    """Roots for another region; a network that was trained before."""
    for seed in (11, 12, 13):
        init = json.loads((trained[0] / "init.json").read_text())
        (study / "q4-8" / str(seed) / "init.json").write_text(json.dumps(init | {"region": "high"}))
        shutil.copy(trained[0] / "last.pt", study / "q2-8" / str(seed) / "start.pt")
    found = labels(study)
    assert any(label.startswith("q4, region high") for label in found)
    assert "q2, start trained" in found
    # Long names stand below the picture.
    (computed,) = FIGURES["5"].compute(Request(study=study))
    for width in WIDTHS.values():
        figure = FIGURES["5"].draw(computed.data, width)[""]
        require_nothing_is_cut(figure)
        assert {text.get_text().replace("\n", " ") for text in figure.legends[0].get_texts()} == set(found)
    assert "q2, start fresh" in found


def test_networks_whose_titles_are_the_same_are_told_apart(study):
    for seed, blocks in ((11, "L,L,L,L,C,C,C"), (12, "C,C,C,L,L,L,L")):
        path = study / "q4-8" / str(seed) / "config.json"
        document = json.loads(path.read_text())
        document["config"]["model"] |= {"name": blocks}
        path.write_text(json.dumps(document))
    assert {"L,L,L,L,C,C,C", "C,C,C,L,L,L,L"} < set(labels(study))


def test_one_seed_counts_once(study):
    shutil.copytree(study / "q4-8" / "11", study / "z")
    edited(study / "z", track_spectrum=3)
    (computed,) = FIGURES["5"].compute(Request(study=study))
    assert all(point["seeds"] in ([11, 12], [11, 12, 13]) for one in computed.data["series"] for point in one["points"])
    assert computed.words[-1] == f"Left out, as another run has the same configuration and seed: {study / 'z'}."


def test_a_dollar_in_a_name_is_no_mathematics(study):
    for result in study.rglob("result.json"):
        result.write_text(result.read_text().replace("some digits", "$\\\\foo$ digits"))
    (computed,) = FIGURES["5"].compute(Request(study=study))
    FIGURES["5"].draw(computed.data, 7)[""].draw_without_rendering()


def test_what_else_differs_is_in_the_label(study):
    for seed in (11, 12, 13):
        path = study / "q4-8" / str(seed) / "config.json"
        document = json.loads(path.read_text())
        document["config"] |= {"alpha_init": "xavier", "device": "cuda", "workers": 7}
        path.write_text(json.dumps(document))
    assert sorted(one.label for one in series_of(results_of(study).done)) == [
        "q2",
        "q4, alpha-init spectrum",
        "q4, alpha-init xavier",
    ]


def test_runs_on_different_data_do_not_compare(study, tmp_path):
    path = study / "q4-8" / "11" / "result.json"
    path.write_text(path.read_text().replace("some digits", "other digits"))
    message = fails("figures", "--only", 5, "--study", study, "--out", tmp_path / "f")
    assert "expected runs on one data set, whose accuracies compare, got other digits and some digits" in message
    assert not list((tmp_path / "f").iterdir())
    assert "no directory" in fails("figures", "--only", 5, "--study", tmp_path / "none", "--out", tmp_path / "f")
    (tmp_path / "empty").mkdir()
    assert "holds no run" in fails("figures", "--only", 5, "--study", tmp_path / "empty", "--out", tmp_path / "f")
    for result in study.rglob("result.json"):
        result.unlink()
    assert "no run of" in fails("figures", "--only", 5, "--study", study, "--out", tmp_path / "f")


# spectra


def test_spectra_before_and_after_training(tracked):
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
        for axes, level in zip(figure.axes, computed.data["levels"], strict=True):
            assert axes.get_title() == level["title"]
            (low, high), (bottom, top) = axes.get_xlim(), axes.get_ylim()
            for moment in level["moments"].values():
                values = moment["values"]
                assert low < values.real.min() <= values.real.max() < high
                assert bottom < values.imag.min() <= values.imag.max() < top
            clouds = [line for line in axes.lines if line.get_label().startswith("_") and line.get_marker() == "."]
            radii = [np.hypot(*line.get_data()).max() for line in clouds]
            assert [to_hex(line.get_color()) for line in clouds] == [START, EIGENVALUE]
            # The larger one doesn't hide the smaller one.
            assert (radii[0] < radii[1]) == (clouds[0].get_zorder() > clouds[1].get_zorder())
            roots = [line for line in axes.lines if line.get_label() == "roots after training"]
            shown = {complex(x, y) for line in roots for x, y in zip(*line.get_data(), strict=True)}
            assert shown <= set(level["moments"]["after training"]["roots"].tolist())


def test_the_network_at_the_start_is_drawn_once_more(tracked, tmp_path):
    """What was not tracked follows from the seed; a run from a file begins with that."""
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
    with pytest.raises(pr.InputError, match=r"may no longer draw the network .* began with"):
        load_run(copy).beginning  # noqa: B018


@pytest.mark.parametrize("alpha_init", ["uniform:0.5,1.5", "constant:2"])
def test_coefficients_without_a_spectrum_are_drawn_once_more(alpha_init, tmp_path):
    source = open_data("digits")
    config = small(source, limit=40, epochs=1, track_spectrum=1, alpha_init=alpha_init)
    train(config, source, tmp_path / "run")
    loaded = load_run(tmp_path / "run")
    assert loaded.init["alpha_init"] == alpha_init
    tracked = loaded.snapshots[0]
    shutil.rmtree(tmp_path / "run" / "spectra")
    for operator, expected in zip(load_run(tmp_path / "run").beginning.operators, tracked.operators, strict=True):
        assert [a.tolist() for a in operator.alphas] == [a.tolist() for a in expected.alphas]


def test_a_network_without_roots_is_drawn_by_the_same_torch_only(tmp_path):
    source = open_data("digits")
    train(small(source, name="mgnet-ab", limit=40, epochs=1, track_spectrum=1), source, tmp_path / "run")
    first = load_run(tmp_path / "run").snapshots[0]
    shutil.rmtree(tmp_path / "run" / "spectra")
    again = load_run(tmp_path / "run").beginning
    assert all(np.array_equal(a.values, b.values) for a, b in zip(first.operators, again.operators, strict=True))
    document = json.loads((tmp_path / "run" / "config.json").read_text())
    document["environment"]["torch"] = "1.0"
    (tmp_path / "run" / "config.json").write_text(json.dumps(document))
    with pytest.raises(pr.InputError, match="another version of torch"):
        load_run(tmp_path / "run").beginning  # noqa: B018


def test_a_run_from_a_file_begins_with_it(trained, init_file):
    beginning = load_run(trained[0]).beginning
    weights = load_checkpoint(init_file).weights
    for index, operator in enumerate(beginning.operators):
        size = 8 // 2**index
        assert np.array_equal(operator.values, pr.eigenvalues(weights[f"levels.{index}.A.weight"], size).values)


def test_spectra_of_a_checkpoint_are_one_moment(init_file, tmp_path):
    run("figures", "--only", "spectra", "--checkpoint", init_file, "--out", tmp_path)
    name, data = store.load(tmp_path / "spectra.npz")
    assert name == "spectra"
    assert [list(level["moments"]) for level in data["levels"]] == [["before training"]] * 2


# What is stored


def test_data_is_stored_under_its_names(tmp_path):
    data = {
        "title": "a $b$",
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


def test_pictures_are_drawn_again_from_their_data(tmp_path, monkeypatch):
    """Without computing anything, to the same bytes; and in another width."""
    run("figures", "--only", 1, "--only", "smoothing", "--out", tmp_path)
    np.savez(tmp_path / "somebody_elses.npz", x=np.arange(3))
    kinds = [f"{stem}.{kind}" for stem in ("figure1", "smoothing") for kind in ("png", "pdf", "svg")]
    before = {name: (tmp_path / name).read_bytes() for name in kinds}

    def never(request):
        raise AssertionError

    for kind in FIGURES.values():
        object.__setattr__(kind, "compute", kind.compute)  # as it is, for monkeypatch to restore
        monkeypatch.setitem(kind.__dict__, "compute", never)
    for name in kinds:
        (tmp_path / name).unlink()
    run("figures", "--redraw", "--out", tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in kinds} == before
    run("figures", "--redraw", "--only", "smoothing", "--width", "one", "--out", tmp_path)
    with Image.open(tmp_path / "smoothing.png") as image, Image.open(tmp_path / "figure1.png") as other:
        assert image.width == pytest.approx(3.4 * 300, abs=1)
        assert other.width == 7 * 300
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_fonts_are_embedded(tmp_path):
    run("figures", "--only", 2, "--out", tmp_path)
    pdf = (tmp_path / "figure2.pdf").read_bytes()
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    svg = (tmp_path / "figure2.svg").read_text()
    assert "<text" not in svg
    assert "<path" in svg


# The command


def test_figures_that_can_be_drawn_are(tmp_path, monkeypatch, trained):
    monkeypatch.setattr("polyroots_figures.operators.CHANNELS", 4)
    monkeypatch.setattr("polyroots_figures.operators.SIZE", (8, 8))
    out = tmp_path / "new" / "figures"
    result = run("figures", "--out", out, "--seed", 4)
    expected = {"figure1", "figure2", "figure3", "figure3-flat", "figure4", "strategies", "smoothing"}
    assert {path.stem for path in out.iterdir()} == expected
    assert {path.suffix for path in out.iterdir()} == {".npz", ".png", ".pdf", ".svg"}
    assert result.stdout.startswith(f"wrote {out / 'figure1'} (.npz, .png, .pdf, .svg)\n")
    assert f"wrote {out / 'figure3-flat'} (.png, .pdf, .svg)\n" in result.stdout
    result = run("figures", "--out", tmp_path / "run", "--run", trained[0], "--level", 2)
    assert f"Figure flow is left out: {trained[0]} was trained without --track-spectrum." in result.stdout
    names = {"figure1", "figure2", "figure3-level2", "figure3-level2-flat", "figure4-level2", "strategies-level2"}
    assert {path.stem for path in (tmp_path / "run").iterdir()} == names | {"smoothing", "spectra"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--only", "7"), "unknown figure '7': expected 1, 2, 3, 4, 5, spectra, flow, strategies, smoothing"),
        (("--only", "spectrum"), "unknown figure 'spectrum': did you mean 'spectra'?"),
        (("--only", "5"), "Figure 5 is of a study: add --study DIR."),
        (("--only", "spectra"), "Figure spectra is of a network: add --run RUN or --checkpoint FILE."),
        (("--only", "2", "--degree", "4"), "--degree has no say in figure 2; leave it out."),
        (("--only", "4", "--only", "1", "--roots", "leja"), "--roots has no say in figure 4 and 1; leave it out."),
        (("--redraw", "--seed", "3"), "--redraw draws what was computed before, --seed asks for something else."),
        (("--roots", "lejja"), "unknown strategy 'lejja': did you mean 'leja'?"),
        (("--roots", "given"), "roots by hand are for 'polyroots init --root"),
        (("--roots", "own"), "--roots own are those of a network; add --run RUN"),
        (("--degree", "-1"), "-1 is not in the range x>=0"),
    ],
)
def test_mistakes_of_figures(arguments, message, tmp_path):
    assert message in fails("figures", *arguments, "--out", tmp_path / "f", exit_code=2)
    assert not (tmp_path / "f").exists()


def test_what_cannot_be_drawn_does_not_stop_the_others(tmp_path, init_file):
    """A is zero at level 2: no roots, no strategies; the message is at its place, and the exit status says it."""
    checkpoint = load_checkpoint(init_file)
    weights = {key: value.clone() for key, value in checkpoint.weights.items()}
    weights["levels.1.A.weight"].zero_()
    save_checkpoint(tmp_path / "zero.pt", Checkpoint(checkpoint.config, weights))
    out = tmp_path / "f"
    result = run("figures", "--checkpoint", tmp_path / "zero.pt", "--level", 2, "--out", out, exit_code=1)
    assert "Figure 3 is left out: " in result.stdout
    assert "of figure 3, 4, strategies there is no picture" in result.stderr
    assert {path.stem for path in out.iterdir()} == {"figure1", "figure2", "spectra", "smoothing"}
    run("figures", "--redraw", "--out", out)


def test_damaged_data_is_said(tmp_path):
    run("figures", "--only", 2, "--out", tmp_path)
    store.save(tmp_path / "figure3.npz", "3", {"title": "x", "values": np.array(["a", "b"]), "roots": np.array([1.0])})
    assert f"{tmp_path / 'figure3.npz'} is damaged" in fails("figures", "--redraw", "--only", 3, "--out", tmp_path)


def test_nothing_to_draw_again(tmp_path):
    assert f"{tmp_path} holds no data that 'polyroots figures" in fails("figures", "--redraw", "--out", tmp_path)
    message = fails("figures", "--redraw", "--only", 3, "--out", tmp_path)
    assert "holds no data of 3 that" in message


def test_a_resnet_has_no_levels(tmp_path):
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
