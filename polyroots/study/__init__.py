"""Studies: grids of runs described by a file, their runners, and tables of their accuracies."""

from polyroots.study.calls import results_on_slurm
from polyroots.study.cluster import Resources, SlurmRunner, minutes_of
from polyroots.study.conduct import Outcome, StartedStudy, require_data, run_study, start_study, unfinished
from polyroots.study.directory import StudyDirectory
from polyroots.study.local import LocalRunner
from polyroots.study.plan import Plan, PlannedRun, make_plan
from polyroots.study.progress import Phase, Runner, RunProgress
from polyroots.study.results import Point, Result, Results, Series, results_of, series_of
from polyroots.study.settings import SETTINGS, Machine
from polyroots.study.table import Difference, Sample, StudyRow, StudyTable, study_table
from polyroots.study.timing import Estimate, estimate
from polyroots.text import text_of

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
    "RunProgress",
    "Runner",
    "Sample",
    "Series",
    "SlurmRunner",
    "StartedStudy",
    "StudyDirectory",
    "StudyRow",
    "StudyTable",
    "estimate",
    "make_plan",
    "minutes_of",
    "require_data",
    "results_of",
    "results_on_slurm",
    "run_study",
    "series_of",
    "start_study",
    "study_table",
    "text_of",
    "unfinished",
]
