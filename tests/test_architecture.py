"""The rooms of docs/explanation/architecture.md, held by reading the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PACKAGE = "stampseg"
SOURCE = Path(__file__).resolve().parents[1] / "src" / PACKAGE

# Each room may import from itself and from the rooms above it.
ROOMS = (
    "errors",
    "packages",
    "options",
    "plain_yaml",
    "target",
    "config",
    "atomic",
    "order",
    "telemetry",
    "data",
    "channels",
    "networks",
    "denormals",
    "narrow_layers",
    "schedule",
    "algorithm",
    "replay",
    "state",
    "checkpoint",
    "selection",
    "training",
    "evaluation",
    "overlay",
    "sliding",
    "runtime",
    "timing",
    "prediction",
    "validation",
    "modelfile",
    "runs",
    "reporters",
    "trackers",
    "pretrained",
    "evaluation_report",
    "folding",
    "export",
    "latency",
    "report",
    "study",
    "split",
    "surveying",
    "conclusion",
    "console",
    "keeping",
    "pipeline",
    "pruning",
    "running",
    "library",
    "doctor",
    "inspecting",
    "scorers",
    "exporting",
    "segmenting",
    "benching",
    "demo",
    "demo_run",
    "cli_options",
    "cli_app",
    "cli_runs",
    "cli_models",
    "cli",
    "__main__",
)
HEAVY = {"torch", "monai"}
FOREIGN_FORMATS = {  # where other programs' files are read and written
    "pretrained/checkpoint.py": {"torch.load"},
    "pretrained/nnunet_export.py": {"torch.save"},
}
FILES = sorted(SOURCE.rglob("*.py"))
IDS = [path.relative_to(SOURCE).as_posix() for path in FILES]


def module_name(path: Path, root: Path = SOURCE) -> str:
    """Dotted name below the package: data/cases.py -> data.cases, data/__init__.py -> data."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def at_run_time(tree: ast.Module) -> ast.Module:
    """The module without its `if TYPE_CHECKING` blocks."""
    return ast.Module([node for node in tree.body if not is_type_checking(node)], [])


def on_import(tree: ast.Module) -> ast.Module:
    """Only the statements that run when the module is imported."""
    kept = at_run_time(tree).body
    return ast.Module([n for n in kept if not isinstance(n, ast.FunctionDef | ast.ClassDef)], [])


