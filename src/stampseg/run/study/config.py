"""What a study is asked: tasks, methods, numbers of labels, draws, and the claims to be tested."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, field_validator

from ...core.config import Config, parse_config
from ...core.errors import ConfigError
from ...core.options import Options, Value
from ...core.refusals import refusals
from ...core.system import is_portable, one_name
from ...core.text import counted
from ...core.yaml import read_yaml
from ..compatibility import check_together
from .claim import Claim, read_claims

PAGE = "docs/how-to/run-a-study.md"
_NAME = re.compile(r"[^\s./\\:*?\"<>|$][^/\\:*?\"<>|$\t\n\r]{0,99}")  # of a folder on any system
_VARIABLE = re.compile(r"\$(?:(\w+)|\{([^}]*)\})", re.ASCII)  # as os.path.expandvars takes it
_OF = {"flops of": "flops", "parameters of": "parameters"}  # targets that are another method's size
_NETWORK_OF = "network of"  # in network.widths_of: another method's network
# Options of a run that the study gives.
_OURS = {
    "seed": "the seed is the number of the draw",
    "labels": "the task says who is labelled, as labelled_people and each",
    "group_regex": "the task says who is one person, as people",
}


class TaskOptions(Options):
    """A data set, and what is drawn from it."""

    data: str = Field(
        min_length=1, description="Folder or CSV; relative to the file, absolute, or from $VARIABLE on."
    )
    images: Path | None = Field(None, description="Folder of images in it, where the layout is your own.")
    masks: Path | None = Field(None, description="Folder of masks in it.")
    people: str | None = Field(
        None, description="Its first group in a case's id names the person; None: the CSV's group column."
    )
    labelled_people: tuple[int, ...] = Field(
        min_length=1, description="Numbers of people who are labelled; each makes cells of its own."
    )
    each: int | None = Field(None, ge=1, description="Labelled images of each of them; None: all.")
    test: int = Field(ge=1, description="People who test.")
    options: dict[str, Any] = Field(default_factory=dict, description="Of the runs, as in their config file.")

    @field_validator("labelled_people")
    @classmethod
    def _counts(cls, values: tuple[int, ...]) -> tuple[int, ...]:
        if min(values) < 1 or len(set(values)) < len(values):
            raise ValueError("expected numbers of 1 or more, each once")
        return values


class Same(Value):
    """What is taken of another method's network of the same task, labels and draw."""

    kind: Literal["flops", "parameters", "widths"]
    method: str

    @property
    def where(self) -> str:
        """The option that says so."""
        return "network.widths_of" if self.kind == "widths" else "prune.target"

    def put_into(self, options: dict[str, Any], given: float | Path | None) -> dict[str, Any]:
        """The options of the method with a value in that place; None: any, to check the others."""
        part, name = self.where.split(".")
        value = str(given or "run") if self.kind == "widths" else {"kind": self.kind, "amount": given or 1e6}
        return {**options, part: {**options[part], name: value}}

    def out_of(self, options: dict[str, Any]) -> dict[str, Any]:
        """The options without it."""
        part, name = self.where.split(".")
        return {**options, part: {key: value for key, value in options[part].items() if key != name}}


class StudyConfig(Options):
    """A whole study."""

    tasks: dict[str, TaskOptions] = Field(min_length=1)
    methods: dict[str, dict[str, Any]] = Field(min_length=1)
    draws: tuple[int, ...] = Field(
        min_length=1, description="People are drawn anew with each number, which is the seed as well."
    )
    claims: tuple[Claim, ...] = ()
    options: dict[str, Any] = Field(default_factory=dict, description="Of all runs.")
    added: tuple[str, ...] = Field((), description="Written by the study: what came after its first result.")
    taken_out: tuple[str, ...] = Field((), description="Written by the study: methods that had results.")

    @field_validator("tasks", "methods", mode="before")
    @classmethod
    def _names(cls, values: object) -> object:
        seen: dict[str, str] = {}
        for name in map(str, values) if isinstance(values, Mapping) else ():
            if (other := seen.setdefault(one_name(name), name)) != name:
                raise ValueError(
                    f"{other!r} and {name!r} are names of folders in the study, and one folder on many "
                    "disks; expected names that differ in more than upper and lower case"
                )
            if not _NAME.fullmatch(name) or name != name.strip() or not is_portable(name):
                raise ValueError(
                    f"{name!r} is the name of a folder in the study; expected letters, digits, blanks, "
                    "commas and the like, at most 100, no dot at the end, and no name that Windows keeps "
                    "(con, nul, ...)"
                )
        return values

    @field_validator("draws")
    @classmethod
    def _numbers(cls, values: tuple[int, ...]) -> tuple[int, ...]:
        if min(values) < 0 or max(values) >= 2**32 or len(set(values)) < len(values):
            raise ValueError("expected numbers from 0 to below 2^32, each once")
        return values

    def same_as(self, method: str) -> Same | None:
        """Whose size the method's networks shall have; None: it has a target of its own, or none."""
        return _same(self.methods[method])

    def run_options(self, task: str, method: str, given: float | Path | None = None) -> Config:
        """The options of the runs of a task and method: the study's, the task's, the method's.

        Args:
            task, method: names.
            given: the size, where it is another method's, or the run whose widths it has; None: any, to
                check the options.
        """
        own, same = self.methods[method], self.same_as(method)
        if same is not None:
            own = same.put_into(own, given)
        config = parse_config(self.options, "options", in_file=True)
        config = config.merged(self.tasks[task].options, f"tasks.{task}.options")
        config = config.merged(own, f"methods.{method}")
        if "validation" not in config.train.model_fields_set:
            config = config.merged({"train": {"validation": "none"}})
        return config


