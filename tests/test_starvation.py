"""Full disks, read-only directories, limits on files and memory: a sentence, and a run that can be resumed."""

from __future__ import annotations

import itertools
import math
import os
import random
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import run
from faults import ERRORS, WRITERS, Faults, fail_everywhere, fail_writing
from forked import start, status_of
from small_runs import require_same, small
from small_studies import FOUR, Ended, four, train_here
from victims import train_in_little_memory

import polyroots as pr
from polyroots.checkpoints import load_checkpoint
from polyroots.study import LocalRunner, StudyDirectory
from polyroots.training import Reporter, open_data, resume, train

pytestmark = pytest.mark.slow


class Filler(Reporter):
    """Fills a disk after an epoch, up to a number of bytes."""

    def __init__(self, disk: Path, epoch: int, left: int) -> None:
        self.disk, self.epoch, self.left = disk, epoch, left

    def on_epoch(self, row: dict[str, float]) -> None:
        if row["epoch"] == self.epoch:
            free = shutil.disk_usage(self.disk).free - self.left
            (self.disk / "filler").write_bytes(bytes(max(0, free)))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Return a file system of 1 MB."""
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("a file system can't be mounted here")
    yield path
    subprocess.run(["umount", str(path)], check=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "run"
    source = open_data("digits")
    train(small(source, limit=40, epochs=4), source, out)
    return out


def whole_files(out: Path) -> None:
    """Require that the checkpoints of a run can be read, and that no temporary file is left."""
    for name in ("last.pt", "best.pt"):
        load_checkpoint(out / name).model()
    assert not list(out.glob(".*"))


def test_a_full_disk_is_a_sentence_and_the_run_goes_on_with_the_same_bits(disk: Path, whole: Path) -> None:
    """The room that is left decides which file is the first that has none."""
    source = open_data("digits")
    size = (whole / "last.pt").stat().st_size
    for left in (0, 4096, size // 2, size - 4096):
        out = disk / f"run-{left}"
        with pytest.raises(
            pr.FileError, match=r"^cannot write \S+: No space left on device; .*last.pt holds epoch \d$"
        ):
            train(small(source, limit=40, epochs=4), source, out, reporter=Filler(disk, 2, left))
        whole_files(out)
        assert load_checkpoint(out / "last.pt").training["epoch"] >= 2
        (disk / "filler").unlink()
        resume(out)
        require_same(whole, out)
        shutil.rmtree(out)


def test_a_run_without_room_leaves_nothing(disk: Path) -> None:
    (disk / "filler").write_bytes(bytes(shutil.disk_usage(disk).free))
    source = open_data("digits")
    with pytest.raises(pr.FileError, match="No space left on device"):
        train(small(source, limit=40), source, disk / "run")
    assert not (disk / "run").exists()


def test_a_disk_that_becomes_read_only_is_a_sentence(disk: Path, whole: Path) -> None:
    source, out = open_data("digits"), disk / "run"

    class ReadOnly(Reporter):
        def on_epoch(self, row: dict[str, float]) -> None:
            if row["epoch"] == 2:
                subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)

    with pytest.raises(
        pr.FileError, match=r"^cannot write \S*last.pt: Read-only file system; .*last.pt holds epoch 2$"
    ):
        train(small(source, limit=40, epochs=4), source, out, reporter=ReadOnly())
    with pytest.raises(pr.FileError, match=r"^cannot write \S*config.json: Read-only file system"):
        resume(out)
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    resume(out)
    require_same(whole, out)


def test_a_limit_on_the_size_of_files_leaves_the_last_good_checkpoint(tmp_path: Path, whole: Path) -> None:
    source, rng = open_data("digits"), random.Random(3)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for trial in range(5):
        out, limit = tmp_path / f"run-{trial}", rng.randrange((whole / "last.pt").stat().st_size)

        class Limited(Reporter):
            def on_epoch(self, row: dict[str, float], limit: int = limit) -> None:
                if row["epoch"] == 2:
                    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))

        try:
            with pytest.raises(pr.FileError, match=r"cannot write \S*\.pt: .*; \S*last.pt holds epoch 2"):
                train(small(source, limit=40, epochs=4), source, out, reporter=Limited())
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        whole_files(out)
        resume(out)
        require_same(whole, out)


@pytest.mark.parametrize("name", WRITERS)
def test_after_an_error_at_a_step_of_writing_the_old_file_or_the_new_one_is_whole(tmp_path: Path, name: str) -> None:
    """A full disk, an error of the disk, a read-only one and a quota in turn; the script takes each at each step."""
    assert {"open", "write", "close", "fsync"} <= fail_writing(tmp_path, name, ERRORS, in_turn=True).keys()


def test_a_run_is_resumed_to_the_same_bits_after_an_error_of_writing(tmp_path: Path) -> None:
    """Some steps here; ``python -m tests.faults`` takes all of them."""
    assert sum(fail_everywhere(tmp_path, ERRORS, every=19).values()) == 5


def test_commands_that_can_not_write_end_with_status_1_and_a_sentence(
    tmp_path: Path, init_file: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("polyroots.report.html.render", lambda summary: "a page")
    monkeypatch.setattr("polyroots.report.summary.summarise", lambda run: None)
    train_here(monkeypatch)
    text = FOUR.replace("[11, 23]", "[11]").replace('["q2", "mgnet-ab"]', '["q2"]')
    out = tmp_path / "out"
    commands = (
        f"init --dataset digits --channels 2,4 --out {out}/init.pt",
        f"spectrum {init_file} --save {out}/spectra.npz",
        f"spectrum {init_file} --csv {out}/spectra.csv",
        f"report {whole} --out {out}/report.html",
        f"train --init {init_file} --epochs 1 --limit 40 --device cpu --out {out}/run",
        f"study run {four(tmp_path, epochs=1, text=text)} --device cpu --out {out}/study",
    )
    for command, number in zip(commands, itertools.cycle(ERRORS)):
        faults = Faults(out, 5, number)
        with faults.happening():
            said = run(*command.split(), exit_code=1).stderr.splitlines()
            assert [os.strerror(number) in line for line in said if line.startswith("Error: ")] == [True], said
        assert not [path for path in out.rglob("*") if path.name.startswith(".")], command
        run(*command.split())


@pytest.mark.parametrize("more", [1, 8, 64, 512])
def test_a_limit_on_memory_is_a_sentence(tmp_path: Path, more: int) -> None:
    """OpenBLAS ends a process by itself, with its own sentence; what was written until then is whole."""
    source, out, said = open_data("digits"), tmp_path / "run", tmp_path / "said"
    config = small(source, limit=300, epochs=2, batch_size=256, channels=(16, 32))
    status = status_of(start(train_in_little_memory, config, out, more * 2**20, said))
    text = said.read_text()
    assert "Traceback" not in text
    assert (status == 0 and not text) or "memory" in text.lower(), text
    for path in out.glob("*.pt"):
        load_checkpoint(path).model()
    if (out / "config.json").exists():
        assert resume(out).config == config
    else:
        train(config, source, out)


def test_the_directory_of_a_run_is_no_place_to_write_a_file(tmp_path: Path, whole: Path) -> None:
    """A file where the directory of the spectra belongs is a warning; the run goes on."""
    source, out = open_data("digits"), tmp_path / "run"
    said: list[str] = []

    class Blocking(Reporter):
        def on_start(self, beginning: Any) -> None:
            (out / "spectra").write_text("in the way")

        def on_warning(self, message: str) -> None:
            said.append(message)

    train(small(source, limit=40, epochs=4, track_spectrum=4), source, out, reporter=Blocking())
    require_same(whole, out)
    assert len(said) == 2
    assert all("cannot write" in line for line in said)


def test_all_runs_have_ended_before_a_log_that_can_t_be_written_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(Ended):
        has_ended = False

        def poll(self) -> None:
            return None

        def send_signal(self, number: int) -> None:
            assert number == signal.SIGTERM

        def wait(self, timeout: float = math.inf) -> int:
            self.has_ended = True
            return super().wait(timeout)

    processes = [Killed(-signal.SIGKILL), Killed(-signal.SIGKILL)]
    left = processes.copy()
    monkeypatch.setattr(LocalRunner, "_worker", lambda *_: left.pop(0))
    directory = StudyDirectory(tmp_path)
    for name in ("one", "two"):
        directory.log(name).parent.mkdir(parents=True, exist_ok=True)
        directory.log(name).symlink_to("/dev/full")
    runner = LocalRunner(directory, ["one", "two"], jobs=2)
    runner.advance()
    with pytest.raises(pr.FileError, match=r"cannot write .*one.*: No space left on device"):
        runner.stop()
    assert [process.has_ended for process in processes] == [True, True]
