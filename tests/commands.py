"""Running commands as a user types them."""

from __future__ import annotations

import re

from click.testing import CliRunner, Result

from polyroots_cli.main import main


def run(*arguments: object, exit_code: int = 0) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == exit_code, result.output + result.stderr
    return result


def fails(*arguments: object, exit_code: int = 1) -> str:
    """Return the sentence of an error after checking that stdout is empty."""
    result = run(*arguments, exit_code=exit_code)
    assert result.stdout == ""
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert "Traceback" not in result.stderr
    # Paths of tests are long.
    assert len(re.sub(r"/\S*/", "", line).removeprefix("Error: ")) <= 400
    return line