def _check_references(options: Mapping[str, Any], where: str, method: bool) -> None:
    """That another method's size is asked for in one place, as it can be, and by a method alone."""
    given = []
    for part, name, wanted in (("prune", "target", tuple(_OF)), ("network", "widths_of", (_NETWORK_OF,))):
        values = options.get(part)
        value = values.get(name) if isinstance(values, Mapping) else None
        if not isinstance(value, Mapping):
            continue
        if part == "prune" and not any(str(key).endswith(" of") for key in value):
            continue  # a target of its own
        place = f"{where}.{part}.{name}"
        if not method:
            raise ConfigError(
                f"{place} {dict(value)!r}: the size of another method is given to a method alone; move it to "
                "methods"
            )
        key, other = next(iter(value.items()), (None, None))
        if len(value) != 1 or key not in wanted or not isinstance(other, str | int):
            forms = " or ".join(f"{{{each}: METHOD}}" for each in wanted)
            raise ConfigError(f"{place} {dict(value)!r}: expected {forms}, METHOD being one of this study")
        given.append(f"{part}.{name}")
    if len(given) > 1:
        raise ConfigError(
            f"{where}: {' and '.join(given)} both ask for the size of another method; give one of them"
        )


def _same(options: Mapping[str, Any]) -> Same | None:
    for part, name in (("prune", "target"), ("network", "widths_of")):
        values = options.get(part)
        value = values.get(name) if isinstance(values, Mapping) else None
        if isinstance(value, Mapping) and len(value) == 1:
            (key,) = value
            kind = _OF.get(key) if part == "prune" else "widths" if key == _NETWORK_OF else None
            if kind is not None:
                return Same(kind=kind, method=str(value[key]))
    return None


def load_study(path: Path) -> StudyConfig:
    """Read the YAML file of a study, its paths good from anywhere.

    Raises:
        ConfigError: the file is missing, not YAML, or something in it is unknown or contradicts itself.
    """
    try:
        values = read_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); name a YAML file of a study") from None
    except ValueError as error:  # UnicodeDecodeError among them
        raise ConfigError(f"{path}: not a YAML file of a study ({error}); correct it") from None
    if not isinstance(values, dict):
        raise ConfigError(
            f"{path}: expected names with values, tasks, methods and draws at least; see {PAGE}"
        )
    _check_keys(values, path)
    claims = read_claims(values.get("claims"), path)
    try:
        config = StudyConfig.model_validate({**values, "claims": claims})
    except ValidationError as error:
        known = list(_known(values))
        raise ConfigError(f"{path}: {refusals(error.errors(), known, True, PAGE)}") from None
    _check(config, path)
    tasks = {
        name: task.model_copy(update={"data": _from(path.parent, task.data)})
        for name, task in config.tasks.items()
    }
    return config.model_copy(update={"tasks": tasks})


def _check_keys(values: Mapping[str, Any], path: Path) -> None:
    """That names of tasks and methods are names, and no other values to YAML."""
    for part in ("tasks", "methods"):
        named = values.get(part)
        for key in named if isinstance(named, Mapping) else ():
            if key is None or isinstance(key, bool):
                raise ConfigError(
                    f"{path}: {part}: {key!r} is no name (YAML reads yes, no, on, off and null as other "
                    "things than texts); put the name in quotes"
                )


def _from(folder: Path, data: str) -> str:
    return data if data.startswith("$") else str((folder / Path(data).expanduser()).absolute())


def place_of(name: str, task: TaskOptions) -> Path:
    """Where a task's data are.

    Raises:
        ConfigError: a variable that is not set, or empty.
    """
    for found in _VARIABLE.finditer(task.data):
        variable = found[1] or found[2]
        if not os.environ.get(variable):
            what = "is empty" if variable in os.environ else "is not set"
            raise ConfigError(
                f"tasks.{name}.data {task.data!r}: {found[0]} {what}; set it to where the data are, as in "
                f"export {variable}=/data"
            )
    return Path(os.path.expandvars(task.data))


