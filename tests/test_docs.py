"""What the documents say is true of the code."""

from __future__ import annotations

import ast
import json
import pkgutil
import re
import shlex
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
import typer.main
import yaml
from PIL import Image

import stampseg
from stampseg.cli.commands import app
from stampseg.core.config import Config, parse_config
from stampseg.data.io.formats import FORMATS
from tests.cli.command import call
from tests.data.scans import disc
from tests.run.options import SMALL
from tests.scripts import load_script

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
SCRIPTS = sorted((*(ROOT / "docs").glob("*.py"), *(ROOT / "benchmarks").glob("*.py")))


def test_the_page_of_options_is_the_code() -> None:
    generator = load_script(ROOT / "docs" / "generate_options.py")
    assert generator.TARGET.read_text(encoding="utf-8") == generator.options_page(), (
        "run python docs/generate_options.py"
    )


def test_every_option_is_explained() -> None:
    for model in (
        Config,
        *(f.annotation for f in Config.model_fields.values() if hasattr(f.annotation, "model_fields")),
    ):
        for name, field in model.model_fields.items():
            assert field.description or hasattr(field.annotation, "model_fields"), f"{model.__name__}.{name}"


def documented_commands() -> list[list[str]]:
    """Every command line of ours in the README and the documentation."""
    found = {}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        indented = re.findall(r"^    (stampseg .*)", text, re.MULTILINE)
        for block in (*re.findall(r"```bash\n(.*?)```", text, re.DOTALL), *indented):
            lines = block.replace("\\\n", " ").splitlines()
            found |= {line: None for line in lines if line.startswith("stampseg ")}
    return [shlex.split(line, comments=True) for line in found]


def test_the_page_of_installation_knows_every_extra() -> None:
    page = (ROOT / "docs" / "how-to" / "install.md").read_text(encoding="utf-8")
    rows = page.partition("| extra | for |")[2].partition("\n\n")[0].splitlines()
    told = {name for row in rows for name in re.findall(r"`([a-z0-9]+)`", row.split("|")[1] if row else "")}
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert told == set(extras["optional-dependencies"])


