"""Configurations of MONAI bundles, read as data: references are followed, expressions never run."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ...core.errors import ModelFileError

DEEPEST = 20  # references that lead to references
NESTED = 100  # lists and mappings within each other, references followed
VALUES = 100_000  # in one file, and again with its references followed; bundles have some hundred
_LIMITS = f"more than {VALUES:,} values or {NESTED} levels; expected the configuration of one network"


class Unsaid(Exception):  # noqa: N818 (an answer rather than an error)
    """A value that only running code would tell."""


class BundleConfig:
    """One configuration file of a bundle."""

    def __init__(self, path: Path, content: Mapping[str, Any]) -> None:
        self.path = path
        self.content = content
        self._resolved = 0

    @classmethod
    def read(cls, path: Path) -> BundleConfig:
        """Read JSON or YAML.

        Raises:
            ModelFileError: it cannot be read, is not a mapping, or is far larger than any bundle's.
        """
        try:
            text = path.read_text(encoding="utf-8")
            content = json.loads(text) if path.suffix == ".json" else yaml.load(text, _Loader)
        except Exception as error:  # a damaged file can raise anything
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise ModelFileError(f"{path}: cannot be read ({reason}); copy it again") from None
        if not isinstance(content, dict):
            raise ModelFileError(f"{path}: found {type(content).__name__}; expected names with values")
        _check_size(path, content)
        return cls(path, content)

    def find(self, name: str) -> Any:
        """The value at `a#b` or `a::b`, as written; None where there is none."""
        value: Any = self.content
        for part in re.split(r"#|::", name):
            if isinstance(value, Mapping):
                value = value.get(part)
            elif isinstance(value, list) and part.isdecimal() and len(part) < 9 and int(part) < len(value):
                value = value[int(part)]
            else:
                return None
        return value

    def followed(self, value: Any) -> Any:
        """What a plain reference `@name` stands for, as written; another value as it is."""
        for _ in range(DEEPEST):
            if not isinstance(value, str) or value[:1] != "@":
                break
            value = self.find(value[1:])
        return value

    def resolve(self, value: Any, references: int = 0, nested: int = 0) -> Any:
        """The value with plain `@name` references replaced, inside lists and mappings too.

        Args:
            value: as written.
            references: that led here.
            nested: lists and mappings that it is in.

        Raises:
            Unsaid: a `$` expression, a `%` macro, or a reference to nothing.
            ModelFileError: the references unfold to more than any bundle holds.
        """
        self._resolved += 1
        if self._resolved > VALUES or nested > NESTED:
            raise ModelFileError(f"{self.path}: its references unfold to {_LIMITS}")
        if isinstance(value, Mapping):
            return {name: self.resolve(inner, references, nested + 1) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.resolve(inner, references, nested + 1) for inner in value]
        if not isinstance(value, str) or value[:1] not in ("@", "$", "%"):
            return value
        content = self.find(value[1:]) if value[0] == "@" and references < DEEPEST else None
        if content is None:
            raise Unsaid(value)
        return self.resolve(content, references + 1, nested)


class _Loader(yaml.SafeLoader):
    """Plain values only; merges (`<<`) that multiply are refused."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Put the pairs of merged mappings in place of the merge."""
        pairs = len(node.value)
        for key, value in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                for part in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    if isinstance(part, yaml.MappingNode):
                        self.flatten_mapping(part)
                        pairs += len(part.value)
                    if pairs > VALUES:
                        raise yaml.YAMLError(f"its merges unfold to more than {VALUES:,} values")
        super().flatten_mapping(node)


def _check_size(path: Path, content: Any) -> None:
    """Refuse what would take minutes to go through; in YAML one value may stand in many places.

    Raises:
        ModelFileError: it is too large, or nested too deep or in itself.
    """
    waiting, seen = [(content, 0)], 0
    while waiting:
        value, nested = waiting.pop()
        seen += 1
        if seen > VALUES or nested > NESTED:
            raise ModelFileError(f"{path}: holds {_LIMITS}")
        inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
        waiting.extend((each, nested + 1) for each in inner)
