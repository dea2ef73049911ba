"""docs/results/structure.md: the shape of the source, before the thirteen rooms and now.

    python docs/generate_structure.py            writes the page
    python docs/generate_structure.py --of TREE  prints the figures of another checkout as JSON

The source is parsed, never imported. What was before stands in docs/results/structure.json, printed by --of.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "results"
TARGET = RESULTS / "structure.md"
ARCHITECTURE = ROOT / "docs" / "explanation" / "architecture.md"
PACKAGE = "stampseg"
LONG_FILE, LONG_FUNCTION, MANY_PARAMETERS = 400, 40, 6

ROWS = {
    "names_at_root": "names at the root of the package",
    "rooms": "rooms (folders at the root)",
    "arrows": "imports from one name at the root to another, pairs",
    "circles": "circles of imports between files, those for types counted",
    "against_table": "imports against the table of rooms",
    "files": "files",
    "lines": "lines",
    "median_file": "lines of the median file",
    "long_files": f"files over {LONG_FILE} lines",
    "largest_file": "lines of the largest file",
    "functions": "functions and methods",
    "median_function": "lines of the median function",
    "long_functions": f"functions over {LONG_FUNCTION} lines",
    "long_share": "their share",
    "many_parameters": f"functions of more than {MANY_PARAMETERS} parameters",
}


def module_of(path: Path, source: Path) -> str:
    """Dotted name below the package: data/cases.py -> data.cases, data/__init__.py -> data."""
    parts = path.relative_to(source).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(tree: ast.AST, home: tuple[str, ...]) -> Iterator[str]:
    """Dotted names that a module of the folder `home` imports from the package, below its name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = [PACKAGE, *home][: len(home) + 2 - node.level] if node.level else []
            prefix = [*base, *([node.module] if node.module else [])]
            found = [".".join(prefix), *(".".join([*prefix, alias.name]) for alias in node.names)]
        else:
            continue
        yield from (name.removeprefix(f"{PACKAGE}.") for name in found if name.startswith(f"{PACKAGE}."))


def import_graph(source: Path) -> dict[str, set[str]]:
    """Module -> the modules of the package that it imports; a folder's own index counts for no file in it."""
    paths = {module_of(path, source): path for path in source.rglob("*.py")}
    folders = {name for name, path in paths.items() if path.name == "__init__.py"}
    graph = {}
    for name, path in paths.items():
        if name:
            home = path.relative_to(source).parts[:-1]
            names = set(imported(ast.parse(path.read_text(encoding="utf-8")), home))
            graph[name] = (names & paths.keys()) - folders - {name}
    return graph


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """Sets of modules that reach one another."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        todo = [start]
        while todo:
            new = graph[todo.pop()] - seen
            seen |= new
            todo += new
        return seen

    far = {name: reached(name) for name in graph}
    rings = {frozenset(other for other in far[name] if name in far[other]) for name in graph}
    return [set(ring) for ring in rings if ring]


def table() -> dict[str, set[str]]:
    """Room -> what it may import, as the page on the architecture says."""
    text = ARCHITECTURE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)/` \| .* \| ([^|]+) \|$", text, re.MULTILINE)
    rooms = {room for room, _ in rows}
    allowed = {}
    for room, cell in rows:
        names = {part.strip().strip("`").removesuffix(".py").replace("/", ".") for part in cell.split(",")}
        allowed[room] = rooms if names == {"all"} else names - {"nothing"}
    return allowed


def room_of(module: str) -> str:
    return module.split(".")[0]


def against_table(graph: dict[str, set[str]], allowed: dict[str, set[str]]) -> list[tuple[str, str]]:
    """Imports that the table does not allow; modules beside the rooms may import what they like."""
    return [
        (module, other)
        for module, others in graph.items()
        if room_of(module) in allowed
        for other in others
        if room_of(other) != room_of(module) and not {room_of(other), other} & allowed[room_of(module)]
    ]


def functions(source: Path) -> list[tuple[str, int, int]]:
    """Name, lines and parameters (without self and cls) of every function, those within others too."""
    found = []
    for path in sorted(source.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                count = sum(argument.arg not in ("self", "cls") for argument in arguments)
                name = f"{path.relative_to(source).as_posix()} {node.name}"
                found.append((name, node.end_lineno - node.lineno + 1, count))
    return found


def figures(source: Path, allowed: dict[str, set[str]] | None) -> dict[str, Any]:
    """All of `ROWS` for one tree; `allowed` is None where it had no table of rooms."""
    graph = import_graph(source)
    lines = [len(path.read_text(encoding="utf-8").splitlines()) for path in source.rglob("*.py")]
    lengths = [length for _, length, _ in functions(source)]
    long = sum(length > LONG_FUNCTION for length in lengths)
    folders = [place for place in source.iterdir() if place.is_dir() and any(place.rglob("*.py"))]
    pairs = {(room_of(module), room_of(other)) for module, others in graph.items() for other in others}
    return {
        "names_at_root": len(folders) + len(list(source.glob("*.py"))),
        "rooms": len(folders),
        "arrows": sum(one != other for one, other in pairs),
        "circles": len(circles(graph)),
        "against_table": None if allowed is None else len(against_table(graph, allowed)),
        "files": len(lines),
        "lines": sum(lines),
        "median_file": statistics.median(lines),
        "long_files": sum(count > LONG_FILE for count in lines),
        "largest_file": max(lines),
        "functions": len(lengths),
        "median_function": statistics.median(lengths),
        "long_functions": long,
        "long_share": long / len(lengths),
        "many_parameters": sum(count > MANY_PARAMETERS for _, _, count in functions(source)),
    }


def cell(name: str, value: Any) -> str:
    if value is None:
        return "no table"
    return f"{value:.1%}" if name == "long_share" else f"{value:,}".removesuffix(".0")


def structure_page() -> str:
    """The whole page."""
    source = ROOT / "src" / PACKAGE
    before = json.loads((RESULTS / "structure.json").read_text(encoding="utf-8"))
    now = figures(source, table())
    longest = sorted(functions(source), key=lambda each: -each[1])
    return "\n".join(
        [
            "# The shape of the source",
            "",
            "Before the thirteen rooms, and when this page was made: `python docs/generate_structure.py`. Lines are "
            "all lines, comments and docstrings too; parameters are counted without `self` and `cls`.",
            "",
            f"| | {before['commit']} | now |",
            "|---|---|---|",
            *(
                f"| {text} | {cell(name, before[name])} | {cell(name, now[name])} |"
                for name, text in ROWS.items()
            ),
            "",
            f"Functions over {LONG_FUNCTION} lines, docstrings included:",
            "",
            "| function | lines |",
            "|---|---|",
            *(f"| `{name}` | {length} |" for name, length, _ in longest if length > LONG_FUNCTION),
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--of", type=Path, help="a checkout of another commit; prints its figures")
    tree = parser.parse_args().of
    if tree is not None:
        print(json.dumps(figures(tree / "src" / PACKAGE, None), indent=2))
    else:
        TARGET.write_text(structure_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
