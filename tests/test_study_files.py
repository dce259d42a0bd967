"""Study files: their content, errors with their lines, and the runs that they describe."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from commands import fails, run
from small_studies import TEXT, written

from polyroots.errors import FileError, InputError
from polyroots.study import Machine, make_plan
from polyroots.study.description import read_description
from polyroots.study.lines import line_of


@pytest.fixture
def study(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a study file, with parts of it replaced."""
    return partial(written, tmp_path)


def test_a_grid_has_every_combination_with_every_seed_but_those_that_are_excluded(study: Callable[..., Path]) -> None:
    plan, _ = make_plan(study())
    asked = [(r.settings["model"], r.settings["alpha-init"], r.config.seed) for r in plan.runs]
    once = [("q2", "spectrum"), ("q2", "xavier"), ("q4", "spectrum"), ("resnet18", None), ("mgnet-ab", None)]
    # All combinations with one seed come before the next seed, so that an interrupted study has complete seeds.
    assert asked == [(*pair, seed) for seed in (11, 23) for pair in once]
    assert plan.keys == ("model", "alpha-init")
    assert plan.seeds == (11, 23)
    assert {r.config.epochs for r in plan.runs} == {2}
    assert plan.runs[1].config.alpha_init == "xavier"
    assert plan.runs[1].config.model.channels == (8, 16)
    assert plan.runs[1].name == "q2_alpha-init-xavier_seed-11"
    assert plan.runs[3].name == "resnet18_seed-11"
    assert len({r.name for r in plan.runs}) == 10
    assert [len(runs) for runs in plan.by_combination()] == [2] * 5


def test_a_number_of_seeds_counts_from_the_default_one(study: Callable[..., Path]) -> None:
    assert make_plan(study(("seeds = [11, 23]", "seeds = 3")))[0].seeds == (7, 8, 9)
    assert make_plan(study(("seeds = [11, 23]\n", "")))[0].seeds == (7,)


def test_a_base_alone_is_one_run(study: Callable[..., Path]) -> None:
    plan, _ = make_plan(study(text='[base]\nmodel = "q2"\nepochs = 1\n'))
    (only,) = plan.runs
    assert (only.name, only.config.model.name, dict(only.settings)) == ("seed-7", "q2", {})


def test_channels_are_one_value_or_several(study: Callable[..., Path]) -> None:
    one = make_plan(study(text="[axes]\nchannels = [4, 8]\n"))[0]
    two = make_plan(study(text='[base]\nmodel = "q2"\n[axes]\nchannels = [[4, 8], [8, 16]]\n'))[0]
    assert [r.config.model.channels for r in one.runs] == [(4, 8)]
    assert [r.config.model.channels for r in two.runs] == [(4, 8), (8, 16)]
    assert [r.name for r in two.runs] == ["channels-4-8_seed-7", "channels-8-16_seed-7"]


def test_settings_are_those_of_train_in_its_words(study: Callable[..., Path], tmp_path: Path) -> None:
    text = (
        '[base]\nmodel = "L,C"\nscale = "1/sqrt8"\npadding = "circular"\na-init = "shifted"\nsteps-per-a = 1\n'
        'placement = "smoother"\nroots = "leja"\nrecipe = "quick"\nclip = 2.0\nlr = 0.05\nlimit = 100\n'
        'alphas = "fixed"\nval-fraction = 0.1\nrelax = 0.25\nsigns = "placement"\n'
    )
    config = make_plan(study(text=text))[0].runs[0].config
    options = text.replace("[base]\n", "").replace(" = ", " ").replace('"', "").split()
    words = [f"--{word}" if index % 2 == 0 else word for index, word in enumerate(options)]
    run("train", *words, "--epochs", 2, "--device", "cpu", "--out", tmp_path / "run")
    theirs = json.loads((tmp_path / "run" / "config.json").read_text())["config"]
    ours = config.model_dump(mode="json") | {"epochs": 2, "device": "cpu"}
    assert ours == theirs
    assert (ours["relax"], ours["signs"]) == ("0.25", "placement")