def imports(tree: ast.AST, module: str, is_package: bool) -> Iterator[str]:
    """Absolute names of everything `tree` imports; relative imports are resolved."""
    inside = [PACKAGE, *module.split(".")] if module else [PACKAGE]
    home = inside if is_package else inside[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = home[: len(home) - node.level + 1] if node.level else []
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            yield prefix
            yield from (f"{prefix}.{alias.name}" for alias in node.names)


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def imports_of(path: Path, view: Callable[[ast.Module], ast.Module] = lambda tree: tree) -> set[str]:
    return set(imports(view(parse(path)), module_name(path), path.name == "__init__.py"))


def own_imports(path: Path, view: Callable[[ast.Module], ast.Module] = lambda tree: tree) -> set[str]:
    """Modules of this package that the file imports, below the package's name."""
    names = {n.removeprefix(f"{PACKAGE}.") for n in imports_of(path, view) if n.startswith(f"{PACKAGE}.")}
    return names & MODULES.keys()


def room(module: str) -> str:
    return module.split(".")[0]


MODULES = {module_name(path): path for path in FILES}


def test_the_parser_resolves_relative_imports() -> None:
    tree = ast.parse("from ..config import Options\nfrom . import plan\nimport torch.nn\nfrom .a.b import c")
    found = set(imports(tree, "data.cases", is_package=False))
    assert {"stampseg.core.config", "stampseg.data.plan", "torch.nn", "stampseg.data.a.b"} <= found
    assert "stampseg.data.plan" in set(imports(ast.parse("from .plan import Plan"), "data", True))
    assert "stampseg.data" in set(imports(ast.parse("from . import data"), "", True))


def test_every_module_has_a_room() -> None:
    homeless = {room(m) for m in MODULES if m} - set(ROOMS)
    assert not homeless, f"{homeless}: give it a place in ROOMS and in docs/explanation/architecture.md"


def test_the_documentation_names_every_room() -> None:
    text = (SOURCE.parents[1] / "docs" / "explanation" / "architecture.md").read_text("utf-8")
    rooms = {room(m) for m in MODULES if m}
    missing = {name for name in rooms if f"`{name}/`" not in text and f"`{name}.py`" not in text}
    assert not missing, f"docs/explanation/architecture.md does not name {missing}"


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_imports_run_one_way(path: Path) -> None:
    module = module_name(path)
    if not module:
        return  # the package's index of public names
    allowed = ROOMS[: ROOMS.index(room(module)) + 1]
    wrong = {name for name in own_imports(path) if room(name) not in allowed}
    assert not wrong, f"{module} may import from {allowed}, not from {wrong}"


def test_no_cycles_between_modules() -> None:
    """Nor among imports for types alone."""
    graph = {module: own_imports(path) - {module} for module, path in MODULES.items() if module}
    packages = {module for module, path in MODULES.items() if path.name == "__init__.py"}
    graph = {module: names - packages for module, names in graph.items()}
    while graph:
        leaves = {module for module, names in graph.items() if not names & graph.keys()}
        assert leaves, f"import cycle among {sorted(graph)}"
        graph = {module: names for module, names in graph.items() if module not in leaves}


def test_the_engine_needs_errors_and_targets_alone() -> None:
    files = [path for module, path in MODULES.items() if room(module) == "channels"]
    assert files
    foreign = {name for path in files for name in own_imports(path) if room(name) != "channels"}
    assert foreign <= {"errors", "target"}


def test_nobody_imports_the_command_line() -> None:
    guilty = [m for m, path in MODULES.items() if "cli" in own_imports(path) and m != "__main__"]
    assert not guilty


def test_training_knows_nothing_of_pruning() -> None:
    path = SOURCE / "training.py"
    if path.exists():
        assert not {"algorithm", "channels"} & {room(name) for name in own_imports(path)}


@pytest.mark.parametrize("name", ["errors.py", "config.py"])
def test_options_and_errors_import_no_torch(name: str) -> None:
    assert not {n.split(".")[0] for n in imports_of(SOURCE / name)} & HEAVY


def test_the_command_line_imports_heavy_packages_only_inside_functions() -> None:
    path = SOURCE / "cli.py"
    if not path.exists():
        pytest.skip("no command line in this checkout")
    assert not {n.split(".")[0] for n in imports_of(path, on_import)} & HEAVY


def test_the_command_line_starts_without_torch() -> None:
    if not (SOURCE / "cli.py").exists():
        pytest.skip("no command line in this checkout")
    code = (
        f"import sys; sys.path.insert(0, {str(SOURCE.parent)!r}); import {PACKAGE}.cli; print(*sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split()) & (HEAVY | {"scipy", "SimpleITK"})
    assert not loaded, f"importing the command line loads {loaded}"


@pytest.mark.parametrize("module", ["runtime", "sliding", "data.preprocess", "data.io.readers", "segmenting"])
def test_what_predicts_is_imported_without_heavy_packages(module: str) -> None:
    start = f"import sys; sys.path.insert(0, {str(SOURCE.parent)!r})"
    code = f"{start}; import {PACKAGE}.{module}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    optional = {"scipy", "SimpleITK", "tifffile", "safetensors", "onnxruntime", "openvino", "nibabel", "PIL"}
    loaded = set(run.stdout.split()) & (HEAVY | optional)
    assert not loaded, f"importing {module} loads {loaded}"


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 400


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_no_pickle_and_no_attic(path: Path) -> None:
    assert path.stem not in {"utils", "util", "helpers", "misc"}
    modules = {name.split(".")[0] for name in imports_of(path)}
    assert not modules & {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
    assert not {"torch.load", "torch.save"} & imports_of(path)
    calls = {ast.unparse(node) for node in ast.walk(parse(path)) if isinstance(node, ast.Attribute)}
    allowed = FOREIGN_FORMATS.get(path.relative_to(SOURCE).as_posix(), set())
    found = {"torch.load", "torch.save", "np.load"} & calls - allowed
    assert not found, f"{found}: only safetensors, JSON and YAML"


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_checkpoints_are_only_read_as_tensors_and_plain_values(path: Path) -> None:
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
            said = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            assert said.get("weights_only") == "True", "write weights_only=True, literally"
