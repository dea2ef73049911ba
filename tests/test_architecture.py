"""The rooms of docs/explanation/architecture.md, held by reading the source."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = "stampseg"
SOURCE = Path(__file__).resolve().parents[1] / "src" / PACKAGE
TESTS = Path(__file__).resolve().parent

# What each room may import beside itself: rooms, or single modules of one.
ROOMS: dict[str, set[str]] = {
    "core": set(),
    "data": {"core"},
    "channels": {"core"},
    "networks": {"core", "data", "channels"},
    "evaluation": {"core", "data"},
    "runtime": {"core", "data", "channels.modes", "networks", "evaluation"},
    "export": {"core", "data", "channels", "networks", "evaluation", "runtime"},
    "timing": {"core", "channels", "networks", "runtime", "export"},
    "train": {"core", "data", "channels", "networks", "evaluation", "runtime", "timing"},
    "run": {"core", "data", "channels", "networks", "evaluation", "runtime", "timing", "train"},
    "doctor": {"core", "data", "channels", "networks", "train", "run"},
    "report": {"core", "data", "channels", "networks", "evaluation", "runtime", "run"},
}
ROOMS["cli"] = set(ROOMS)  # the command line sees every room; none sees it
DOORS = {"__main__"}  # the only file beside the rooms; it imports the command line
HEAVY = {"torch", "monai"}
FOREIGN_FORMATS = {  # where other programs' files are read and written
    "networks/pretrained/checkpoint.py": {"torch.load"},
    "networks/pretrained/nnunet_export.py": {"torch.save"},
}
LIGHT_ROOMS = ("core", "cli")  # import torch only inside functions
LIGHT = (
    "core.config",
    "runtime",
    "runtime.sliding",
    "runtime.segmentation",
    "data.preprocess",
    "data.io.readers",
    "run.study.slurm",  # on a login node
)
# What Windows has not, or macOS neither; `try: import fcntl` inside a function, and getattr, ask first.
OF_SOME_SYSTEMS = {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "posix", "syslog", "readline"}
CALLS_OF_SOME_SYSTEMS = {
    "os.fork", "os.getuid", "os.geteuid", "os.killpg", "os.mkfifo", "os.getloadavg", "os.sysconf", "os.nice",
    "os.uname", "os.rename", "os.sched_getaffinity", "os.posix_fadvise", "signal.SIGKILL", "signal.SIGUSR1",
    "signal.SIGHUP", "signal.SIGALRM", "signal.alarm", "time.tzset", "multiprocessing.Process",
    "multiprocessing.Pool",
}  # fmt: skip
FILES = sorted(SOURCE.rglob("*.py"))


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
    statements = at_run_time(tree).body
    return ast.Module([n for n in statements if not isinstance(n, ast.FunctionDef | ast.ClassDef)], [])


def imports(tree: ast.AST, module: str, is_package: bool, package: str = PACKAGE) -> Iterator[str]:
    """Absolute names of everything `tree` imports; relative imports are resolved."""
    inside = [package, *module.split(".")] if module else [package]
    home = inside if is_package else inside[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = home[: len(home) - node.level + 1] if node.level else []
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            yield prefix
            yield from (f"{prefix}.{alias.name}" for alias in node.names)


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def imports_of(path: Path, view: Callable[[ast.Module], ast.Module] = lambda tree: tree) -> set[str]:
    return set(imports(view(parse(path)), module_name(path), path.name == "__init__.py"))


def own_imports(path: Path, view: Callable[[ast.Module], ast.Module] = lambda tree: tree) -> set[str]:
    """Modules of this package that the file imports, below the package's name."""
    own = {name for name in imports_of(path, view) if name.split(".")[0] == PACKAGE}
    return {name.removeprefix(PACKAGE).removeprefix(".") for name in own} & MODULES.keys()


