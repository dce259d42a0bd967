"""``polyroots init``: networks, checkpoints, layers, and the comparison of strategies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import fails, run
from PIL import Image

import polyroots as pr
from polyroots.checkpoints.own import load_checkpoint
from polyroots.roots.strategies import STRATEGIES

SMALL = ("--channels", "4,8", "--seed", 12)


def document(*arguments: object) -> Any:
    return json.loads(run("init", *arguments, "--json").stdout)


@pytest.fixture(scope="module")
def poisson(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a state dict with the 5-point Laplacian."""
    path = tmp_path_factory.mktemp("poisson") / "poisson.pt"
    K = torch.tensor([[0, -1, 0], [-1, 4, -1], [0, -1, 0.0]]).reshape(1, 1, 3, 3)
    torch.save({"stencil.weight": K, "wide.weight": torch.ones(2, 3, 3, 3)}, path)
    return path


@pytest.fixture(scope="module")
def shifted_file(tmp_path_factory: pytest.TempPathFactory, init_file: Path) -> Path:
    """Return a file with a Poly-MgNet whose eigenvalues lie in the right half-plane."""
    from polyroots.checkpoints.own import Checkpoint, save_checkpoint

    checkpoint = load_checkpoint(init_file)
    weights = {key: value.clone() for key, value in checkpoint.weights.items()}
    for level, channels in enumerate(checkpoint.config.channels):
        weights[f"levels.{level}.A.weight"] *= 0.5
        weights[f"levels.{level}.A.weight"][range(channels), range(channels), 1, 1] += 1.5
    path = tmp_path_factory.mktemp("shifted") / "shifted.pt"
    save_checkpoint(path, Checkpoint(checkpoint.config, weights))
    return path


def test_the_help_names_every_strategy() -> None:
    text = run("init", "--help").stdout
    assert all(name in text for name in STRATEGIES)


@pytest.mark.parametrize("strategy", ["leja", "random"])
def test_training_starts_with_any_strategy(tmp_path: Path, strategy: str) -> None:
    text = run(
        "train", "--roots", strategy, "--channels", "4", "--limit", 20, "--epochs", 1, "--out", tmp_path / "run"
    ).stdout
    assert f"roots '{strategy}', relaxed 'auto', signs by the placement, degree 3" in text
    assert "best possible" in text


def test_the_diagnosis_is_the_librarys(tmp_path: Path) -> None:
    path = tmp_path / "init.pt"
    found = document(*SMALL, "--degree", 3, "--out", path)
    model: Any = load_checkpoint(path).model()
    for level, module, size in zip(found["levels"], model.levels, model.config.sizes, strict=True):
        Lambda = pr.eigenvalues(module.A.weight, size)
        q = pr.ResidualPolynomial(pr.select_roots(Lambda, 3))
        expected = q.diagnose(Lambda)
        assert level["diagnosis"]["max_abs"] == pytest.approx(expected.max_abs, rel=1e-12)
        assert level["diagnosis"]["norm"] == pytest.approx(expected.norm, rel=1e-10)
        assert level["words"] == expected.sentences()
        np.testing.assert_allclose(level["alphas"], q.alphas, rtol=1e-12)
    assert found["comparison"] == []
    printed = run("init", *SMALL, "--degree", 3).stdout
    assert f"{found['levels'][1]['diagnosis']['max_abs']:.4g}" in printed
    assert found["levels"][1]["words"][0] in printed
    assert json.loads(json.dumps(load_checkpoint(path).init))["levels"] == found["levels"]


def test_a_file_with_new_coefficients_trains_and_has_spectra(
    tmp_path: Path, init_file: Path, shifted_file: Path
) -> None:
    """The weights of A are kept, and the coefficients are those of the report."""
    path = tmp_path / "again.pt"
    found = document(shifted_file, "--roots", "minimax", "--out", path)
    before, after = load_checkpoint(shifted_file), load_checkpoint(path)
    for key, value in after.weights.items():
        assert torch.equal(value, before.weights[key]) != key.endswith("alphas")
    network: Any = after.model()
    for level, q in zip(found["levels"], network.polynomials(), strict=True):
        roots = [complex(*z) for block in level["blocks"] for z in block["roots"]]
        np.testing.assert_allclose(np.sort_complex(q.roots), np.sort_complex(np.array(roots)), rtol=1e-5)
    run("train", "--init", path, "--epochs", 1, "--limit", 20, "--out", tmp_path / "run")
    assert "levels.0.A.weight" in run("spectrum", path).stdout
    assert "brings its levels and blocks; leave the blocks out (--model, --blocks)" in fails(
        "init", shifted_file, "--model", "q2", exit_code=2
    )
    assert "leave --image-size out" in fails("init", shifted_file, "--image-size", 8, exit_code=2)
    message = fails("init", shifted_file, "--degree", 1, exit_code=2)
    assert "degree 1 does not fit the blocks L,L,C: they have 4 roots, which is degree 3" in message


