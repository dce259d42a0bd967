"""A run as one HTML page, to look at in a browser and to hand on."""

from polyroots.report.page import write_report

__all__ = [
    "write_report",
]