def test_what_contributors_are_sent_to_is_there() -> None:
    """`Name` in `file.py` of the package."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    pairs = re.findall(r"`(\w+)` (?:in|of)\s`([a-z_/]+\.py)`", page)
    assert len(pairs) > 3
    for name, file in pairs:
        place = ROOT / "src" / "stampseg" / file
        text = (place if place.is_file() else ROOT / file).read_text(encoding="utf-8")
        assert re.search(rf"^(class |def )?{name}\b", text, re.MULTILINE), f"{name} is not in {file}"


@pytest.mark.parametrize("words", documented_commands(), ids=" ".join)
def test_the_commands_of_the_documents_are_understood(words: list[str]) -> None:
    group = typer.main.get_command(app)
    command = group.commands[words[1]]  # type: ignore[attr-defined]
    command.make_context(words[1], words[2:])  # parses all of it, and runs nothing


def test_the_page_of_commands_is_the_program() -> None:
    generator = load_script(ROOT / "docs" / "generate_commands.py")
    assert generator.TARGET.read_text(encoding="utf-8") == generator.commands_page(), (
        "run python docs/generate_commands.py"
    )


def test_the_page_of_formats_is_the_table() -> None:
    generator = load_script(ROOT / "docs" / "generate_formats.py")
    assert generator.TARGET.read_text(encoding="utf-8") == generator.formats_page(), (
        "run python docs/generate_formats.py"
    )


def test_what_a_few_labels_give_is_what_the_study_found() -> None:
    generator = load_script(ROOT / "docs" / "generate_gain.py")
    readme = (ROOT / "README.md").read_text()
    assert generator.page(readme) == readme, "run python docs/generate_gain.py"
    assert readme.count("| +") + readme.count("| -0.") >= 5
    figures = json.loads(generator.FIGURES.read_text())
    for claim in figures["claims"]:  # draws of a set count once, for whatever numbers of labels
        if said := generator.CONTROLS.get(claim["against"]):
            (line,) = [line for line in readme.splitlines() if line.startswith("- by") and said in line]
            assert f"{claim['sign_flip']['draws']} draws)" in line


def test_the_readme_names_every_format() -> None:
    sentence = re.search(r"^NIfTI, .* are read$", README, re.MULTILINE)
    assert sentence
    assert re.findall(r"[A-Z]\w+", sentence[0]) == [each.name for each in FORMATS]


@pytest.mark.parametrize("name", ["speed", "reliability", "confidence"])
def test_pages_of_results_are_made_from_their_files(name: str) -> None:
    generator = load_script(ROOT / "docs" / f"generate_{name}.py")
    assert generator.TARGET.read_text(encoding="utf-8") == getattr(generator, f"{name}_page")(), (
        f"run python docs/generate_{name}.py"
    )


def test_the_figures_beside_others_are_those_of_the_files() -> None:
    results = ROOT / "docs" / "results"
    speed = json.loads((results / "predict-speed.json").read_text(encoding="utf-8"))
    cuts = json.loads((results / "trace-and-cut.json").read_text(encoding="utf-8"))["rows"].values()
    crops, ct = ({row["name"]: row for row in speed[part]["rows"]} for part in ("crops", "ct"))
    small, dense, monai = "pruned, ours openvino f32", "dense, ours eager", "times as fast as dense, MONAI"
    theirs = [1 / row["rehearsed_ratio"] for row in cuts]
    lines = (results / "nnunet-few-labels.jsonl").read_text(encoding="utf-8").splitlines()
    once, longer = sorted(map(json.loads, lines), key=lambda row: row["times"])
    page = (ROOT / "docs" / "explanation" / "comparison.md").read_text(encoding="utf-8")
    for text in (
        f"{crops[small]['times as fast as nnU-Net, not mirrored']:.1f} times as fast as without mirroring",
        f"{crops[small]['times as fast as nnU-Net, mirrored']:.1f} times as with it, its default",
        f"has {speed['crops']['nnunet_parameters']:,} parameters",
        f"ours {speed['crops']['networks']['pruned']['parameters']:,}:",
        f"ours {crops[dense][monai]:.1f} times as fast on those crops, {ct[dense][monai]:.1f} times",
        f"{min(theirs):.1f} to {max(theirs):.1f} times as long as ours",
        f"in the time of ours Dice {once['dice']:.3f}, in four times that {longer['dice']:.3f}; "
        f"ours {once['ours_dice']:.3f}.",
    ):
        assert text in page, text


def test_every_page_of_results_is_in_the_index() -> None:
    folder = ROOT / "docs" / "results"
    index = (folder / "index.md").read_text(encoding="utf-8")
    assert {p.name for p in folder.glob("*.md")} - {"index.md"} == set(re.findall(r"\((\S+\.md)\)", index))


def test_getting_started_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder, count in (("scans", 6), ("new", 2)):
        for index in range(count):
            image, mask = disc(np.random.default_rng(index), (40, 48))
            for part, values in (("images", image.clip(0, 255)), ("masks", mask * 255)):
                place = tmp_path / folder / part
                place.mkdir(parents=True, exist_ok=True)
                Image.fromarray(values.astype(np.uint8)).save(place / f"{index}.png")
    shutil.copytree("new/images", "new_scans")
    shutil.copytree("new/masks", "new_labels")
    page = (ROOT / "docs" / "getting-started.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("stampseg ")]
    assert [line.split()[1] for line in lines] == ["check", "train", "predict", "evaluate", "export"]
    for line in lines:
        quick = ["--steps", "8", *SMALL, "--set", "train.missed_label=warn"] if " train " in line else []
        call(*shlex.split(line, comments=True)[1:], *quick)
    for path in ("run/report.html", "masks/0.png", "metrics.csv", "model.onnx"):
        assert (tmp_path / path).exists(), path


def test_the_hooks_run_the_linters() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0][
        "hooks"
    ]
    assert {hook["entry"].split()[0] for hook in hooks} == {"ruff", "mypy"}
    assert all(hook["language"] == "system" for hook in hooks)


def test_the_options_named_in_the_readme_exist() -> None:
    group = typer.main.get_command(app)
    known = {o for c in group.commands.values() for p in c.params for o in p.opts}  # type: ignore[attr-defined]
    named = set(re.findall(r"`(--[a-z-]+)", README))
    assert named and named <= known, named - known
    for setting in re.findall(r"--set ([a-z_.]+)=", README):
        section, name = setting.split(".")
        assert name in type(getattr(Config(), section)).model_fields
    assert parse_config({"prune": {"target": "15%"}}, "README").prune.target.share == 0.15


def test_every_link_of_the_documents_leads_somewhere() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert link.startswith("http") or (page.parent / link).exists(), f"{page.name}: {link}"


def python_of(path: Path) -> list[str]:
    """Python code in a page's blocks; of a script, the whole and the code that it gives other processes."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    constants = [str(node.value) for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)]
    return [
        text,
        *(code for code in constants if re.search(r"^(import|from) stampseg\b", code, re.MULTILINE)),
    ]


