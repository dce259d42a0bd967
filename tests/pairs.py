"""Two processes that train together."""

from __future__ import annotations

import socket
from pathlib import Path

from forked import command, status_of

#: A small run of two processes.
COMMAND = ["train", "--channels", "4,8", "--device", "cpu", "--devices", "2", "--batch-size", "10"]


class Pair:
    """Two processes with the same command, in the environment that torchrun sets; both write to the same files."""

    def __init__(self, directory: Path, *words: object) -> None:
        directory.mkdir(exist_ok=True)
        self.out, self.error = directory / "out.txt", directory / "error.txt"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.processes = [
            command(
                words,
                self.out,
                self.error,
                RANK=str(rank),
                LOCAL_RANK=str(rank),
                WORLD_SIZE="2",
                LOCAL_WORLD_SIZE="2",
                GROUP_RANK="0",
                MASTER_ADDR="127.0.0.1",
                MASTER_PORT=str(port),
                TORCHELASTIC_RUN_ID="tests",
            )
            for rank in range(2)
        ]

    def statuses(self) -> list[int]:
        return [status_of(process) for process in self.processes]

    def said(self) -> tuple[str, str]:
        """Return the output of both, on stdout and on stderr."""
        return self.out.read_text(), self.error.read_text()

    def must_succeed(self) -> tuple[str, str]:
        assert self.statuses() == [0, 0], self.said()
        return self.said()
