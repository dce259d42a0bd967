"""The directory of a study: its plan, its runs, their logs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from polyroots.errors import FileError, InputError, one_sentence
from polyroots.files import held, make_directory, read_json, replacing, write_json
from polyroots.study.plan import Plan, PlannedRun, text_of
from polyroots.training import CHANGEABLE, Run, TrainConfig, load_config

# Another command may be about to end.
_PATIENCE = 2.0


class StudyDirectory:
    """The directory of a study.

    Parameters
    ----------
    path : path
        It need not be there.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @property
    def description(self) -> Path:
        """A copy of the study file."""
        return self.path / "study.toml"

    @property
    def plan(self) -> Path:
        """What the file meant: every run with its complete configuration."""
        return self.path / "plan.json"

    @property
    def jobs(self) -> Path:
        """Directory of what SLURM was given, and wrote."""
        return self.path / "slurm"

    def run(self, name: str) -> Run:
        """Return the directory of a run, which need not be there."""
        return Run(self.path / "runs" / name)

    def log(self, name: str) -> Path:
        """Return the file with what a run has printed, in all attempts."""
        return self.path / "logs" / f"{name}.log"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other commands from running this study; the directory is made if need be.

        Raises
        ------
        FileError
            If another one does, or the directory can't be written.
        """
        make_directory(self.path)
        message = f"another 'polyroots study run' is at work in {self.path}; wait until it is done, or stop it"
        with held(self.path, _PATIENCE, message):
            yield

    def write(self, plan: Plan, text: str) -> Plan:
        """Write a plan, and the text of the study file that it was made from.

        Returns
        -------
        Plan
            The same, with the names of the directories in which runs of these configurations are already.

        Raises
        ------
        InputError
            If a run that is there under a name of the plan has another configuration.
        FileError
            If the directory can't be written.
        """
        plan = self._with_names_that_are_there(plan)
        for planned in plan.runs:
            self._require_same(planned)
        with replacing(self.description) as temporary:
            temporary.write_text(text, encoding="utf-8")
        write_json(
            self.plan,
            {
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
        """Read the plan.

        Raises
        ------
        FileError
            If there is none, or it is damaged.
        """
        if not self.path.is_dir():
            raise FileError(f"no directory {self.path}: expected one of 'polyroots study run'")
        document = read_json(self.plan, "the plan of a study, as 'polyroots study run' writes it")
        try:
            return Plan(
                document["title"],
                document["question"],
                tuple(document["keys"]),
                tuple(
                    PlannedRun(run["name"], run["settings"], TrainConfig(**run["config"]), run["weights"])
                    for run in document["runs"]
                ),
            )
        except ValidationError as error:
            raise FileError(f"{self.plan} holds a configuration that can't be used: {one_sentence(error)}") from error
        except (KeyError, TypeError, AttributeError) as error:
            raise FileError(f"{self.plan} is damaged; 'polyroots study run' with its file writes it anew") from error

    def _with_names_that_are_there(self, plan: Plan) -> Plan:
        """Find the runs that there are by what they compute: an axis more, or another order, gives them other names."""
        there: dict[str, str] = {}
        for path in sorted(self.path.glob("runs/*/config.json"), reverse=True):
            try:
                there[_identity(load_config(Run(path.parent)))] = path.parent.name
            except FileError:  # damaged: `_require_same` says so, if the plan has a run of that name
                continue
        found = {run.name: there[identity] for run in plan.runs if (identity := _identity(run.config)) in there}
        taken = set(found.values())
        runs = []
        for run in plan.runs:
            name = found.get(run.name, run.name)
            if run.name not in found and name in taken:
                # Another run of the plan is there under this name.
                name += "-again"
            runs.append(replace(run, name=name))
        return replace(plan, runs=tuple(runs))

    def _require_same(self, planned: PlannedRun) -> None:
        run = self.run(planned.name)
        if not run.config.exists():
            return
        there, wanted = (config.model_dump(mode="json") for config in (load_config(run), planned.config))
        for name, value in wanted.items():
            if name not in CHANGEABLE and there[name] != value:
                was, now = _difference(there[name], value), _difference(value, there[name])
                raise InputError(
                    f"{run.path} is a run with {name} {was}, the study now asks for {now}; choose another --out, "
                    "or remove that run"
                )


def _identity(config: TrainConfig) -> str:
    """What a run computes, wherever it does."""
    return config.model_dump_json(exclude=set(CHANGEABLE))


def _difference(value: Any, other: Any) -> str:
    """Say what a field has; of a network, what differs from another one."""
    if not isinstance(value, dict) or not isinstance(other, dict):
        return text_of(value)
    return ", ".join(f"{name} {text_of(value[name])}" for name in value if value[name] != other.get(name))
