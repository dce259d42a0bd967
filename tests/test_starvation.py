"""Full disks, read-only directories, limits on files and memory: a sentence, and a run that can be resumed."""

from __future__ import annotations

import errno
import random
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from faults import fail_everywhere
from forked import start, status_of
from small_runs import require_same, small
from victims import train_in_little_memory

import polyroots as pr
from polyroots.checkpoints import load_checkpoint
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


def test_an_error_at_each_step_of_writing_is_a_sentence(tmp_path: Path) -> None:
    """Every ninth step here; ``python -m tests.faults`` takes all of them."""
    assert sum(fail_everywhere(tmp_path, (errno.EIO,), every=9).values()) >= 4


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
