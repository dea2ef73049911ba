"""Modules of `page/` as one script that a page can hold: each in a function of its own."""

from __future__ import annotations

import re
from importlib.resources import files
from importlib.resources.abc import Traversable

PAGE = "page"
_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([\w-]+)\.mjs";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?(?:function|const|class) (\w+))", re.MULTILINE)


def asset(name: str) -> Traversable:
    """A file of `page/`."""
    return files(__package__).joinpath(PAGE, name)


def script_of(module: str) -> str:
    """A module and all that it imports, as a script that shows nothing to others.

    Args:
        module: its name, without `.mjs`. Modules import by name, `import { a } from "./b.mjs";`, export
            what they define, and do not import in circles.

    Raises:
        ValueError: a module does otherwise, or holds a tag that would end the script.
    """
    parts: dict[str, str] = {}
    _add(module, parts)
    return '"use strict";\n(() => {\n' + "\n".join(parts.values()) + "\n})();\n"


def _add(module: str, parts: dict[str, str]) -> None:
    """The modules that it imports, then itself, unless they are there."""
    if module in parts:
        return
    text = asset(f"{module}.mjs").read_text(encoding="utf-8")
    for _, other in _IMPORT.findall(text):
        _add(other, parts)
    own = _IMPORT.sub(lambda found: f"const {{{found[1]}}} = {_name(found[2])};\n", text)
    exported = ", ".join(name for _, name in _EXPORT.findall(own))
    own = _EXPORT.sub(r"\1", own)
    if re.search(r"^(import|export)\b", own, re.MULTILINE) or "</script" in own or "<!--" in own:
        raise ValueError(f"{module}.mjs: holds an import, an export or a tag that cannot stand in a page")
    parts[module] = f"const {_name(module)} = (() => {{\n{own}return {{ {exported} }};\n}})();"


def _name(module: str) -> str:
    return f"module_{module.replace('-', '_')}"
