"""Configurations of MONAI bundles, read as data: references are followed, expressions never run."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ..errors import ModelFileError

DEEPEST = 20  # references that lead to references


class Unsaid(Exception):  # noqa: N818 (an answer rather than an error)
    """A value that only running code would tell."""


class BundleConfig:
    """One configuration file of a bundle."""

    def __init__(self, path: Path, content: Mapping[str, Any]) -> None:
        self.path = path
        self.content = content

    @classmethod
    def read(cls, path: Path) -> BundleConfig:
        """Read JSON or YAML.

        Raises:
            ModelFileError: it cannot be read, or is not a mapping.
        """
        try:
            text = path.read_text(encoding="utf-8")
            content = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
        except (OSError, UnicodeDecodeError, json.JSONDecodeError, yaml.YAMLError) as error:
            raise ModelFileError(
                f"{path}: cannot be read ({str(error).splitlines()[0]}); copy it again"
            ) from None
        if not isinstance(content, dict):
            raise ModelFileError(f"{path}: found {type(content).__name__}; expected names with values")
        return cls(path, content)

    def find(self, name: str) -> Any:
        """The value at `a#b` or `a::b`, as written; None where there is none."""
        value: Any = self.content
        for part in re.split(r"#|::", name):
            if isinstance(value, Mapping):
                value = value.get(part)
            elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
                value = value[int(part)]
            else:
                return None
        return value

    def resolve(self, value: Any, depth: int = 0) -> Any:
        """The value with plain `@name` references replaced, inside lists and mappings too.

        Raises:
            Unsaid: a `$` expression, a `%` macro, or a reference to nothing.
        """
        if isinstance(value, Mapping):
            return {name: self.resolve(inner, depth) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.resolve(inner, depth) for inner in value]
        if not isinstance(value, str) or value[:1] not in ("@", "$", "%"):
            return value
        found = self.find(value[1:]) if value[0] == "@" and depth < DEEPEST else None
        if found is None:
            raise Unsaid(value)
        return self.resolve(found, depth + 1)