def attributes(tree: ast.AST) -> set[str]:
    """Every dotted name that is used: torch.load, self.network."""
    return {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def room(module: str) -> str:
    return module.split(".")[0]


MODULES = {module_name(path): path for path in FILES}


def test_the_parser_resolves_relative_imports() -> None:
    tree = ast.parse(
        "from ..core.config import Options\nfrom . import plan\nimport torch.nn\nfrom .a.b import c"
    )
    names = set(imports(tree, "data.cases", is_package=False))
    assert {"stampseg.core.config", "stampseg.data.plan", "torch.nn", "stampseg.data.a.b"} <= names
    assert "stampseg.data.plan" in set(imports(ast.parse("from .plan import Plan"), "data", True))
    assert "stampseg.data" in set(imports(ast.parse("from . import data"), "", True))


def is_allowed(module: str, imported: str) -> bool:
    """Whether the table lets `module` import `imported`, both dotted below the package."""
    if not imported:
        return False  # the package's index is for its users
    return room(imported) == room(module) or bool({room(imported), imported} & ROOMS[room(module)])


def test_the_table_is_the_tree() -> None:
    rooms = {path.name for path in SOURCE.iterdir() if path.is_dir() and any(path.rglob("*.py"))}
    assert rooms == ROOMS.keys(), "a folder without a row, or a row without a folder"
    loose = {module for module, path in MODULES.items() if module and path.parent == SOURCE}
    assert loose == DOORS, f"{loose - DOORS}: belongs into a room"


def test_tests_stand_in_the_rooms_they_test() -> None:
    folders = {path.parent.relative_to(TESTS).parts[0] for path in TESTS.rglob("*/test_*.py")}
    assert folders <= {*ROOMS, "bad_inputs", "compat", "fuzzing"}
    assert {path.name for path in TESTS.glob("test_*.py")} == {"test_architecture.py", "test_docs.py"}


def test_every_rule_names_something_that_is_there() -> None:
    named = {name for allowed in ROOMS.values() for name in allowed}
    assert named <= ROOMS.keys() | MODULES.keys(), f"{named - ROOMS.keys() - MODULES.keys()} does not exist"
    assert set(LIGHT_ROOMS) <= ROOMS.keys()
    places = {*FOREIGN_FORMATS, *(f"{name.replace('.', '/')}.py" for name in LIGHT)}
    missing = {
        place for place in places if not (SOURCE / place).is_file() and not (SOURCE / place[:-3]).is_dir()
    }
    assert not missing, f"{missing}: a rule about a file that is gone"


def test_the_documentation_has_the_same_table() -> None:
    text = (SOURCE.parents[1] / "docs" / "explanation" / "architecture.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(\w+)/` \|.*\| ([^|]+) \|$", text, re.MULTILINE))
    assert rows.keys() == ROOMS.keys()
    words = {"nothing": set(), "all": set(ROOMS) - {"cli"}}
    for name, row in rows.items():
        modules = {entry.strip("`").removesuffix(".py").replace("/", ".") for entry in row.split(", ")}
        assert words.get(row, modules) == ROOMS[name], name


def test_every_exception_is_needed() -> None:
    for place, calls in FOREIGN_FORMATS.items():
        missing = calls - attributes(parse(SOURCE / place))
        assert not missing, f"{place}: {missing} is allowed and not used"
    for name, allowed in ROOMS.items():
        paths = [path for module, path in MODULES.items() if room(module) == name]
        modules = set().union(*map(own_imports, paths))
        unused = allowed - modules - {room(module) for module in modules}
        assert not unused or name == "cli", f"{name}: may import {unused}, and does not"


def test_imports_follow_the_table() -> None:
    for path in FILES:
        module = module_name(path)
        if not module or module in DOORS:
            continue
        wrong = {name for name in own_imports(path) if not is_allowed(module, name)}
        assert not wrong, f"{module} may import from {sorted(ROOMS[room(module)])}, not {wrong}"


def test_the_table_itself_has_no_circle() -> None:
    graph = {name: {entry.split(".")[0] for entry in allowed} for name, allowed in ROOMS.items()}
    assert_no_circle(graph)


def test_no_circle_of_files_even_for_types() -> None:
    packages = {module for module, path in MODULES.items() if path.name == "__init__.py"}
    graph = {module: own_imports(path) - packages - {module} for module, path in MODULES.items() if module}
    assert_no_circle(graph)


def assert_no_circle(graph: dict[str, set[str]]) -> None:
    while graph:
        leaves = {module for module, names in graph.items() if not names & graph.keys()}
        assert leaves, f"import circle among {sorted(graph)}"
        graph = {module: names for module, names in graph.items() if module not in leaves}


def test_training_steps_know_nothing_of_pruning() -> None:
    """The trainer, the loss and the objectives take steps; only the loop knows that channels go."""
    for name in ("train/trainer.py", "train/loss.py", "train/objective.py", "train/mean_teacher.py"):
        assert not {"train.stamp", "channels"} & {n for m in own_imports(SOURCE / name) for n in (m, room(m))}


