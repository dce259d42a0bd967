"""``polyroots completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

# The command by which shells ask for completions, and the variable that click reads their questions from.
_PROGRAM, _VARIABLE = "polyroots", "_POLYROOTS_COMPLETE"


@click.command(short_help="Complete commands, options and values in the shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script by which SHELL completes commands, options and their values.

    \b
    bash, in ~/.bashrc:    eval "$(polyroots completion bash)"
    zsh, in ~/.zshrc:      eval "$(polyroots completion zsh)"
    fish:                  polyroots completion fish \\
                             > ~/.config/fish/completions/polyroots.fish

    \b
    Example:
      polyroots completion bash
    """
    kind = get_completion_class(shell)
    assert kind is not None
    root = click.get_current_context().find_root().command
    click.echo(kind(root, {}, _PROGRAM, _VARIABLE).source())
