"""``polyroots init --two-grid``: networks against the matrices of their modules, stencils, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import fails, run
from dense import dense_operator

import polyroots as pr
from polyroots.checkpoints import load_checkpoint
from polyroots.initialization import InitRequest, initialize_from

SMOOTHER = ("--placement", "smoother", "--a-init", "shifted", "--roots", "minimax")


def document(*arguments: object) -> Any:
    return json.loads(run("init", *arguments, "--two-grid", "--json").stdout)


@pytest.fixture(scope="module")
def poisson(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a state dict with the 5-point Laplacian."""
    path = tmp_path_factory.mktemp("poisson") / "poisson.pt"
    torch.save({"stencil.weight": torch.tensor([[0, -1, 0], [-1, 4, -1], [0, -1, 0.0]]).reshape(1, 1, 3, 3)}, path)
    return path


def circular(weight: Any, stride: int, u: np.ndarray, groups: int = 1) -> np.ndarray:
    """Return torch's convolution of an image with periodic boundary."""
    padded = torch.nn.functional.pad(torch.from_numpy(u)[None], (1, 1, 1, 1), mode="circular")
    return torch.nn.functional.conv2d(padded, weight, stride=stride, groups=groups)[0].numpy()


def matrix(weight: Any, size: tuple[int, int], stride: int, groups: int = 1) -> np.ndarray:
    """Return the matrix of torch's convolution, column by column."""
    weight = weight.detach().double()
    unknowns = weight.shape[1] * groups * size[0] * size[1]
    columns = np.eye(unknowns).reshape(unknowns, -1, *size)
    return np.stack([circular(weight, stride, u, groups).ravel() for u in columns], axis=1)


def test_levels_of_a_network_are_those_of_the_matrices_of_its_modules(tmp_path: Path) -> None:
    path = tmp_path / "init.pt"
    found = document("--channels", "2,4,4", "--image-size", 8, *SMOOTHER, "--sweeps", "1,1", "--out", path)
    model: Any = load_checkpoint(path).model()
    rows = found["two_grid"]["levels"]
    assert [(row["level"], row["coarse"]) for row in rows] == [
        (1, "A of level 2"),
        (1, "R A P"),
        (2, "A of level 3"),
        (2, "R A P"),
    ]
    assert (found["two_grid"]["pre"], found["two_grid"]["post"]) == (1, 1)
    for level, size in ((0, (8, 8)), (1, (4, 4))):
        A = matrix(model.levels[level].A.weight, size, 1)
        transition = model.transitions[level]
        R, Pi = (matrix(conv.weight, size, 2, conv.groups) for conv in (transition.R, transition.Pi))
        next_A = matrix(model.levels[level + 1].A.weight, (size[0] // 2, size[1] // 2), 1)
        identity, q = np.eye(len(A)), np.eye(len(A), dtype=complex)
        for block in found["levels"][level]["blocks"]:
            for root in block["roots"]:
                q = q @ (identity - A / complex(*root))
        for row, coarse in zip(rows[2 * level : 2 * level + 2], (next_A, R @ A @ Pi.T), strict=True):
            T = q @ (identity - Pi.T @ np.linalg.solve(coarse, R @ A)) @ q
            assert row["radius"] == pytest.approx(np.abs(np.linalg.eigvals(T)).max(), rel=1e-6)
            assert row["norm"] == pytest.approx(np.linalg.norm(T, 2), rel=1e-7)
            assert row["ideal"] == pytest.approx(found["levels"][level]["diagnosis"]["smoothing_factor"] ** 2)
            assert (row["null"], row["reason"]) == (0, "")


def test_the_table_has_the_numbers_and_says_what_is_neglected() -> None:
    arguments = ("--channels", "2,4", "--image-size", 8, *SMOOTHER)
    rows = document(*arguments)["two_grid"]["levels"]
    text = run("init", *arguments, "--two-grid").stdout
    assert "Two grids, 1 step before and 0 steps after the coarse-grid correction" in text
    assert f"{rows[0]['radius']:#.4g}" in text
    assert f"{rows[1]['norm']:#.4g}" in text
    assert "batch norm and ReLU are neglected. R is the network's; the transpose of its Pi prolongs" in text
    regular = run("init", "--channels", "2,4", "--image-size", 8, "--two-grid").stdout
    assert "neglected, also of the steps, which then don't multiply the residual by q(A)." in regular
    assert "Two grids" not in run("init", "--channels", "2,4", "--image-size", 8).stdout


def test_stencils_have_published_factors(poisson: Path) -> None:
    """Damped Jacobi with omega = 4/5 on the Laplacian: 0.600, 0.360, 0.216, 0.137 (Trottenberg and others)."""
    for sweeps, factor in (("1,0", 0.6), ("1,1", 0.36), ("2,1", 0.216), ("2,2", 0.137)):
        found = document(poisson, "--image-size", 64, "--root", 5, "--sweeps", sweeps)
        rediscretised, galerkin = found["two_grid"]["levels"]
        assert (rediscretised["coarse"], galerkin["coarse"]) == ("A/4", "R A P")
        assert rediscretised["radius"] == pytest.approx(factor, abs=1e-3)
        assert rediscretised["ideal"] == pytest.approx(0.6 ** sum(map(int, sweeps.split(","))), rel=1e-12)
        assert rediscretised["null"] == 1
    text = run("init", poisson, "--image-size", 64, "--root", 5, "--two-grid").stdout
    assert "Full weighting restricts, bilinear interpolation prolongs." in text
    assert "The null space of A is left out." in text


def test_stencils_are_those_of_the_explicit_matrix(poisson: Path) -> None:
    found = document(poisson, "--image-size", "6x8", "--degree", 1, "--roots", "minimax", "--region", "high")
    K = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0.0]])[None, None]
    A, coarse = dense_operator(K, (6, 8)), dense_operator(K / 4, (3, 4))
    R = dense_operator(np.outer([1, 2, 1], [1, 2, 1])[None, None] / 16, (6, 8), stride=2)
    (roots,) = [[complex(*z) for b in level["blocks"] for z in b["roots"]] for level in found["levels"]]
    q = np.linalg.multi_dot([np.eye(48) - A / root for root in roots])
    ones = np.ones((48, 48)) / 48
    T = (np.eye(48) - 4 * R.T @ np.linalg.pinv(coarse, rcond=1e-12) @ R @ A) @ q - ones
    assert found["two_grid"]["levels"][0]["radius"] == pytest.approx(np.abs(np.linalg.eigvals(T)).max(), rel=1e-8)


