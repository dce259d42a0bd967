"""The least norm of q(A) among all residual polynomials with n roots: ideal GMRES, with a proven lower bound.

A is a direct sum of blocks B, and the norm of q(A) is the largest of theirs. It is convex in the coefficients of q, and

    |q(A)| = max over blocks B and unit vectors v of |q(B) v|,

so that some pairs (B, v) make a second-order cone program whose value is a lower bound. It is solved by exchange on two
levels. On a few active blocks the right singular vectors of the largest singular values of q(B) are added until the
bound is reached. Then the blocks where the norm of q(B) is larger, among all of them, become active.

With the multipliers w of the program as weights of the pairs,

    min_q |q(A)|^2  >=  min_q sum_j w_j |q(B_j) v_j|^2,   w >= 0,  sum w = 1,

and both sides agree at the optimum [1]_: the density matrix sum w v v* is the dual variable. The bound of the result is
that of this least-squares problem in ball arithmetic (`polyroots.polynomials.lower_bound`).

References
----------
.. [1] A. Greenbaum, L. N. Trefethen, GMRES/CR and Arnoldi/Lanczos as matrix approximation problems, SIAM Journal on
   Scientific Computing 15 (1994), 359-368: the problem.
.. [2] K.-C. Toh, L. N. Trefethen, The Chebyshev polynomials of a matrix, SIAM Journal on Matrix Analysis and
   Applications 20 (1998), 400-419: a semidefinite program for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64, Inexact, Int
from scipy.sparse.linalg import LinearOperator

from polyroots.errors import ConvergenceError
from polyroots.polynomials.arnoldi import KrylovBasis, arnoldi
from polyroots.polynomials.cone_program import least_maximum, least_mean
from polyroots.polynomials.minimax import USELESS, has_failed, is_closed
from polyroots.polynomials.norm_test import norms_at_most
from polyroots.spectra import DENSE_IS_FASTER, OperatorBlocks, largest_eigenvalue
from polyroots.threads import in_threads

# Exchanges of blocks, and of vectors for the same blocks.
_SWEEPS, _ROUNDS = 40, 80
# Blocks that are added at once, and singular vectors of each: those whose singular value is above this share.
_BLOCKS, _VECTORS, _NEAR = 6, 3, 0.98
# Relative to the largest norm that is known: blocks whose norm is larger by less aren't looked at.
_SCREEN = 1e-10
# Weights below this share of the largest add nothing to the bound.
_LIGHT = 1e-12


@dataclass(frozen=True, eq=False)
class Ideal:
    """An ideal GMRES polynomial, with a lower bound that proves how good it is.

    Attributes
    ----------
    value : float
        Norm of q(A) on the blocks.
    bound : float
        A proven lower bound on the norm of q(A) of all polynomials with as many roots, for the computed blocks.
    krylov : KrylovBasis
        A Krylov space of the blocks.
    coordinates : (n + 1,) float64
        Coordinates of the polynomial in that basis; `KrylovBasis.roots` has its roots, those over the blocks' scale.
    """

    value: float
    bound: float
    krylov: KrylovBasis
    coordinates: Float64[np.ndarray, "m"]


def ideal(blocks: OperatorBlocks, count: int, prior: Sequence[float] = ()) -> Ideal:
    """Return the residual polynomial with the least norm of q(A).

    Parameters
    ----------
    blocks : OperatorBlocks
        The result is kept with them.
    count : int
        Number of roots to be chosen.
    prior : sequence of float
        Further roots of q, which are fixed; those over the blocks' scale.

    Returns
    -------
    Ideal

    Raises
    ------
    ConvergenceError
        If the value stays more than 1e-4 above its bound.

    Examples
    --------
    One root for a Jordan block with the eigenvalue 1:

    >>> from polyroots.spectra import Convolution
    >>> K = np.array([[1.0, 1.0], [0.0, 1.0]]).reshape(2, 2, 1, 1)
    >>> best = ideal(OperatorBlocks(Convolution.of(K, 1)), 1)
    >>> print(round(best.value, 6), round(best.bound, 6))
    0.8 0.8
    """
    key = ("ideal", count, tuple(prior))
    if key not in blocks.solved:
        blocks.solved[key] = _Search(blocks, count, prior).run()
    return blocks.solved[key]


@dataclass(eq=False)
class _Pairs:
    """Pairs (block, vector) with the least squares problem that each makes.

    Attributes
    ----------
    numbers : list of int
        Numbers of the blocks.
    vectors : list of (rows,) arrays
    factors : list of (m, m) float64
        R with |q(B) v| = |R s| for a q with the coordinates s.
    """

    numbers: list[int] = field(default_factory=list)
    vectors: list[Inexact[np.ndarray, "_"]] = field(default_factory=list)
    factors: list[Float64[np.ndarray, "_ _"]] = field(default_factory=list)


class _Search:
    """The search for an ideal polynomial."""

    def __init__(self, blocks: OperatorBlocks, count: int, prior: Sequence[float]) -> None:
        self.blocks, self.count, self.prior = blocks, count, tuple(prior)
        is_real = not np.iscomplexobj(blocks.stack(blocks.numbers[:1]))
        rng = np.random.default_rng(count)
        size = len(blocks.numbers) * blocks.rows
        b = rng.standard_normal(size) if is_real else rng.standard_normal((size, 2)) @ np.array([1, 1j])
        for root in self.prior:
            b = b - blocks.product(b) / root
        self.krylov = arnoldi(blocks.product, b / np.linalg.norm(b), count)
        # Columns that span the polynomials which are 0 at 0.
        self.basis = np.linalg.qr(self.krylov.H)[0]
        self.pairs = _Pairs()

    def run(self) -> Ideal:
        """Return the ideal polynomial."""
        start = self.krylov.residual(self.krylov.least())
        if self.krylov.is_invariant:
            return Ideal(0.0, 0.0, self.krylov, start)
        value, s, weights = self._exchange(start)
        bound = self._proven(weights)
        if has_failed(value, bound):
            raise ConvergenceError(
                f"the ideal polynomial with {self.count} roots has not converged: its norm lies between {bound:.6g} "
                f"and {value:.6g}; use a lower degree, or another strategy"
            )
        # Rounding can make the norm smaller than it is.
        return Ideal(max(value, bound), bound, self.krylov, s)

    def _exchange(
        self, s: Float64[np.ndarray, "m"]
    ) -> tuple[float, Float64[np.ndarray, "m"], Float64[np.ndarray, "k"]]:
        """Return the least norm, the coordinates of its polynomial, and the weights of the best bound."""
        best, found, bound, weights = np.inf, s, 0.0, np.zeros(0)
        active = self.blocks.numbers[:0]
        known = 0.0
        for _ in range(_SWEEPS):
            norms, vectors = self._norms(s, self.blocks.numbers, known)
            value = max(float(norms.max()), known)
            if value < best:
                best, found = value, s
            if _is_done(best, bound):
                break
            worst = np.argsort(-norms)[: _BLOCKS + self.count]
            worst = worst[norms[worst] > bound]
            fresh = np.setdiff1d(self.blocks.numbers[worst], active)
            if not len(fresh):
                break
            active = np.union1d(active, fresh)
            self._add(worst, self.blocks.numbers, vectors)
            for _ in range(_ROUNDS):
                s, estimate, multipliers = self._step(s, best)
                if estimate > bound:
                    bound, weights = estimate, multipliers
                norms, vectors = self._norms(s, active)
                known = float(norms.max())
                worst = np.argsort(-norms)[: _BLOCKS + self.count]
                worst = worst[norms[worst] > bound]
                if _is_done(min(known, best), bound, 0.3) or not len(worst):
                    break
                self._add(worst, active, vectors)
        return best, found, weights

    def _step(
        self, s: Float64[np.ndarray, "m"], scale: float
    ) -> tuple[Float64[np.ndarray, "m"], float, Float64[np.ndarray, "k"]]:
        """Return the coordinates that are best for the pairs, their lower bound and its weights."""
        R = np.array(self.pairs.factors)
        g, Phi = R @ s / scale, R @ self.basis
        c, weights = least_maximum(g, Phi)
        return s - scale * (self.basis @ c), scale * least_mean(g, Phi, weights), weights

    def _polynomials(
        self, stack: Inexact[np.ndarray, "k rows rows"], x: Inexact[np.ndarray, "k rows n"]
    ) -> list[Inexact[np.ndarray, "k rows n"]]:
        """Return p(B) x for the polynomials p of the basis, by Arnoldi's recurrence."""
        for root in self.prior:
            x = x - stack @ x / root
        H = self.krylov.H
        values = [x / self.krylov.beta]
        for k in range(H.shape[1]):
            following = stack @ values[k]
            for i in range(k + 1):
                following = following - H[i, k] * values[i]
            values.append(following / H[k + 1, k])
        return values

    def _apply(
        self, s: Float64[np.ndarray, "m"], stack: Inexact[np.ndarray, "k rows rows"], x: Inexact[np.ndarray, "k rows n"]
    ) -> Inexact[np.ndarray, "k rows n"]:
        """Return q(B) x for the polynomial with the coordinates s."""
        return np.tensordot(s, np.array(self._polynomials(stack, x)), 1)

    def _norms(
        self, s: Float64[np.ndarray, "m"], numbers: Int[np.ndarray, "N"], known: float = 0.0
    ) -> tuple[Float64[np.ndarray, "N"], dict[int, Inexact[np.ndarray, "_ _"]]]:
        """Return norms of q(B), and right singular vectors by the place of a block.

        Blocks whose norm isn't above the known one have the norm 0, and no vectors.
        """
        norms = np.zeros(len(numbers))
        vectors: dict[int, Inexact[np.ndarray, "_ _"]] = {}

        def solve(places: Int[np.ndarray, "k"]) -> None:
            stack = self.blocks.stack(numbers[places])
            if self.blocks.rows > DENSE_IS_FASTER:
                for place, block in zip(places.tolist(), stack, strict=True):
                    norms[place], vectors[place] = self._largest(s, block)
                return
            matrices = self._apply(s, stack, np.broadcast_to(np.eye(self.blocks.rows), stack.shape))
            if known and norms_at_most(known * (1 + _SCREEN), matrices).all():
                return
            _, sizes, right = np.linalg.svd(matrices)
            norms[places] = sizes[:, 0]
            for place, size, rows in zip(places.tolist(), sizes, right, strict=True):
                kept = np.flatnonzero(size[:_VECTORS] >= _NEAR * size[0])
                vectors[place] = rows[kept].conj().T

        in_threads(solve, self.blocks.divided(np.arange(len(numbers))))
        return norms, vectors

    def _largest(
        self, s: Float64[np.ndarray, "m"], block: Inexact[np.ndarray, "rows rows"]
    ) -> tuple[float, Inexact[np.ndarray, "rows 1"]]:
        """Return the norm of q(B) and its right singular vector for a large block, by Lanczos' method."""
        adjoint = block.conj().T
        gram = LinearOperator(
            block.shape,
            matvec=lambda x: self._apply(s, adjoint[None], self._apply(s, block[None], x.reshape(1, -1, 1))).ravel(),
            dtype=block.dtype,
        )
        tops, vectors = largest_eigenvalue(gram, "the norm of q(A)")
        return float(np.sqrt(max(tops[0].real, 0.0))), vectors / np.linalg.norm(vectors)

    def _add(
        self,
        places: Int[np.ndarray, "n"],
        numbers: Int[np.ndarray, "N"],
        vectors: dict[int, Inexact[np.ndarray, "_ _"]],
    ) -> None:
        """Add the pairs of some blocks."""
        stack = self.blocks.stack(numbers[places])
        for block, place in zip(stack, places.tolist(), strict=True):
            values = np.array(self._polynomials(block[None], vectors[place][None]))[:, 0]
            for column in range(values.shape[2]):
                K = values[:, :, column].T
                m = K.shape[1]
                R = np.asarray(np.linalg.qr(np.concatenate([K.real, K.imag, np.zeros((m, m))]), mode="r"))
                self.pairs.numbers.append(int(numbers[place]))
                self.pairs.vectors.append(vectors[place][:, column])
                self.pairs.factors.append(R)

    def _proven(self, weights: Float64[np.ndarray, "k"]) -> float:
        """Return the proven lower bound of weights."""
        used = np.flatnonzero(weights > _LIGHT * weights.max(initial=0.0))
        columns: dict[int, list[Inexact[np.ndarray, "_"]]] = {}
        for index in used.tolist():
            columns.setdefault(self.pairs.numbers[index], []).append(
                np.sqrt(weights[index]) * self.pairs.vectors[index]
            )
        parts = [
            (self.blocks.stack(np.array([number]))[0], np.stack(vectors, axis=1)) for number, vectors in columns.items()
        ]
        from polyroots.polynomials.lower_bound import proven_norm_bound  # it needs FLINT

        return proven_norm_bound(parts, self.count, self.prior)


def _is_done(value: float, bound: float, share: float = 1.0) -> bool:
    """Return whether the gap is closed, or the value is that of q = 1."""
    return bound >= USELESS or is_closed(value, bound, share)