@pytest.mark.parametrize("name", LIGHT_ROOMS)
def test_a_light_room_imports_torch_only_inside_functions(name: str) -> None:
    for path in (SOURCE / name).rglob("*.py"):
        assert not {n.split(".")[0] for n in imports_of(path, on_import)} & HEAVY, path


def loaded_by(module: str) -> set[str]:
    """What is in sys.modules once `module` is imported in a new process."""
    start = f"import sys; sys.path.insert(0, {str(SOURCE.parent)!r})"
    code = f"{start}; import {PACKAGE}.{module}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_the_command_line_starts_without_torch() -> None:
    """Nor what else takes its time, so that --help is immediate; commands import what they use."""
    slow = {"scipy", "SimpleITK", "numpy", "pydantic", "yaml", "rich"}
    loaded = loaded_by("cli") & (HEAVY | slow)
    assert not loaded, f"importing the command line loads {loaded}"


@pytest.mark.parametrize("module", LIGHT)
def test_what_predicts_is_imported_without_heavy_packages(module: str) -> None:
    optional = {"scipy", "SimpleITK", "tifffile", "safetensors", "onnxruntime", "openvino", "nibabel"}
    loaded = loaded_by(module) & (HEAVY | optional)
    assert not loaded, f"importing {module} loads {loaded}"


def test_commands_import_nothing_that_they_do_not_use() -> None:
    """Seconds before the first file is read: what `evaluate` prints with, and what a model predicts with."""
    loaded = loaded_by("cli.tables") & (HEAVY | {"sklearn"})
    assert not loaded, f"printing tables loads {loaded}"
    loaded = loaded_by("runtime.torch_scorer") & {"monai", "mlflow", "scipy.stats", "sklearn", "pandas"}
    assert not loaded, f"predicting loads {loaded}"


def test_no_test_file_imports_another() -> None:
    """What tests share stands in plain modules beside them, so that a test file can be moved or split."""
    for path in TESTS.rglob("*.py"):
        names = imports(parse(path), module_name(path, TESTS), path.name == "__init__.py", package=TESTS.name)
        wrong = {name for name in names if re.match(rf"{TESTS.name}\.(\w+\.)*test_", name)}
        assert not wrong, f"{path}: {wrong}; move what is shared into a module beside it"


def test_every_file_can_be_imported_on_every_system() -> None:
    for path in FILES:
        assert not imports_of(path, on_import) & OF_SOME_SYSTEMS, path
        wrong = CALLS_OF_SOME_SYSTEMS & attributes(parse(path))
        assert not wrong, (
            f"{path}: {wrong}: not on every system, or (os.rename) not the same; see core/system.py"
        )
        calls = [node for node in ast.walk(parse(path)) if isinstance(node, ast.Call)]
        starts = {
            ast.unparse(a) for c in calls if ast.unparse(c.func).endswith("get_context") for a in c.args
        }
        assert starts <= {"'spawn'"}, f"{path}: processes are spawned, without the parent's memory"


def test_viewers_need_no_torch() -> None:
    viewers = SOURCE.parents[1] / "viewers"
    for path in viewers.rglob("*.py"):
        names = imports(parse(path), path.stem, path.name == "__init__.py", package=path.parent.name)
        assert not {name.split(".")[0] for name in names} & HEAVY, path


def test_files_are_short() -> None:
    for path in FILES:
        assert len(path.read_text("utf-8").splitlines()) <= 400, path


def test_no_pickle_and_no_attic() -> None:
    for path in FILES:
        assert path.stem not in {"utils", "util", "helpers", "misc"}, path
        modules = {name.split(".")[0] for name in imports_of(path)}
        assert not modules & {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}, path
        assert not {"torch.load", "torch.save"} & imports_of(path), path
        allowed = FOREIGN_FORMATS.get(path.relative_to(SOURCE).as_posix(), set())
        wrong = {"torch.load", "torch.save", "np.load"} & attributes(parse(path)) - allowed
        assert not wrong, f"{path}: {wrong}: only safetensors, JSON and YAML"


def test_checkpoints_are_only_read_as_tensors_and_plain_values() -> None:
    for path in FILES:
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                said = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                assert said.get("weights_only") == "True", f"{path}: write weights_only=True, literally"
