"""YAML as plain values, from files and option texts that anyone may have written."""

from __future__ import annotations

from typing import Any

import yaml

MOST_DIGITS = 1000  # of a whole number: far more, and Python refuses to print it


class _PlainLoader(yaml.SafeLoader):
    """YAML without aliases: a few lines of them can stand for more values than any memory holds."""

    def construct_yaml_int(self, node: Any) -> int:
        if len(node.value) > MOST_DIGITS:
            raise yaml.YAMLError(f"a whole number of {len(node.value):,} digits; at most {MOST_DIGITS:,}")
        return super().construct_yaml_int(node)

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not read; write the value out")
        return super().compose_node(parent, index)


_PlainLoader.add_constructor("tag:yaml.org,2002:int", _PlainLoader.construct_yaml_int)


def read_yaml(text: str) -> Any:
    """Plain values of YAML: no aliases, no tags that build objects.

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
