"""The strategies that choose the roots of a residual polynomial from a spectrum."""

from polyroots.roots.fitting import completed, fit, natural
from polyroots.roots.from_operator import high_frequency_part
from polyroots.roots.multigrid import change_smoothers
from polyroots.roots.relaxation import BOUND, NOT_RELAXED, Relaxation, largest_weight
from polyroots.roots.select import RootChoice, choose_roots, options_of, require_options, require_strategy, select_roots
from polyroots.roots.strategies import STRATEGIES

__all__ = [
    "BOUND",
    "NOT_RELAXED",
    "STRATEGIES",
    "Relaxation",
    "RootChoice",
    "change_smoothers",
    "choose_roots",
    "completed",
    "fit",
    "high_frequency_part",
    "largest_weight",
    "natural",
    "options_of",
    "require_options",
    "require_strategy",
    "select_roots",
]
