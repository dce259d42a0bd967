"""The process of the command: interrupts, and streams that can't be written, from the first import on."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import MutableMapping
from types import FrameType
from typing import TextIO


def start() -> None:
    """Run the command, and end the process with its exit status."""
    interrupted = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True
        signal.default_int_handler(number, frame)

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)
    _open_streams()
    _spin_briefly(os.environ)
    status: str | int | None = 1
    try:
        for stream in (sys.stdout, sys.stderr):
            # What a log in ASCII can't hold is written by its number.
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        from polyroots_cli.main import main

        main()
    except SystemExit as error:
        status = error.code
    except KeyboardInterrupt:
        _say("Aborted!")
    except OSError as error:
        if error.filename is not None:
            raise
        _say(f"Error: the output can't be written: {error.strerror or error}; choose another place for it")
    except BaseException:
        # An interrupt during an import comes back as any error of the library that was imported.
        if not interrupted:
            raise
        _say("Aborted!")
    sys.exit(_flushed(status))


def _open_streams() -> None:
    """Connect streams that are closed, as by ``>&-``, to /dev/null.

    Otherwise the next file that is opened gets the number of one, and what a library prints is written to that file.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            number = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(number, True)
            setattr(sys, name, os.fdopen(number, "r" if name == "stdin" else "w"))


def _spin_briefly(environment: MutableMapping[str, str]) -> None:
    """Let threads that wait for others give their core up soon, before torch loads OpenMP; a user's choice stays.

    By default those of libgomp spin for milliseconds. On a busy machine they take the cores from the threads that they
    wait for, and training takes twice the time.
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & environment.keys():
        environment["GOMP_SPINCOUNT"] = "10000"


def _flushed(status: str | int | None) -> str | int | None:
    """Write what is still in the buffers, and return the exit status: 1 if that can't be done."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError) as error:
            _without(stream)
            if stream is sys.stdout and status in (0, None):
                status = 1
                if not isinstance(error, BrokenPipeError):
                    reason = getattr(error, "strerror", None) or error
                    _say(f"Error: the output can't be written: {reason}; choose another place for it")
    return status


def _without(stream: TextIO) -> None:
    """Let the interpreter flush a stream at its end without an error."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _say(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)
