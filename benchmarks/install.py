"""Wheel and sdist into fresh environments: seconds from `pip install` to the first mask, and whether it is right.

    python benchmarks/install.py WORK [--python 3.11=PATH ...] [--extra runtime --extra train] [--with torch==2.13.0]

Builds both archives of this checkout in an environment of their own, the wheel from the sdist, and sees that each
holds every file of the package that git knows. Trains a tiny network on volumes of its own making and exports it,
in the environment that runs this script, which needs the extras train and export. Then for each Python and extra:
a new virtual environment, `pip install WHEEL[EXTRA]` without pip's cache, `pip check`, and `stampseg predict` of
one volume, with the exported file where there is no PyTorch and with the model file where there is. The mask is
compared with this environment's. With train, a training of ten steps follows. One environment more is made from
the sdist. `--with` names what else pip is to install in the same command, beside extras that have PyTorch: a
build of it, say, for one Python (`3.11=torch==2.13.0`) or for all.

Only environments that it made are deleted, after their turn. Writes docs/results/install.json and the page.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from stampseg.core.machine import processor

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "docs" / "results" / "install.json"
ROOTS = ("src", "viewers/napari")
SHAPE, SPACING = (24, 28, 20), (1.0, 1.0, 1.5)
CASES, STEPS = 6, 20
QUICK = (
    "--set", "network.width=4", "--set", "train.missed_label=warn",
    "--set", "prune.ready_dice=0", "--validation", "none", "--unlabelled", "none",
)  # fmt: skip
SHOWN = {"torch", "numpy", "monai", "onnxruntime", "scipy", "pydantic", "nibabel"}


class FailedError(Exception):
    """A command did not end well; the end of what it said."""


def run(command: Sequence[str | Path], log: Path, **environment: str) -> float:
    """Run a command; its seconds.

    Raises:
        FailedError: its exit status is not 0.
    """
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV", "PIP_CONSTRAINT")}
    began = time.perf_counter()
    with log.open("w") as stream:
        said = subprocess.run(
            [*map(str, command)],
            stdout=stream,
            stderr=stream,
            env={**clean, **environment},
            cwd=log.parent,
            check=False,
        )
    if said.returncode:
        raise FailedError(
            f"{' '.join(map(str, command[:4]))} ... ended with {said.returncode}:\n{log.read_text()[-1500:]}"
        )
    return time.perf_counter() - began


def new_environment(python: str, place: Path) -> Path:
    """A virtual environment without packages; its interpreter."""
    run([python, "-m", "venv", place], place.with_suffix(".venv.log"))
    return place / ("Scripts" if os.name == "nt" else "bin") / "python"


# --- the archives --------------------------------------------------------------------------------------------------


def build(work: Path) -> tuple[Path, Path]:
    """The sdist of this checkout, and the wheel made from it."""
    python = new_environment(sys.executable, work / "build-env")
    run([python, "-m", "pip", "install", "-q", "build"], work / "build-install.log")
    copy = work / "checkout"  # as a clone has it: no ignored files, and no build folder of before
    subprocess.run(["git", "clone", "-q", "--no-hardlinks", ROOT, copy], check=True)
    run([python, "-m", "build", "--outdir", work / "dist", copy], work / "build.log")
    return next((work / "dist").glob("*.tar.gz")), next((work / "dist").glob("*.whl"))


def tracked() -> set[str]:
    """Every file of the packages that git knows, below the root."""
    said = subprocess.run(["git", "ls-files", *ROOTS], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(said.stdout.splitlines())


def missing_in(sdist: Path, wheel: Path) -> dict[str, list[str]]:
    """Files of the package that an archive does not hold, and the licence."""
    with zipfile.ZipFile(wheel) as file:
        in_wheel = set(file.namelist())
    with tarfile.open(sdist) as file:
        in_sdist = {name.split("/", 1)[1] for name in file.getnames() if "/" in name}
    files = tracked()
    installed = {name.removeprefix(f"{root}/") for root in ROOTS for name in files if name.startswith(root)}
    return {
        "wheel": sorted(installed - in_wheel)
        + ([] if any(n.endswith("LICENSE") for n in in_wheel) else ["LICENSE"]),
        "sdist": sorted({*files, "LICENSE"} - in_sdist),
    }


# --- volumes, and a model of them ----------------------------------------------------------------------------------


def make_volumes(folder: Path) -> Path:
    """Balls in noise with their masks, and one without; the one."""
    affine = np.diag([*SPACING, 1.0])
    grid = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1)
    for number in range(CASES + 1):
        random = np.random.default_rng(number)
        middle = np.array(SHAPE) / 2 + random.uniform(-3, 3, 3)
        ball = (((grid - middle) * SPACING) ** 2).sum(-1) < random.uniform(5, 8) ** 2
        scan = (100 + 120 * ball + random.normal(0, 12, SHAPE)).astype(np.int16)
        parts = {"images": scan, "masks": ball.astype(np.uint8)} if number < CASES else {"new": scan}
        for part, array in parts.items():
            (folder / part).mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(array, affine), folder / part / f"ball_{number}.nii.gz")
    return folder / "new" / f"ball_{CASES}.nii.gz"


def make_model(work: Path) -> Path:
    """Train and export in this environment, and predict: what the others are compared with."""
    scan = make_volumes(work / "scans")
    ours = [sys.executable, "-m", "stampseg"]
    paths = {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    data = ["--images", work / "scans" / "images", "--masks", work / "scans" / "masks"]
    run(
        [*ours, "train", *data, "-o", work / "run", "--steps", str(STEPS), *QUICK],
        work / "train.log",
        **paths,
    )
    run(
        [*ours, "export", work / "run", "-o", work / "model.onnx", "--input", scan],
        work / "export.log",
        **paths,
    )
    run([*ours, "predict", work / "run", scan, "-o", work / "masks"], work / "predict.log", **paths)
    return scan


# --- one environment -----------------------------------------------------------------------------------------------


def measure(
    label: str, python: str, archive: Path, extra: str, others: Sequence[str], work: Path
) -> dict[str, Any]:
    """Install, predict, and with PyTorch train."""
    place = work / f"env-{label}-{extra}-{archive.suffix.strip('.')}".replace(".", "_")
    try:
        interpreter = new_environment(python, place)
        pip = [interpreter, "-m", "pip"]
        run([*pip, "install", "-q", "--upgrade", "pip"], place.with_suffix(".pip.log"))
        install = run(
            [*pip, "install", "-q", "--no-cache-dir", f"{archive}[{extra}]", *others],
            place.with_suffix(".install.log"),
        )
        run([*pip, "check"], place.with_suffix(".check.log"))
        first = run(_predict(interpreter, extra, work, place), place.with_suffix(".predict.log"))
        row: dict[str, Any] = {
            "python": version_of(interpreter), "extra": extra, "archive": archive.name,
            "install_seconds": round(install, 1), "first_mask_seconds": round(first, 1),
            "megabytes": size_of(place), "voxels_that_differ": differing(work / "masks", place / "masks"),
            "packages": packages(interpreter),
        }  # fmt: skip
        if extra != "runtime":
            row["train_seconds"] = round(_train(interpreter, work, place), 1)
        return row
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _predict(interpreter: Path, extra: str, work: Path, place: Path) -> list[str | Path]:
    model = work / "model.onnx" if extra == "runtime" else work / "run"
    scan = work / "scans" / "new" / f"ball_{CASES}.nii.gz"
    return [interpreter, "-m", "stampseg", "predict", model, scan, "-o", place / "masks", "--threads", "1"]


def _train(interpreter: Path, work: Path, place: Path) -> float:
    data = ["--images", work / "scans" / "images", "--masks", work / "scans" / "masks"]
    command = [interpreter, "-m", "stampseg", "train", *data, "-o", place / "run", "--steps", "10", *QUICK]
    return run(command, place.with_suffix(".train.log"), OMP_NUM_THREADS="1")


def version_of(interpreter: Path) -> str:
    """As 3.11.7."""
    code = "import platform; print(platform.python_version())"
    return subprocess.run(
        [interpreter, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def packages(interpreter: Path) -> dict[str, str]:
    """Versions of those that count, and the number of all."""
    said = subprocess.run(
        [interpreter, "-m", "pip", "list", "--format=json"], capture_output=True, text=True, check=True
    )
    found = {row["name"]: row["version"] for row in json.loads(said.stdout)}
    return {name: found[name] for name in sorted(SHOWN & found.keys())} | {"all": str(len(found))}


def size_of(folder: Path) -> int:
    """Of all files, in MB."""
    return round(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6)


def differing(ours: Path, theirs: Path) -> int:
    """Voxels of the masks that differ."""
    masks = [np.asarray(nib.load(next(each.glob("*.nii.gz"))).dataobj) for each in (ours, theirs)]
    assert masks[0].any(), "the mask that the others are compared with is empty"
    return int((masks[0] != masks[1]).sum())


# --- the page ------------------------------------------------------------------------------------------------------


def page(result: dict[str, Any]) -> str:
    """docs/results/install.md."""
    rows = [
        f"| {row['python']} | `{row['extra']}` | {'sdist' if row['archive'].endswith('.gz') else 'wheel'} "
        f"| {row['install_seconds']:.0f} | {row['first_mask_seconds']:.1f} "
        f"| {row['install_seconds'] + row['first_mask_seconds']:.0f} | {row['megabytes']:,} "
        f"| {row['voxels_that_differ']} | {row.get('train_seconds', '-')} | {row['packages'].get('torch', '-')} |"
        for row in result["rows"]
    ]
    lost = result["missing"]
    whole = "Neither lacks a file of the package." if not any(lost.values()) else f"They lack: {lost}."
    return "\n".join(
        [
            "# From `pip install` to the first mask",
            "",
            f"On {result['machine']}, {result['system']}, {result['date']}, with a registry nearby and without pip's "
            f"cache; other work ran on the machine. Made with `python benchmarks/install.py WORK` from "
            f"`{result['sdist']}`, and `{result['wheel']}` built from that. {whole} `pip check` finds nothing in any "
            "environment.",
            "",
            f"The mask is of a volume of {' x '.join(map(str, SHAPE))} voxels, by a network of a few steps; voxels that "
            "differ are counted against the mask of the environment in which the network was trained. `runtime` "
            "predicts with an exported file and has no PyTorch. Seconds of a first mask are of the whole command, the "
            "first time that these packages are imported; the training is one of ten steps.",
            "",
            "| Python | extra | from | install, s | first mask, s | together, s | MB on disk | voxels that differ "
            "| training, s | torch |",
            "|---|---|---|---:|---:|---:|---:|---:|---:|---|",
            *rows,
            "",
            "Where pip takes PyTorch from PyPI on Linux, it brings the libraries for NVIDIA's cards, which are most of "
            "the megabytes and of the seconds; a build for the CPU (`+cpu`) has none.",
            "",
        ]
    )


def write(result: dict[str, Any]) -> None:
    """The file and the page."""
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    RESULT.with_suffix(".md").write_text(page(result), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path, help="a folder to be made")
    parser.add_argument("--python", action="append", default=[], metavar="NAME=PATH")
    parser.add_argument("--extra", action="append", choices=["runtime", "train", "all"])
    parser.add_argument("--with", dest="others", action="append", default=[], metavar="[NAME=]REQUIREMENT")
    given = parser.parse_args()
    given.work = given.work.resolve()
    given.work.mkdir(parents=True)
    pythons = dict(each.split("=", 1) for each in given.python) or {platform.python_version(): sys.executable}
    sdist, wheel = build(given.work)
    result: dict[str, Any] = {
        "machine": f"{processor()}, {os.cpu_count()} cores", "system": platform.system(), "date": date.today().isoformat(),
        "sdist": sdist.name, "wheel": wheel.name, "missing": missing_in(sdist, wheel), "rows": [],
    }  # fmt: skip
    print(result["missing"])
    make_model(given.work)
    jobs = [(wheel, extra, name) for extra in given.extra or ["runtime", "train"] for name in pythons]
    for archive, extra, name in [*jobs, (sdist, "runtime", next(iter(pythons)))]:
        others = [] if extra == "runtime" else list(wanted(given.others, name))
        row = measure(name, pythons[name], archive, extra, others, given.work)
        print(json.dumps(row), flush=True)
        result["rows"].append(row)
        write(result)


def wanted(others: Iterable[str], name: str) -> Iterable[str]:
    """Of what else is to be installed, that for all and that for this Python."""
    for each in others:
        found = re.match(r"(\d+\.\d+)=(?!=)(.+)", each)
        if found is None or found[1] == name:
            yield each if found is None else found[2]


if __name__ == "__main__":
    main()