@pytest.mark.parametrize("strategy", [name for name in STRATEGIES if name not in ("given", "complex")])
@pytest.mark.slow
def test_every_strategy_initialises_a_network(shifted_file: Path, strategy: str) -> None:
    found = document(shifted_file, "--roots", strategy)
    assert found["strategy"] == strategy
    assert [len(level["blocks"]) for level in found["levels"]] == [3, 3]


def test_the_degree_alone_picks_the_blocks(tmp_path: Path) -> None:
    """Where the roots of every level are pairs, the network has blocks for pairs."""
    path = tmp_path / "init.pt"
    found = document(*SMALL, "--degree", 3, "--roots", "complex", "--out", path)
    letters = [block["letter"] for block in found["levels"][0]["blocks"]]
    assert load_checkpoint(path).config.blocks == tuple(letters)
    assert letters == ["C", "C"]
    assert found["model"]["name"] == "C,C"
    # The convolutions are the same as with the default blocks.
    other = document(*SMALL, "--degree", 3)
    assert other["model"]["name"] == "q4"
    assert [level["radius"] for level in other["levels"]] == [level["radius"] for level in found["levels"]]
    run("train", "--init", path, "--epochs", 1, "--limit", 20, "--out", tmp_path / "run")


def test_roots_by_hand() -> None:
    found = document(*SMALL, "--root", "0.3", "--root", "0.1+0.2j")
    assert found["degree"] == 2
    assert [block["roots"] for block in found["levels"][0]["blocks"]] == [[[0.3, 0]], [[0.1, 0.2], [0.1, -0.2]]]
    assert found["options"] == {"roots": [[0.3, 0.0], [0.1, 0.2]]}
    assert document(*SMALL, "--root", "0.1-0.2i")["degree"] == 1


def test_pairs_of_extreme_real_part_are_kept_on_request() -> None:
    arguments = ("--channels", "8,16", "--seed", 21, "--degree", 3)
    kept, projected = document(*arguments, "--keep-pairs"), document(*arguments)
    assert [block["letter"] for block in kept["levels"][0]["blocks"]] == ["C", "C"]
    assert [block["letter"] for block in projected["levels"][0]["blocks"]] == ["L", "L", "C"]
    for level in kept["levels"]:
        first, second = (block["roots"][0][0] for block in level["blocks"])
        assert {level["min_real"], level["max_real"]} & {first, second}
    assert kept["options"] == {"project": False}


def test_the_poisson_stencil_with_both_boundaries(poisson: Path) -> None:
    """One eigenvalue is zero with a periodic boundary, none with zeros, where the best roots are Chebyshev's."""
    circular = document(poisson, "--degree", 3, "--roots", "chebyshev", "--image-size", 16)
    (level,) = circular["levels"]
    assert level["diagnosis"]["null"] == 1
    assert circular["network_padding"] is None
    (skipped,) = circular["skipped"]
    assert skipped == {"name": "wide.weight", "reason": "not square: 2 output channels from 3"}
    zeros = document(poisson, "--degree", 3, "--roots", "minimax", "--image-size", 16, "--spectrum-padding", "zeros")
    diagnosis = zeros["levels"][0]["diagnosis"]
    low = 4 - 4 * np.cos(np.pi / 17)
    high = 4 + 4 * np.cos(np.pi / 17)
    chebyshev = 1 / np.cosh(4 * np.arccosh((high + low) / (high - low)))
    assert diagnosis["null"] == 0
    assert diagnosis["smoothing_factor"] is None
    assert diagnosis["norm"] == pytest.approx(diagnosis["max_abs"], rel=1e-9)
    assert chebyshev * 0.98 < diagnosis["max_abs"] <= chebyshev * (1 + 1e-6)