def test_levels_without_a_factor_have_a_reason(poisson: Path) -> None:
    """Odd sizes, several A in a level, and a network of one level."""
    found = document("--channels", "2,2,2", "--image-size", 12)["two_grid"]["levels"]
    assert [(row["level"], bool(row["reason"])) for row in found] == [(1, False), (1, False), (2, False), (2, False)]
    odd = document("--channels", "2,2,2", "--image-size", 14)["two_grid"]["levels"]
    assert [row["level"] for row in odd] == [1, 1, 2]
    text = run("init", "--channels", "2,2,2", "--image-size", 14, "--two-grid").stdout
    assert "level 2: two-grid analysis needs a grid of even sizes, whose half is the coarse one, got 7x7;" in text
    several = run("init", "--channels", "2,2", "--image-size", 8, "--steps-per-a", 1, "--two-grid").stdout
    assert several.count("level 1: its steps have several convolutions A, and a two-grid cycle has one.") == 1
    assert "A network of one level has no coarser one." in run("init", "--channels", 2, "--two-grid").stdout
    none = document(poisson, "--image-size", 5, "--degree", 0)["two_grid"]["levels"]
    assert [row["radius"] for row in none] == [None]


def test_options_that_do_not_go_together() -> None:
    message = fails("init", "--two-grid", "--spectrum-padding", "zeros", exit_code=2)
    assert "two-grid analysis needs circular padding" in message
    assert message.endswith("(--two-grid, --spectrum-padding)")
    assert "--sweeps is an option of --two-grid, which is not given" in fails("init", "--sweeps", "1,1", exit_code=2)
    for wrong in ("1", "1,-1", "a,b"):
        message = fails("init", "--two-grid", "--sweeps", wrong, exit_code=2)
        assert "expected two numbers of smoothing steps such as 1,1" in message


def test_the_library_has_them_too() -> None:
    config = pr.models.model_config("q2", image_size=8, channels=[2, 4])
    result = initialize_from(config, InitRequest(seed=3, two_grid=(2, 0)))
    assert len(result.two_grids) == 2
    assert initialize_from(config, InitRequest(seed=3)).two_grids == ()
    assert document("--channels", "2,4", "--model", "q2", "--image-size", 8)["comparison"] == []
    with_comparison = document("--channels", "2,4", "--model", "q2", "--image-size", 8, "--compare")
    assert len(with_comparison["two_grid"]["levels"]) == 2
    plain = json.loads(run("init", "--channels", "2,4", "--json").stdout)
    assert plain["two_grid"] is None
