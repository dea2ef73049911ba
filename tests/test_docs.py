"""What the documents say is true of the code."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path
from types import ModuleType

import pytest
import typer.main

from stampseg.cli import app
from stampseg.config import Config, parse_config

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_options_is_the_code() -> None:
    generator = load(ROOT / "docs" / "generate_options.py")
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


def readme_commands() -> list[list[str]]:
    blocks = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("stampseg ")]
    return [shlex.split(line, comments=True) for line in lines]


@pytest.mark.parametrize("words", readme_commands(), ids=" ".join)
def test_the_commands_of_the_readme_exist(words: list[str]) -> None:
    group = typer.main.get_command(app)
    command = group.commands[words[1]]  # type: ignore[attr-defined]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words[2:] if word.startswith("-")} <= known


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
