"""Writing a report, and the packages that it needs."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from polyroots.errors import InputError
from polyroots.files import replacing
from polyroots.training import LoadedRun, load_run

# The extra ``report`` of setup.cfg.
_PACKAGES = ("jinja2", "plotly")


def write_report(run: str | Path | LoadedRun, path: str | Path | None = None) -> Path:
    """Write a run as one HTML page and return the page's path.

    The page holds the configuration, the results, the training curves and, for each convolution A, its spectrum, roots,
    coefficients and diagnosis before and after training. It contains the scripts that it needs, so that a browser shows
    it without a network connection.

    Parameters
    ----------
    run : str, Path or LoadedRun
        Directory of a run, or a run that `polyroots.training.load_run` has opened. It need not have ended.
    path : str or Path, optional
        By default report.html in the run's directory.

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    InputError
        If jinja2 or plotly is not installed.
    FileError
        If there is no such run, or the page can't be written.

    See Also
    --------
    polyroots.training.load_run : the contents as objects

    Examples
    --------
    >>> pr.write_report("runs/first")  # doctest: +SKIP
    PosixPath('runs/first/report.html')
    """
    _require_packages()
    from polyroots.report.html import render
    from polyroots.report.summary import summarise

    loaded = run if isinstance(run, LoadedRun) else load_run(run)
    path = loaded.run.path / "report.html" if path is None else Path(path)
    page = render(summarise(loaded))
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def _require_packages() -> None:
    """Raise InputError if a package that only reports need is not installed."""
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        are = "is" if len(missing) == 1 else "are"
        raise InputError(
            f"a report needs {' and '.join(missing)}, which {are} not installed: 'pip install {' '.join(missing)}'"
        )
