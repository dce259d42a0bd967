r"""Quantiles of values that come in blocks, from some of the blocks drawn at random, with intervals that hold them.

The values of a block depend on each other, so that N blocks of n values are no sample of N n values: the intervals are
built from the blocks. The share X of a block's values up to t is a number in [0, 1], and the share of all values is its
mean over the blocks. The bounds are those of a test by betting for means of a finite population [1]_, which needs
nothing but X in [0, 1] and holds for every N. With :math:`m_i(t)` the largest mean that the blocks not yet drawn can
have if F(t) <= p,

.. math:: K_i(t) = \prod_{j \le i} (1 + b_j (X_j(t) - m_j(t))), \qquad b_j \ge 0,

is a nonnegative supermartingale where the share F(t) of all values up to t is at most p; so it ever exceeds 1 / a with
a probability of at most a. The stakes b_j are the same for all t, and each factor grows with t: where t is rejected all
larger ones are, and the quantile lies above the smallest rejected t with a probability of at most a. The lower end of
an interval is the upper one of the negative values.

References
----------
.. [1] I. Waudby-Smith, A. Ramdas, Estimating means of bounded random variables by betting, Journal of the Royal
       Statistical Society B 86 (2024), 1-27: sampling without replacement.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

# A bet's largest share of the capital: less than 1, so that one block never loses all.
_LARGEST_BET = 0.75


class Quantile(NamedTuple):
    """A quantile of all eigenvalues of an operator, estimated from a sample.

    Attributes
    ----------
    level : share of the eigenvalues up to the quantile
    estimate : that of the sample
    low, high : the interval that holds the quantile with the confidence; infinite where the sample gives no bound
    """

    level: float
    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Blocks:
    """Numbers of the eigenvalues, such as their real parts, by frequency.

    Attributes
    ----------
    drawn : (N, 2 n), those of each drawn pair, ascending
    alone : (S n,), those of the self-conjugate frequencies, ascending
    count_alone : S
    total : number of frequencies
    """

    drawn: Float64[np.ndarray, "N width"]
    alone: Float64[np.ndarray, "rest"]
    count_alone: int
    total: int

    @property
    def pairs(self) -> int:
        """Number of pairs of frequencies, drawn or not."""
        return (self.total - self.count_alone) // 2

    def negative(self) -> Blocks:
        """Return the blocks of the negative scores."""
        return Blocks(-self.drawn[:, ::-1], -self.alone[::-1], self.count_alone, self.total)

    def shares(self, t: float) -> Float64[np.ndarray, "N"]:
        """Return the share of each drawn pair's scores up to t."""
        return (self.drawn <= t).mean(axis=1)

    def share_alone(self, t: float) -> float:
        """Return the sum of the self-conjugate frequencies' shares of scores up to t."""
        return self.count_alone * float((self.alone <= t).mean()) if self.count_alone else 0.0

    def quantile(self, level: float) -> float:
        """Return the quantile of the sample, in which a drawn pair counts for all pairs."""

        def is_reached(t: float) -> bool:
            of_pairs = 2 * self.pairs * float(self.shares(t).mean()) if self.pairs else 0.0
            return self.share_alone(t) + of_pairs >= level * self.total * (1 - 1e-12)

        return self._first(is_reached)

    def upper_end(self, level: float, risk: float) -> float:
        """Return the smallest score that is rejected as lying below the quantile; infinity if none is."""
        stakes = self._stakes(level, risk)
        count, pairs = len(self.drawn), self.pairs
        left = pairs - np.arange(count)

        def is_rejected(t: float) -> bool:
            shares = self.shares(t)
            largest_sum = (level * self.total - self.share_alone(t)) / 2
            means = np.minimum((largest_sum - (shares.cumsum() - shares)) / left, 1.0)
            return bool(np.log1p(stakes * (shares - means)).cumsum().max() >= math.log(1 / risk))

        return self._first(is_rejected)

    def _stakes(self, level: float, risk: float) -> Float64[np.ndarray, "N"]:
        """Return the stake of each bet, from the draws before it.

        They follow Waudby-Smith and Ramdas' rule sqrt(2 log(1 / risk) / (N variance)), with the variance between the
        frequencies drawn before at their own quantile, renewed when their number has doubled.
        """
        count = len(self.drawn)
        largest = np.minimum(level * self.total / 2 / (self.pairs - np.arange(count)), 1.0)
        stakes = np.empty(count)
        known = 0
        while known < count:
            squares = level * (1 - level)
            if known:
                before = self.drawn[:known]
                position = min(math.ceil(level * before.size), before.size) - 1
                shares = (before <= np.partition(before.ravel(), position)[position]).mean(axis=1)
                squares += float(((shares - shares.mean()) ** 2).sum())
            end = min(2 * known, count) if known else 1
            stakes[known:end] = math.sqrt(2 * math.log(1 / risk) * (known + 1) / (count * squares))
            known = end
        return np.minimum(stakes, _LARGEST_BET / largest)

    @cached_property
    def _pooled(self) -> Float64[np.ndarray, "all"]:
        return np.unique(np.concatenate([self.drawn.ravel(), self.alone]))

    def _first(self, holds: Callable[[float], bool]) -> float:
        """Return the smallest score at which a monotone condition holds; infinity if it does at none."""
        scores = self._pooled
        low, high = 0, len(scores)
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if holds(float(scores[middle])) else (middle + 1, high)
        return float(scores[low]) if low < len(scores) else math.inf
