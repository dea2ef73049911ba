"""YAML as plain values, from files and option texts that anyone may have written."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import yaml

MOST_DIGITS = 1000  # of a whole number: far more, and Python refuses to print it
_MERGE = "tag:yaml.org,2002:merge"
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9_]*)")


class _PlainLoader(yaml.SafeLoader):
    """YAML in which values are what they look like.

    No aliases: a few lines of them can stand for more values than any memory holds. No numbers of other bases
    than ten: 0500 would be 320, and 10:00 would be 600. No name twice: the last would count.
    """

    def construct_yaml_int(self, node: Any) -> int:
        if len(node.value) > MOST_DIGITS:
            raise yaml.YAMLError(f"a whole number of {len(node.value):,} digits; at most {MOST_DIGITS:,}")
        number = super().construct_yaml_int(node)
        if not _DECIMAL.fullmatch(node.value):
            raise _other_base(node, number)
        return number

    def construct_yaml_float(self, node: Any) -> float:
        number = super().construct_yaml_float(node)
        if ":" in node.value:
            raise _other_base(node, number)
        return number

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        own = list(node.value)  # what `<<` brings is added to it, and goes behind it
        values = super().construct_mapping(node, deep)
        lines: dict[Any, int] = {}
        for key_node, _ in own:
            if key_node.tag != _MERGE:
                key, line = self.construct_object(key_node), key_node.start_mark.line + 1
                if key in lines:
                    place = f" (line {lines[key]})" if lines[key] != line else ""
                    raise _refusal(key_node, f"{str(key)[:60]} is there twice{place}; keep one of them")
                lines[key] = line
        return values

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not read; write the value out")
        return super().compose_node(parent, index)


_PlainLoader.add_constructor("tag:yaml.org,2002:int", _PlainLoader.construct_yaml_int)
_PlainLoader.add_constructor("tag:yaml.org,2002:float", _PlainLoader.construct_yaml_float)


def _other_base(node: Any, number: float) -> yaml.MarkedYAMLError:
    return _refusal(
        node,
        f"{node.value[:60]} would be read as {str(number)[:60]}; write numbers in base ten, without a zero "
        "in front, and texts in quotes",
    )


def _refusal(node: Any, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


def read_yaml(text: str) -> Any:
    """Plain values of YAML: no aliases, no tags that build objects, no numbers in other bases, no name twice.

    Raises:
        ValueError: it is something else, said in one line.
    """
    try:
        return yaml.load(text, _PlainLoader)
    except yaml.MarkedYAMLError as error:
        place = f"line {error.problem_mark.line + 1}: " if error.problem_mark is not None else ""
        raise ValueError(f"{place}{error.problem or error.context or 'it cannot be read'}") from None
    except yaml.YAMLError as error:
        raise ValueError(str(error).splitlines()[0]) from None
    except RecursionError:
        raise ValueError("nested without end") from None
    except (TypeError, OverflowError, AttributeError) as error:  # of keys and dates that are none
        raise ValueError(str(error)) from None
