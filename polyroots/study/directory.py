"""The directory of a study, with its plan, its runs and their logs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, NonNegativeInt, ValidationError

from polyroots.errors import FileError, InputError, one_sentence
from polyroots.files import HeldDirectory, are_same, held, make_directory, read_json, replacing, write_json
from polyroots.study.plan import Plan, PlannedRun
from polyroots.training import CHANGEABLE, Run, TrainConfig, differences, load_config

# Seconds to wait for a command that is ending.
_PATIENCE = 2.0


class _StoredRun(BaseModel):
    """A run in plan.json; its name is that of a directory beside the others."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9+-][A-Za-z0-9._+-]*$", max_length=255)]
    settings: dict[str, Any]
    config: TrainConfig
    weights: NonNegativeInt


class _StoredPlan(BaseModel):
    """The content of plan.json."""

    title: str
    question: str
    keys: list[str]
    runs: list[_StoredRun]
    # Version 0.1.0 wrote none.
    digest: str | None = None


class StudyDirectory:
    """The directory of a study.

    Parameters
    ----------
    path : path
        It may be missing; `write` makes it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._held: HeldDirectory | None = None

    @property
    def description(self) -> Path:
        """A copy of the study file."""
        return self.path / "study.toml"

    @property
    def plan(self) -> Path:
        """The plan: every run with its complete configuration."""
        return self.path / "plan.json"

    @property
    def jobs(self) -> Path:
        """Directory of the scripts and logs of SLURM jobs."""
        return self.path / "slurm"

    def owns(self, path: Path) -> bool:
        """Whether a path is that of the plan or the study file; False if there is no study."""
        return self.plan.is_file() and any(are_same(path, file) for file in (self.plan, self.description))

    def run(self, name: str) -> Run:
        """Return the directory of a run, which may be missing."""
        return Run(self.path / "runs" / name)

    def log(self, name: str) -> Path:
        """Return the file with the output of a run, of all attempts."""
        return self.path / "logs" / f"{name}.log"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock of this study within a block; the directory is made if it is missing.

        Raises
        ------
        FileError
            If another command holds it, or the directory can't be written.
        """
        make_directory(self.path)
        message = f"another 'polyroots study run' is running in {self.path}; wait until it is done, or stop it"
        with held(self.path, _PATIENCE, message) as self._held:
            try:
                yield
            finally:
                self._held = None

    def require_in_place(self) -> None:
        """Raise FileError if the directory is held and was moved or removed."""
        if self._held is not None and not self._held.is_in_place:
            place = self._held.place
            how = "removed, or moved" if place is None else f"moved to {place}"
            raise FileError(f"{self.path} was {how}, while the study ran: its runs stop", fields=["out"])

    def write(self, plan: Plan, text: str) -> Plan:
        """Write a plan, and the text of the study file that it was made from.

        Returns
        -------
        Plan
            The same, but runs that are in the directory under other names keep those.

        Raises
        ------
        InputError
            If a run in the directory has the name of a run of the plan and another configuration.
        FileError
            If the directory can't be written, or holds files of these names that are no study's.
        """
        self._require_no_other_files(text)
        plan = self._with_existing_names(self._as_it_began(plan, text))
        for planned in plan.runs:
            self._require_same(planned)
        # If the command ends between the two, the digest of the plan shows that it is of another text than the copy.
        with replacing(self.description) as temporary:
            temporary.write_text(text, encoding="utf-8")
        write_json(
            self.plan,
            {
                "digest": _digest(text),
                "title": plan.title,
                "question": plan.question,
                "keys": list(plan.keys),
                "runs": [
                    {
                        "name": run.name,
                        "settings": dict(run.settings),
                        "weights": run.weights,
                        "config": run.config.model_dump(mode="json"),
                    }
                    for run in plan.runs
                ],
            },
        )
        return plan

    def read(self) -> Plan:
        """Return the plan.

        Raises
        ------
        FileError
            If it is missing or damaged.
        """
        stored = self._stored()
        runs = (PlannedRun(run.name, run.settings, run.config, run.weights) for run in stored.runs)
        return Plan(stored.title, stored.question, tuple(stored.keys), tuple(runs))

    def _stored(self) -> _StoredPlan:
        if not self.path.is_dir():
            raise FileError(f"no directory {self.path}: expected one of 'polyroots study run'")
        document = read_json(self.plan, "the plan of a study, as 'polyroots study run' writes it")
        try:
            return _StoredPlan.model_validate(document)
        except ValidationError as error:
            raise FileError(
                f"{self.plan} is damaged: {one_sentence(error)}; 'polyroots study run' with the "
                "study file writes it again"
            ) from error

    def _require_no_other_files(self, text: str) -> None:
        """Raise FileError if study.toml or plan.json are files of the user's own."""
        other = None
        if not self.plan.exists():
            if self.description.exists() and self.description.read_bytes() != text.encode():
                other = self.description
        else:
            with suppress(FileError):  # a damaged one is written again
                document = read_json(self.plan, "the plan of a study")
                if not isinstance(document, dict) or not _StoredPlan.model_fields.keys() & document.keys():
                    other = self.plan
        if other is not None:
            raise FileError(
                f"{other} is there, and is not that of a study here; choose another directory, or move the file",
                fields=["out"],
            )

    def _as_it_began(self, plan: Plan, text: str) -> Plan:
        """Take the configurations of the stored plan if it was made from the same text.

        What the file leaves open is as it was when the study began, also where defaults have changed since then.
        """
        try:
            found = self._stored()
        except FileError:  # there is none, or it is damaged, and is written again
            return plan
        if found.digest is not None:
            is_same = found.digest == _digest(text)
        else:
            is_same = self.description.exists() and self.description.read_text("utf-8") == text
        if not is_same:
            return plan
        stored = {run.name: run.config for run in found.runs}
        runs = []
        for run in plan.runs:
            machine = {name: getattr(run.config, name) for name in (*CHANGEABLE, "devices", "num_nodes")}
            config = stored.get(run.name, run.config).model_copy(update=machine)
            runs.append(replace(run, config=config))
        return replace(plan, runs=tuple(runs))

    def _with_existing_names(self, plan: Plan) -> Plan:
        """Give planned runs the names of existing runs of the same configuration, which another file may have named."""
        existing: dict[str, str] = {}
        for path in sorted(self.path.glob("runs/*/config.json"), reverse=True):
            try:
                existing[_identity(load_config(Run(path.parent)))] = path.parent.name
            except FileError:  # damaged; `_require_same` raises if the plan has a run of that name
                continue
        found = {run.name: existing[identity] for run in plan.runs if (identity := _identity(run.config)) in existing}
        taken = set(found.values())
        runs = []
        for run in plan.runs:
            name = found.get(run.name, run.name)
            if run.name not in found and name in taken:
                # The directory of this name holds another run of the plan.
                name += "-again"
            runs.append(replace(run, name=name))
        return replace(plan, runs=tuple(runs))

    def _require_same(self, planned: PlannedRun) -> None:
        run = self.run(planned.name)
        if not run.config.exists():
            return
        for name, was, now in differences(load_config(run), planned.config, CHANGEABLE):
            raise InputError(
                f"{run.path} is a run with {name} {was}, the study now has {now}; write the setting into the file, "
                "choose another directory, or remove that run",
                fields=["out"],
            )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _identity(config: TrainConfig) -> str:
    """Return a text that is equal for two configurations if they give the same run on any machine."""
    return config.model_dump_json(exclude=set(CHANGEABLE))