def imports_in(code: str, ours: bool) -> list[str]:
    """Import statements, one a line; only those of this package where `ours`."""
    nodes = [n for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Import | ast.ImportFrom)]
    return [
        line for line in map(ast.unparse, nodes) if not ours or re.match(r"(import|from) stampseg\b", line)
    ]


@pytest.mark.parametrize("path", [*PAGES, *SCRIPTS], ids=lambda path: path.name)
def test_what_examples_and_scripts_import_is_there(path: Path) -> None:
    for code in python_of(path):
        for line in imports_in(code, ours=path.suffix == ".py"):
            exec(line, {})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_modules_and_files_that_a_page_names_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"`(stampseg(?:\.\w+)+)", text.replace("`stampseg.json`", "")):
        pkgutil.resolve_name(name)
    roots = (ROOT, ROOT / "src" / "stampseg", ROOT / "docs")
    for name in set(re.findall(r"`([\w/]+\.py)\b[^`]*`", text)) - {"utils.py"}:  # which there may not be
        assert any((root / name).is_file() for root in roots), f"{page.name}: {name} is gone"


@pytest.mark.slow
def test_the_page_of_the_structure_can_be_made() -> None:
    """It is not compared: every commit changes it."""
    generator = load_script(ROOT / "docs" / "generate_structure.py")
    page, now = generator.structure_page(), generator.figures(ROOT / "src" / "stampseg", generator.table())
    assert page.splitlines()[0] == generator.TARGET.read_text(encoding="utf-8").splitlines()[0]
    assert (now["circles"], now["against_table"], now["long_files"]) == (0, 0, 0)
    assert f"| {now['functions']:,} |" in page


def test_the_structure_of_a_small_tree(tmp_path: Path) -> None:
    generator = load_script(ROOT / "docs" / "generate_structure.py")
    for name, text in {
        "__init__.py": "", "low/__init__.py": "from .a import f\n",
        "low/a.py": "def f(a, b, c, d, e, g, h):\n    from . import b\n    return b\n",
        "low/b.py": "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from .a import f\n",
        "high/c.py": "import stampseg.low.a\nimport os\n\n\nclass C:\n    def m(self): ...\n",
    }.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found = generator.figures(tmp_path, {"low": set(), "high": set()})
    assert found | {"median_file": 0} == {
        "names_at_root": 3, "rooms": 2, "arrows": 1, "circles": 1, "against_table": 1, "files": 5,
        "lines": 14, "median_file": 0, "long_files": 0, "largest_file": 6, "functions": 2,
        "median_function": 2, "long_functions": 0, "long_share": 0, "many_parameters": 1,
    }  # fmt: skip


def test_the_page_of_the_library_names_all_that_is_given() -> None:
    page = (ROOT / "docs" / "reference" / "library.md").read_text(encoding="utf-8")
    missing = [name for name in stampseg.__all__ if name[0] != "_" and f"`stampseg.{name}" not in page]
    assert missing == ["Segmented"], "what `segment` gives is told with it"
