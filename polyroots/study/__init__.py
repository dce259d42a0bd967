"""Many runs at once: grids of runs from a file, who runs them, and what came of them, side by side."""

from polyroots.study.cluster import Resources, SlurmRunner, minutes_of
from polyroots.study.conduct import Outcome, require_data, run_study, unfinished
from polyroots.study.directory import StudyDirectory
from polyroots.study.local import LocalRunner
from polyroots.study.plan import Plan, PlannedRun, make_plan, text_of
from polyroots.study.progress import Phase, Runner, RunProgress
from polyroots.study.results import Point, Result, Results, Series, results_of, series_of
from polyroots.study.settings import SETTINGS, Machine
from polyroots.study.table import Difference, Row, Sample, StudyTable, study_table
from polyroots.study.timing import Estimate, estimate

__all__ = [
    "SETTINGS",
    "Difference",
    "Estimate",
    "LocalRunner",
    "Machine",
    "Outcome",
    "Phase",
    "Plan",
    "PlannedRun",
    "Point",
    "Resources",
    "Result",
    "Results",
    "Row",
    "RunProgress",
    "Runner",
    "Sample",
    "Series",
    "SlurmRunner",
    "StudyDirectory",
    "StudyTable",
    "estimate",
    "make_plan",
    "minutes_of",
    "require_data",
    "results_of",
    "run_study",
    "series_of",
    "study_table",
    "text_of",
    "unfinished",
]
