"""What is wrong with options, in plain English instead of pydantic's words."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

MOST = 10  # that are listed

_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "finite_number": "a finite number",
    "bool": "true or false",
    "string_too_short": "a text that is not empty",
    "string": "a text",
    "path_type": "a path",
    "too_short": "at least {min_length} of them",
    "tuple": "a list, such as [4, 8]",
    "list": "a list, such as [a, b]",
    "dict": "names with values",
    "literal_error": "{expected}",
    "greater_than_equal": "{ge} or more",
    "greater_than": "more than {gt}",
    "less_than_equal": "{le} or less",
    "less_than": "less than {lt}",
}
_TYPE = re.compile(r"int|float|str|bool|constrained-\w+|(?:literal|tuple)\[.*")  # as pydantic calls them


def refusals(
    errors: Sequence[Mapping[str, Any]],
    known: Sequence[str],
    in_file: bool,
    page: str = "docs/reference/options.md",
) -> str:
    """All that is wrong, one clause for each option.

    Args:
        errors: as pydantic lists them.
        known: full names of all options and sets of options.
        in_file: whether they stand in a YAML file: names are then as there, else in backquotes.
        page: where all options are listed.
    """
    clauses: dict[str, list[str]] = {}
    for error in errors:
        if error["type"] == "too_short" and len(error["input"]) >= error["ctx"]["min_length"]:
            continue  # what is too short is what is left without those that are wrong, and they are told
        name, clause = _clause(error, known, in_file, page)
        said = clauses.setdefault(name, [])
        if clause not in said:
            said.append(clause)
    texts = [
        " or ".join([first, *(other.removeprefix("expected ") for other in others)])
        for first, *others in clauses.values()
    ]
    more = [f"and {len(texts) - MOST} more"] if len(texts) > MOST else []
    return "; ".join([f"{name}{text}" for name, text in zip(clauses, texts[:MOST], strict=False)] + more)


def _clause(error: Mapping[str, Any], known: Sequence[str], in_file: bool, page: str) -> tuple[str, str]:
    """Which option with which value, which is the same for all of its errors, and what is wrong with it."""
    path = ".".join(str(part) for part in error["loc"])
    found = _found(error["input"])
    if error["type"] == "extra_forbidden":
        hint = _hint(path, error["input"], known, in_file, page)
        return f"{_quoted(path, in_file)}: ", f"no such option; {hint}"
    if error["type"] == "missing":  # its input is all that stands beside it
        return f"{_quoted(path, in_file)}: ", "missing; it has no default"
    option = _option(error["loc"])
    name, text = _quoted(option, in_file), _words(error)
    if text.startswith(_short(error["input"])):
        return f"{name} ", text
    if any(other.startswith(f"{option}.") for other in known):  # of a set of options together
        if isinstance(error["input"], Mapping):
            return f"{name}: ", text
        first = next(other for other in known if other.startswith(f"{option}."))
        return f"{name} {found}: ", f"expected names with values, such as {as_yaml(first, '...')}"
    return f"{name} {found}: ", text


def _option(location: Sequence[int | str]) -> str:
    """The option, without the place in a list, or the type among several, that the error is of."""
    parts = [str(part) for part in location]
    while len(parts) > 1 and (parts[-1].isdigit() or _TYPE.fullmatch(parts[-1])):
        parts.pop()
    return ".".join(parts)


def _words(error: Mapping[str, Any]) -> str:
    kind, context = str(error["type"]), error.get("ctx", {})
    form = _WORDS.get(kind) or _WORDS.get(kind.split("_")[0])
    if form is None:
        return str(error["msg"]).removeprefix("Value error, ")
    whole = {n: int(v) if isinstance(v, float) and v.is_integer() else v for n, v in context.items()}
    return "expected " + form.format(**whole).replace("'", "")


def _hint(path: str, value: object, known: Sequence[str], in_file: bool, page: str) -> str:
    """What was meant by a name that is none."""
    if ":" in path and value is None:
        name, _, rest = path.partition(":")
        return f"a blank is missing after the colon: {as_yaml(name, rest)}"
    if in_file and path in known:
        return f"write {as_yaml(path, value)}"
    own = [path.rpartition(".")[2]]  # which must be near as well: a long name of a task makes all near
    near = get_close_matches(path, known, n=9)
    near = [n for n in near if get_close_matches(n.rpartition(".")[2], own, cutoff=0.7)]
    near = near or [n for n in known if n.endswith(f".{path}")]
    if not near:
        return f"{page} lists all"
    return f"did you mean {as_yaml(near[0], value) if in_file else _quoted(near[0], in_file)}?"


def as_yaml(name: str, value: object) -> str:
    """`train: {steps: 20}` of train.steps and 20."""
    first, *inner = name.split(".")
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    for part in reversed(inner):
        text = f"{{{part}: {text}}}"
    return f"{first}: {text}"


def _quoted(name: str, in_file: bool) -> str:
    return name if in_file else f"`{name}`"


def _found(value: object) -> str:
    """The value as it is written; of true and false also how YAML comes to them, as nobody wrote True."""
    if isinstance(value, bool):
        return "true (as YAML reads yes and on)" if value else "false (as YAML reads no and off)"
    return _short(value)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
