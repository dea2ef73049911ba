"""What is shipped: the files of the package, its version, the systems and Pythons it is tested on."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from stampseg import __version__
from tests.scripts import load_script

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PYTHONS = [c.split(" :: ")[-1] for c in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", c)]

# What `build_py` would copy, without building: no egg-info is written beside the source.
ASK = """
import json
from setuptools import Distribution
package = Distribution({"script_name": "setup.py"})
package.parse_config_files(["pyproject.toml"])
package.include_package_data = False  # the globs alone, not what some tool thinks is tracked
command = package.get_command_obj("build_py")
command.ensure_finalized()
files = [path for _, _, path in command.find_all_modules()]
files += [f"{folder}/{name}" for _, folder, _, names in command.data_files for name in names]
print(json.dumps(files))
"""


def test_every_file_of_the_package_is_shipped() -> None:
    pytest.importorskip("setuptools", minversion="77", reason="reads licences as pyproject.toml writes them")
    said = subprocess.run([sys.executable, "-c", ASK], cwd=ROOT, capture_output=True, text=True, check=True)
    shipped = {(ROOT / name).resolve() for name in json.loads(said.stdout.splitlines()[-1])}
    there = {
        path.resolve()
        for package in (ROOT / "src" / "stampseg", ROOT / "viewers" / "napari" / "stampseg_napari")
        for path in package.rglob("*")
        if path.is_file() and path.suffix != ".pyc" and not path.name.startswith(".")
    }
    assert there <= shipped, f"{there - shipped}: not in the wheel; see [tool.setuptools.package-data]"


def test_the_version_is_the_same_everywhere() -> None:
    assert PROJECT["dynamic"] == ["version"]  # core/version.py says it
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == __version__
    newest = re.search(
        r"^## (\S+) - (unreleased|\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M
    )
    assert newest is not None and newest[1] == __version__


def test_every_python_that_is_promised_is_tried_on_every_system() -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))["jobs"]
    for name in ("tests", "wheel"):
        matrix = jobs[name]["strategy"]["matrix"]
        assert matrix["python"] == PYTHONS
        assert {system.split("-")[0] for system in matrix["os"]} == {"ubuntu", "macos", "windows"}
    assert PROJECT["requires-python"] == f">={PYTHONS[0]}"
    for job in jobs.values():
        scripts = re.findall(
            r"\S+\.py\b|\S+\.txt\b|-f (\S+)", " ".join(s.get("run", "") for s in job["steps"])
        )
        assert all((ROOT / script).is_file() for script in scripts if script)


def test_extras_that_are_named_are_there() -> None:
    """In the image, in the extras of extras, and in what messages say to install."""
    from stampseg.core.packages import EXTRAS

    extras = PROJECT["optional-dependencies"]
    image = (ROOT / ".ci" / "Dockerfile").read_text(encoding="utf-8")
    named = set(re.search(r"^ARG EXTRAS=(\S+)$", image, re.M)[1].split(","))  # type: ignore[index]
    named |= {name for line in extras.values() for each in line for name in _inner(each)}
    assert named | set(EXTRAS.values()) <= extras.keys()


def _inner(requirement: str) -> list[str]:
    found = re.fullmatch(r"stampseg\[(.+)\]", requirement)
    return found[1].split(",") if found else []


def test_the_image_runs_without_rights_and_keeps_data_outside() -> None:
    lines = (ROOT / ".ci" / "Dockerfile").read_text(encoding="utf-8").splitlines()
    words = [tuple(line.split(maxsplit=1)) for line in lines if line and not line.startswith(("#", " "))]
    last: dict[str, str] = dict(words)  # type: ignore[arg-type]
    assert last["USER"] not in ("root", "0") and last["VOLUME"] == last["WORKDIR"] == "/data"
    assert last["ENTRYPOINT"] == '["stampseg"]'
    copied = {
        name for word, rest in words if word == "COPY" and "--from" not in rest for name in rest.split()[:-1]
    }
    ignored = (ROOT / ".ci" / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert copied == {line[1:] for line in ignored if line.startswith("!")}
    assert all((ROOT / name).exists() for name in copied)


def test_the_page_of_the_installation_is_made_from_its_file() -> None:
    """On every Python that is promised the mask was the same, and nothing was missing in either archive."""
    script = load_script(ROOT / "benchmarks" / "install.py")
    result = json.loads(script.RESULT.read_text(encoding="utf-8"))
    assert script.page(result) == script.RESULT.with_suffix(".md").read_text(encoding="utf-8")
    tried = {(".".join(row["python"].split(".")[:2]), row["extra"]) for row in result["rows"]}
    assert tried == {(python, extra) for python in PYTHONS for extra in ("runtime", "train")}
    assert not any(row["voxels_that_differ"] for row in result["rows"])
    assert result["missing"] == {"wheel": [], "sdist": []}
