"""Many runs at once: what came of them, side by side."""

from polyroots.study.results import Point, Result, Results, Series, results_of, series_of

__all__ = ["Point", "Result", "Results", "Series", "results_of", "series_of"]