def _known(values: Mapping[str, Any]) -> Iterator[str]:
    """Full names of all options, under the names that this study gives."""
    yield from StudyConfig.model_fields
    tasks = values.get("tasks")
    for name in tasks if isinstance(tasks, Mapping) else ():
        yield from (f"tasks.{name}.{field}" for field in TaskOptions.model_fields)


def _check(config: StudyConfig, path: Path) -> None:
    """What pydantic does not see: options of the runs, and names that stand for others."""
    _check_references(config.options, f"{path}: options", False)
    _check_own(config.options, f"{path}: options")
    for name, task in config.tasks.items():
        _check_references(task.options, f"{path}: tasks.{name}.options", False)
        _check_own(task.options, f"{path}: tasks.{name}.options")
    for name, options in config.methods.items():
        _check_references(options, f"{path}: methods.{name}", True)
        same = _same(options)
        plain = options
        if same is not None:
            plain = same.out_of(options)
            other = same.method
            if other not in config.methods or other == name or config.same_as(other) is not None:
                raise ConfigError(
                    f"{path}: methods.{name}.{same.where}: {same.kind} of {other!r}; expected another method "
                    f"of this study, with a size of its own: {_listed(config.methods)}"
                )
        _check_own(plain, f"{path}: methods.{name}")
    for task_name in config.tasks:
        for name in config.methods:
            _check_run(config, task_name, name, path)
    _check_claims(config, path)


def _check_run(config: StudyConfig, task: str, method: str, path: Path) -> None:
    """Options of the task and the method together."""
    try:
        options = config.run_options(task, method)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    try:
        check_together(options)
    except ConfigError as error:
        raise ConfigError(f"{path}: methods.{method} of tasks.{task}: {error}") from None
    if not options.traits.has_target and "target" in (config.methods[method].get("prune") or {}):
        raise ConfigError(
            f"{path}: methods.{method}.prune.target: `method` {options.method} trains the whole network; "
            "leave the target out, or give `method` flat or thin"
        )
    folds, people = options.train.folds, min(config.tasks[task].labelled_people)
    if folds is not None and folds > people:
        raise ConfigError(
            f"{path}: train.folds {folds} of methods.{method}: tasks.{task} labels "
            f"{counted(people, 'person', 'people')}, and each fold holds one out; ask for fewer folds, or "
            "for more labelled_people"
        )


def _check_own(options: dict[str, Any], where: str) -> None:
    """Options of runs that the study itself gives, or that could bring people who test into training."""
    config = parse_config(options, where, in_file=True)
    for name, why in _OURS.items():
        if name in config.model_fields_set:
            raise ConfigError(f"{where}.{name}: {why}; leave it out")
    if config.device.startswith("cuda:") and config.device != "cuda:0":  # the first of those that a cell sees
        raise ConfigError(
            f"{where}.device {config.device!r}: expected cuda; a study shares the devices out, one a cell "
            "(CUDA_VISIBLE_DEVICES says which)"
        )
    if config.unlabelled.strip() not in ("auto", "none"):
        raise ConfigError(
            f"{where}.unlabelled {config.unlabelled!r}: expected auto (the people who are neither labelled "
            "nor test) or none, so that nobody who tests is learnt from"
        )
    if config.train.test.strip().lower() != "none":
        raise ConfigError(
            f"{where}.train.test {config.train.test!r}: the study itself draws the people who test, for all "
            "methods alike; leave it out"
        )
    if config.train.fold_column is not None:
        raise ConfigError(
            f"{where}.train.fold_column {config.train.fold_column!r}: the study draws the people who are "
            "labelled, without that column of the data; leave it out, or give train.folds"
        )
    if config.train.validation.strip().lower().endswith(".csv"):
        raise ConfigError(
            f"{where}.train.validation {config.train.validation!r}: expected none, auto or a share of the "
            "labelled people, so that nobody who tests decides anything"
        )


def _check_claims(config: StudyConfig, path: Path) -> None:
    for number, claim in enumerate(config.claims, 1):
        for role, name in (("method", claim.method), ("against", claim.against)):
            if name not in config.methods:
                raise ConfigError(
                    f"{path}: claim {number}, {role} {name!r}: no such method; expected one of "
                    f"{_listed(config.methods)}"
                )
        for task in claim.tasks if claim.tasks != "all" else ():
            if task not in config.tasks:
                raise ConfigError(
                    f"{path}: claim {number}, tasks {task!r}: no such task; expected all, or some of "
                    f"{_listed(config.tasks)}"
                )


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(map(repr, names))


def dump_study(config: StudyConfig) -> str:
    """The study as YAML that `load_study` reads back to an equal one."""
    return yaml.safe_dump(config.model_dump(mode="json", exclude_none=True), sort_keys=False)
