"""Methods are told apart by what they do, in one table."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import get_args

import stampseg
from stampseg.core.config import Config
from stampseg.core.method import METHODS, Method, methods_that_prune

SOURCE = Path(stampseg.__file__).parent


def test_the_table_has_a_row_for_every_name() -> None:
    assert set(METHODS) == set(get_args(Method))
    assert methods_that_prune() == ["stamp+", "stamp"]
    assert [name for name in METHODS if Config(method=name).traits.has_target] == [
        "stamp+",
        "stamp",
        "flat",
        "thin",
    ]  # type: ignore[arg-type]


def test_nobody_compares_the_name_of_a_method() -> None:
    studies = {SOURCE / "report" / "comparison", SOURCE / "run" / "study"}  # a method is a name of their own
    for path in (path for path in SOURCE.rglob("*.py") if not studies & set(path.parents)):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Compare):
                sides = [ast.unparse(side) for side in (node.left, *node.comparators)]
                assert not any(side.endswith(".method") for side in sides), f"{path}: {ast.unparse(node)}"