def test_jacobi_from_the_command(poisson: Path) -> None:
    found = document(poisson, "--root", 5, "--region", "high", "--image-size", 16)
    diagnosis = found["levels"][0]["diagnosis"]
    assert diagnosis["smoothing_factor"] == pytest.approx(0.6)
    assert diagnosis["best"] == pytest.approx(0.6)


@pytest.mark.slow
def test_all_strategies_are_ranked(shifted_file: Path, poisson: Path) -> None:
    found = document(shifted_file, "--compare")
    rows = found["comparison"]
    assert {row["strategy"] for row in rows} == {"as it is", *STRATEGIES} - {"given"}
    reached = [row["max_abs"] for row in rows if row["error"] is None]
    assert reached == sorted(reached)
    assert [row["strategy"] for row in rows if row["error"]] == ["complex"]
    assert len(rows[0]["levels"]) == 2
    printed = run("init", shifted_file, "--compare").stdout
    assert "All strategies, by max|q| of the worst level" in printed
    assert "complex: level 1: the blocks L,L,C can't hold the chosen roots, 2 conjugate pairs" in printed
    rows = document(poisson, "--compare", "--degree", 3, "--image-size", 16)["comparison"]
    assert {row["strategy"] for row in rows[:4]} == {"minimax", "chebyshev", "ideal", "numerical-range"}
    text = run("init", poisson, "--compare", "--degree", 1, "--image-size", 8).stdout
    assert "All strategies, by max|q|\n" in text


def test_the_comparison_is_shown_where_the_chosen_strategy_fails() -> None:
    result = run("init", *SMALL, "--degree", 3, "--roots", "minimax", "--compare", exit_code=1)
    assert "All strategies, by max|q|" in result.stdout
    assert (
        "Error: level 1: 'minimax' has no useful roots here: the least max|q| that 4 roots can reach" in result.stderr
    )


def test_what_is_trained_is_compared_as_it_is(trained: tuple[Path, str]) -> None:
    out, _ = trained
    rows = {row["strategy"]: row for row in document(out / "last.pt", "--compare")["comparison"]}
    checkpoint = load_checkpoint(out / "last.pt")
    network: Any = checkpoint.model()
    (first, _) = network.polynomials()
    Lambda = pr.eigenvalues(checkpoint.weights["levels.0.A.weight"], 8)
    expected = np.abs(first(Lambda.values)).max()
    assert rows["as it is"]["levels"][0]["diagnosis"]["max_abs"] == pytest.approx(expected, rel=1e-9)


