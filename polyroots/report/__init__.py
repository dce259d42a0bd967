"""The report of a training run: one HTML page with interactive plots.

plotly and jinja2, which draw and lay out the page, are installed by the extra ``report`` and are imported when a report
is written.
"""

from polyroots.report.page import write_report

__all__ = [
    "write_report",
]