def test_data_lie_where_the_file_or_the_command_says(
    study: Callable[..., Path], image_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "images").symlink_to(image_folder)
    path = study(text='[base]\nmodel = "q2"\ndataset = "folder"\ndata-dir = "images"\n')
    assert make_plan(path)[0].runs[0].config.data_dir == image_folder.resolve()
    with pytest.raises(FileError, match="no directory"):
        make_plan(path, Machine(tmp_path / "elsewhere"))
    path = study(text='[base]\nmodel = "q2"\ndataset = "folder"\ndata-dir = "none"\n')
    with pytest.raises(InputError, match=f"line 4: no directory {tmp_path / 'none'}"):
        make_plan(path)
    with pytest.raises(InputError, match="needs data_dir"):
        make_plan(study(text='[base]\ndataset = "folder"\n'))
    assert "needs --data-dir, the directory" in fails("study", "plan", study(text='[base]\ndataset = "folder"\n'))


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ('title = "Test"', "title = 3", 2, "expected the title in quotes, got 3"),
        ("seeds = [11, 23]", "seeds = [11, 11]", 3, "expected each seed once"),
        ("seeds = [11, 23]", "seeds = 0", 3, "expected 1 to 1000 seeds, got 0"),
        ("seeds = [11, 23]", 'seeds = "five"', 3, "expected their number, or a list such as"),
        ("seeds = [11, 23]", "seeds = [true]", 3, "expected their number, or a list such as"),
        ("seeds = [11, 23]", "seed = 3", 3, "unknown part of a study 'seed': did you mean 'seeds'"),
        ("epochs = 2", "epoks = 2", 6, "unknown setting 'epoks': did you mean 'epochs'"),
        ("epochs = 2", "seed = 2", 6, "seeds are for the whole study"),
        ("epochs = 2", 'device = "cuda"', 6, "device belongs to the machine"),
        ("epochs = 2", "blocks = 'L,C'", 6, 'write model = "L,L,C"'),
        ("epochs = 2", "roots = 'given'", 6, "roots 'given' is for 'polyroots init' only"),
        ("epochs = 2\nscale = 0.25", "epochs = 0\nlr = -1", 6, "epochs: input"),
        ("epochs = 2", "epochs = 0", 6, "epochs: input should be greater than 0, got 0"),
        ("epochs = 2", 'recipe = "papr"', 6, "unknown recipe 'papr': did you mean 'paper'"),
        ("epochs = 2", "roots = 3", 6, "expected a name in quotes for roots, got 3"),
        ("epochs = 2", 'roots = "leja"', 13, "sets the coefficients without a spectrum; leave roots out"),
        ("scale = 0.25", "scale = -1", 7, "expected a positive number of at most"),
        ("scale = 0.25", 'scale = "sqrtt2"', 7, "such as 0.5, sqrt2 or 1/sqrt8"),
        ("scale = 0.25", "degree = 5", 10, "degree 5 does not fit the blocks L,L"),
        ('model = ["q2", "q4"]', 'model = ["q2", "q9", "q4"]', 10, "unknown model 'q9'"),
        ('model = ["q2", "q4"]', 'model = ["q2", "", "q4"]', 10, "unknown model ''"),
        ('model = ["q2", "q4"]', 'model = ["q2", "q4", "q2"]', 10, "model has 'q2' twice"),
        ('model = ["q2", "q4"]', 'model = ["q2", {a = 1}]', 10, "expected a value of model"),
        ('model = ["q2", "q4"]', 'model = ["q2", "q4"]\nlr = []', 11, "lr has no value"),
        ('model = ["q2", "q4"]', 'model = ["q2", "q4", "resnet18"]', 12, "resnet18 has no coefficients"),
        ('  "xavier",', '  "xavier", "uniform:1",', 13, "uniform"),
        ('model = ["resnet18", "mgnet-ab"]', 'model = ["resnet18", "q2"]', 16, "this repeats the run model q2"),
        ('model = ["resnet18", "mgnet-ab"]', "", 16, "this table is empty"),
        ("[[include]]", "[include]", 16, "expected tables under [[include]], in double brackets"),
        ('model = "q4"\nalpha', 'model = "q8"\nalpha', 19, "this excludes none of the runs"),
        ('model = "q4"\nalpha', 'lr = 0.1\nmodel = "q4"\nalpha', 20, "lr is not in [axes]"),
        ("[axes]", "[axis]", 9, "unknown part of a study 'axis': did you mean 'axes'"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(
    study: Callable[..., Path], old: str, new: str, line: int, words: str
) -> None:
    path = study((old, new))
    with pytest.raises(InputError) as caught:
        make_plan(path)
    assert str(caught.value).startswith(f"{path}, line {line}: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert fails("study", "plan", path).startswith(f"Error: {path}, line {line}: ")


def test_an_error_of_a_combination_names_the_run(study: Callable[..., Path]) -> None:
    path = study(("[[exclude]]", '[[include]]\nmodel = "q2"\nroots = "leja"\nalpha-init = "xavier"\n\n[[exclude]]'))
    with pytest.raises(InputError, match=r"line 22: alpha_init 'xavier' .*\(of the run model q2, roots leja"):
        make_plan(path)


def test_a_file_that_is_none(study: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is not TOML: .* \(at line 6, column 10\)"):
        make_plan(study(("epochs = 2", "epochs = ")))
    with pytest.raises(InputError, match="describes no run"):
        make_plan(study(text='title = "Empty"\n'))
    with pytest.raises(InputError, match="describes no run"):
        make_plan(study(text='[axes]\nmodel = "q2"\n[[exclude]]\nmodel = "q2"\n'))
    with pytest.raises(InputError, match="expected 1 to 1000 seeds, got 1001"):
        make_plan(study(text="seeds = 1001\n[base]\nepochs = 1\n"))
    with pytest.raises(InputError, match="expected their number, or a list"):
        make_plan(study(text="seeds = [4294967296]\n[base]\nepochs = 1\n"))
    path = study(text="\ufeff[base]\nepochs = 1\n")
    assert make_plan(path)[0].title == "study"
    with pytest.raises(FileError, match="no file"):
        make_plan(tmp_path / "none.toml")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is not UTF-8 text"):
        make_plan(tmp_path / "binary")
    with pytest.raises(FileError, match="cannot read"):
        make_plan(tmp_path)


def test_exclusions_may_overlap(study: Callable[..., Path]) -> None:
    text = TEXT + '\n[[exclude]]\nalpha-init = "xavier"\n'
    plan, _ = make_plan(study(text=text))
    assert {r.settings["alpha-init"] for r in plan.runs} == {"spectrum", None}


def test_a_line_is_found_whatever_the_way_of_writing() -> None:
    text = '# c\nbase.epochs = 3 # model = "q2"\n\naxes = { model = ["q2"], "alpha-init" = ["xavier"] }\n[[include]]\n'
    text += '# a comment\nlr = [ # these\n  0.5,\n\n  0.25,\n]\n[[include]]\nmodel="q4"\n'
    assert line_of(text, ("base", "epochs")) == 2
    assert line_of(text, ("axes", "alpha-init")) == 4
    assert line_of(text, ("include", 0, "lr")) == 7
    assert line_of(text, ("include", 0, "lr"), 0.25) == 10
    assert line_of(text, ("include", 1)) == 12
    assert line_of(text, ("include", 1, "model")) == 13
    assert line_of(text, ("include", 2)) is None
    # Only whole values match; of several, the last one.
    text = '[axes]\nlr = [\n 10,\n 1,\n 1,\n]\nmodel = [\n "q4",\n "L,q4",\n "q4",\n \'q4r\',\n]\n'
    assert line_of(text, ("axes", "lr"), 1) == 5
    assert line_of(text, ("axes", "lr"), 10) == 3
    assert line_of(text, ("axes", "model"), "q4") == 10
    assert line_of(text, ("axes", "model"), "q4r") == 11
    # Characters that other programs take for the end of a line are none in TOML.
    assert line_of("# a\u2028b\x85c\nlr = 1\n", ("lr",)) == 2


def test_an_axis_and_an_include_beat_the_base(study: Callable[..., Path]) -> None:
    text = "[base]\nlr = 0.5\nepochs = 7\n[axes]\nlr = [0.1, 0.2]\n[[include]]\nlr = 0.3\nepochs = 9\n"
    found = [(r.config.lr, r.config.epochs) for r in make_plan(study(text=text))[0].runs]
    assert found == [(0.1, 7), (0.2, 7), (0.3, 9)]


def test_every_exclusion_counts(study: Callable[..., Path]) -> None:
    text = TEXT + '\n[[exclude]]\nmodel = "q2"\nalpha-init = "spectrum"\n'
    pairs = [(r.settings["model"], r.settings["alpha-init"]) for r in make_plan(study(text=text))[0].runs]
    assert pairs[:2] == [("q2", "xavier"), ("q4", "spectrum")]
    # Two exclusions may overlap, as each excludes combinations of the grid.
    text += '\n[[exclude]]\nmodel = "q2"\n\n[[exclude]]\nmodel = "q2"\nalpha-init = "xavier"\n'
    asked = {r.settings["model"] for r in make_plan(study(text=text))[0].runs}
    assert asked == {"q4", "resnet18", "mgnet-ab"}


@pytest.mark.parametrize(
    "include",
    [
        'model = "q2"\nlr = 1.0',
        'model = "q2"\naugment = "flip,crop"',
        'model = "q2"\nchannels = [4, 8]',
        'model = "L,L"',
    ],
)
def test_the_same_computation_is_asked_for_once(study: Callable[..., Path], include: str) -> None:
    base = '[base]\naugment = "crop,flip"\nlr = 1\nscale = 0.125\n'
    if "channels" in include:
        base = base.replace("scale = 0.125\n", "")
        include = include.replace("[4, 8]", "[32, 64]")
    text = f'{base}[axes]\nmodel = ["q2"]\n[[include]]\n{include}\n'
    with pytest.raises(InputError, match="this repeats the run model"):
        make_plan(study(text=text))


def test_values_that_are_near_are_told_apart(study: Callable[..., Path]) -> None:
    plan, _ = make_plan(study(text="[axes]\nlr = [0.1234567, 0.1234568]\n"))
    assert [r.texts for r in plan.runs] == [("0.1234567",), ("0.1234568",)]
    assert len({r.name for r in plan.runs}) == 2


def test_names_are_short_and_the_same_whatever_else_there_is(study: Callable[..., Path]) -> None:
    text = '[axes]\nmodel = ["{}"]\n'
    many = ",".join("L" * 100)
    (long,) = make_plan(study(text=text.format(many)))[0].runs
    assert len(long.name) < 120
    (other,) = make_plan(study(text=text.format(many[:-2])))[0].runs
    assert long.name != other.name
    uniform = "[axes]\nalpha-init = [{}]\n"
    both = make_plan(study(text=uniform.format('"uniform:1,2", "uniform:-1,2"')))[0].runs
    assert [r.name for r in both] == ["alpha-init-uniform-1-2_seed-7", "alpha-init-uniform--1-2_seed-7"]
    (alone,) = make_plan(study(text=uniform.format('"uniform:1,2"')))[0].runs
    assert alone.name == "alpha-init-uniform-1-2_seed-7"


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("lr = true", "expected a number for lr, got True"),
        ('epochs = "2"', "expected no quotes for epochs, got '2'"),
        ("nesterov = 1", "expected true or false for nesterov, got 1"),
        ("padding = 1", "expected a name in quotes for padding, got 1"),
        ("scale = true", "expected a name in quotes for scale, got True"),
        ("degree = true", "expected a number for degree, got True"),
        ("model = 4", "expected a name in quotes for model, got 4"),
        ("precision = 32", "expected a name in quotes for precision, got 32"),
    ],
)
def test_nothing_is_converted_without_a_word(study: Callable[..., Path], setting: str, words: str) -> None:
    with pytest.raises(InputError, match=f"line 2: {words}"):
        make_plan(study(text=f"[base]\n{setting}\n"))


def test_a_network_without_a_setting_has_none_in_the_table(study: Callable[..., Path]) -> None:
    text = '[axes]\nmodel = ["q2", "mgnet-ab", "resnet18"]\n[[include]]\nmodel = "q4"\npadding = "circular"\n'
    text += 'placement = "smoother"\nroots = "leja"\n[[include]]\nmodel = "q4"\nalpha-init = "xavier"\n'
    found = {r.texts[0]: dict(r.settings) for r in make_plan(study(text=text))[0].runs[:4]}
    assert found["resnet18"] == {
        "model": "resnet18",
        "padding": None,
        "placement": None,
        "roots": None,
        "alpha-init": None,
    }
    assert found["mgnet-ab"] == {
        "model": "mgnet-ab",
        "padding": "zeros",
        "placement": "default",
        "roots": None,
        "alpha-init": None,
    }
    assert found["q2"]["roots"] == "extremal"
    # Coefficients that are set without a spectrum have no root strategy.
    last = make_plan(study(text=text))[0].runs[-1]
    assert last.settings["roots"] is None
    assert last.settings["alpha-init"] == "xavier"


def test_a_description_keeps_the_order_of_the_file(study: Callable[..., Path]) -> None:
    combinations = read_description(study()).combinations
    assert [list(c.own) for c in combinations][:3] == [["model", "alpha-init"]] * 3
    assert combinations[0].settings == {"epochs": 2, "scale": 0.25, "model": "q2", "alpha-init": "spectrum"}