@pytest.mark.slow
def test_pictures_are_drawn(tmp_path: Path, poisson: Path, shifted_file: Path) -> None:
    assert f"Pictures in {tmp_path}" in run("init", shifted_file, "--roots", "minimax", "--plot", tmp_path).stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"level{level}.{kind}" for level in (1, 2) for kind in ("pdf", "png")
    ]
    run("init", poisson, "--degree", 2, "--plot", tmp_path / "poisson")
    with Image.open(tmp_path / "poisson" / "stencil.weight.png") as image:
        assert min(image.size) > 600
        assert len(image.convert("RGB").getcolors(2**24)) > 100


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (("--root", "0.3", "--roots", "leja"), 2, "--root gives the roots by hand, and --roots leja chooses them"),
        (("--root", "x"), 2, "expected a real or complex number such as 0.3 or 0.1+0.2j, got 'x'"),
        (("--roots", "given"), 2, "--roots given needs the roots, such as --root 0.3"),
        (("--root", "nan"), 2, "expected a real or complex number such as 0.3 or 0.1+0.2j, got 'nan'"),
        (
            ("--root", "0.3", "--degree", "3"),
            2,
            "1 root with conjugates was given, which is degree 0, and degree 3 asks for 4; leave the degree out",
        ),
        (("--model", ""), 2, "unknown model ''"),
        (("--root", "0"), 1, "can't be a root: relative to the spectral radius"),
        (("--keep-pairs", "--roots", "leja"), 2, "--keep-pairs is an option of 'extremal', got --roots leja"),
        (("--keep-pairs", "--root", "1"), 2, "--keep-pairs is an option of 'extremal', and --root gives the roots"),
        (("--keep-pairs", "--alpha-init", "xavier"), 2, "coefficients without a spectrum; leave --keep-pairs out"),
        (
            ("--region", "high", "--spectrum-padding", "zeros"),
            2,
            "the region 'high' needs circular padding: zero-padded eigenvalues",
        ),
        (("--layer", "x"), 2, "--layer chooses layers of CHECKPOINT, and none is given"),
        (("--image-size", "8", "--dataset", "digits"), 2, "--image-size and the data set both decide"),
        (
            ("--degree", "2", "--roots", "complex"),
            1,
            "odd number, and 'complex' chooses conjugate pairs; degree 1 or 3",
        ),
        (("--roots", "chebyshev"), 1, "not on one side of 0, and so Chebyshev polynomials don't damp"),
        (("--model", "q2", "--root", "0.1+0.2j"), 1, "the blocks L,L can't hold the chosen roots, 1 conjugate pair"),
        (
            ("--model", "q2", "--root", "1"),
            1,
            "blocks L,L need 2 roots, and 1 were given with their conjugates; leave the blocks out",
        ),
    ],
)
def test_mistakes_are_one_sentence(
    arguments: tuple[str, ...], exit_code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in fails("init", "--channels", "4", *arguments, exit_code=exit_code)
    assert list(tmp_path.iterdir()) == []


def test_broken_layers_are_left_out_with_the_reason(tmp_path: Path) -> None:
    K = torch.eye(2)[:, :, None, None] * torch.tensor([[0, 0, 0], [0, 2.0, 0.5], [0, 0, 0]])
    torch.save(
        {"good.weight": K, "zero.weight": 0 * K, "nan.weight": torch.nan * K, "b": torch.ones(4)}, tmp_path / "mixed.pt"
    )
    found = document(tmp_path / "mixed.pt", "--degree", 1, "--image-size", 8)
    assert [level["title"] for level in found["levels"]] == ["good.weight"]
    assert {row["name"]: row["reason"].split(":")[0].split(";")[0] for row in found["skipped"]} == {
        "zero.weight": "all eigenvalues are zero",
        "nan.weight": "36 of 36 entries are NaN or infinite",
    }
    message = fails("init", tmp_path / "mixed.pt", "--layer", "zero")
    assert "has no convolution named like zero to choose roots for" in message
    assert "zero.weight (all eigenvalues are zero: q = 1 there whatever the roots" in message


def test_new_coefficients_of_a_trained_network_are_evaluated(trained: tuple[Path, str], tmp_path: Path) -> None:
    """The file keeps the weights, and what an evaluation needs of the training; training from it is a new run."""
    out, _ = trained
    path = tmp_path / "again.pt"
    run("init", out / "last.pt", "--roots", "leja", "--out", path)
    scores = json.loads(run("evaluate", path, "--json").stdout)
    assert 0 <= scores["accuracy"] <= 1
    assert scores["coefficients_set_anew"]
    assert "epoch 2, coefficients set anew) on" in run("evaluate", path).stdout
    checkpoint = load_checkpoint(path)
    # The entries that an evaluation needs, without the state from which a run is resumed.
    best, last = (load_checkpoint(out / name) for name in ("best.pt", "last.pt"))
    assert "state" in last.training
    assert set(checkpoint.training) == {*best.training, "initialised"} == {*last.training, "initialised"} - {"state"}
    sizes = {name: (out / name).stat().st_size for name in ("best.pt", "last.pt")}
    assert abs(path.stat().st_size - sizes["best.pt"]) < 0.1 * sizes["best.pt"] < sizes["last.pt"] - sizes["best.pt"]
    run("train", "--init", path, "--epochs", 1, "--limit", 20, "--out", tmp_path / "run")
    assert json.loads((tmp_path / "run" / "init.json").read_text())["strategy"] == "leja"


def test_a_comparison_alone_does_not_ask_for_the_default(poisson: Path) -> None:
    """The extremal roots of a real spectrum don't fit q4's blocks, which is no error in a comparison."""
    arguments = (poisson, "--model", "q4", "--compare", "--image-size", 8)
    assert "extremal: stencil.weight: blocks L,L,C need 1 distinct conjugate pairs" in run("init", *arguments).stdout
    rows = {row["strategy"]: row for row in document(*arguments)["comparison"]}
    assert rows["extremal"]["error"]
    assert rows["minimax"]["levels"][0]["roots"][0][1] == 0
    assert "need 1 distinct conjugate pairs" in run("init", *arguments, "--roots", "extremal", exit_code=1).stderr


def test_numbers_beyond_float64_are_null_in_json(poisson: Path, tmp_path: Path) -> None:
    arguments = (poisson, "--image-size", 16, *["--root", "0.0005"] * 100)
    diagnosis = document(*arguments)["levels"][0]["diagnosis"]
    assert diagnosis["max_abs"] is None
    assert diagnosis["damped"] < 0.9
    assert "multiplied by inf each time q(A) is applied" in run("init", *arguments).stdout


def test_roots_by_hand_are_compared_with_as_many(poisson: Path) -> None:
    found = document(poisson, "--root", 5, "--compare", "--image-size", 8)
    rows = {row["strategy"]: row for row in found["comparison"]}
    assert rows["given"]["levels"][0]["diagnosis"]["smoothing_factor"] == pytest.approx(0.6)
    assert all(row["error"] or row["levels"][0]["diagnosis"]["roots"] == 1 for row in rows.values())


def test_the_next_step_names_the_images(tmp_path: Path) -> None:
    text = run("init", "--image-size", 16, "--channels", "4,8,8", "--out", tmp_path / "x y.pt").stdout
    command = f"polyroots train --init '{tmp_path / 'x y.pt'}' --dataset folder --data-dir DIR\n"
    assert f"Wrote {tmp_path / 'x y.pt'}, roots 'extremal'; next: {command}" in text


def test_what_is_assumed_of_a_state_dict_is_said(poisson: Path) -> None:
    text = "A state dict doesn't say: images of 32x32 (--image-size chooses others), stride 1 and, but for depthwise"
    assert text in run("init", poisson, "--degree", 0).stdout
    assert document(poisson, "--degree", 0, "--image-size", 8)["geometry_assumed"].startswith(
        "A state dict doesn't say: stride 1 and"
    )
    assert document(*SMALL)["geometry_assumed"] is None


def test_mistakes_with_checkpoints(poisson: Path, init_file: Path, tmp_path: Path) -> None:
    message = fails("init", poisson, "--out", tmp_path / "x.pt", exit_code=2)
    assert "is no Poly-MgNet, so it has no coefficients to set (--out)" in message
    assert "brings its own convolutions; leave --channels out" in fails("init", poisson, "--channels", "4", exit_code=2)
    assert "would be overwritten" in fails("init", init_file, "--out", init_file, exit_code=2)
    message = fails("init", poisson, "--layer", "wide*")
    assert "has no convolution named like wide* to choose roots for, expected a square one with stride 1" in message
    assert "wide.weight (not square: 2 output channels from 3)" in message
    assert "no file" in fails("init", tmp_path / "none.pt")
    message = fails("train", "--roots", "given", exit_code=2)
    assert "roots by hand are for 'polyroots init --root ... --out init.pt'" in message


def test_large_zero_padded_layers_have_harmonic_ritz_values(tmp_path: Path) -> None:
    """With 5,184 unknowns no eigenvalues are computed, so only strategies that need none have roots."""
    K = 0.05 * np.random.default_rng(113).standard_normal((4, 4, 3, 3))
    K[range(4), range(4), 1, 1] += 1
    torch.save({"weight": torch.from_numpy(K)}, tmp_path / "w.pt")
    arguments = (tmp_path / "w.pt", "--image-size", 36, "--spectrum-padding", "zeros", "--degree", 3)
    (level,) = document(*arguments, "--roots", "harmonic-ritz", "--plot", tmp_path / "none")["levels"]
    assert level["radius"] is None
    assert 0 < level["diagnosis"]["norm"] < 0.2
    printed = run("init", *arguments, "--roots", "harmonic-ritz").stdout
    assert "The 5,184 eigenvalues were not computed; one step multiplies a residual by" in printed
    message = fails("init", *arguments)
    assert "'extremal' needs all eigenvalues, and a zero-padded operator with 5,184 unknowns has too many" in message
    assert "use circular padding, a smaller image, or 'harmonic-ritz'" in message
