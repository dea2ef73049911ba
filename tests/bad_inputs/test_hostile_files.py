"""Files made to harm: nothing is run, no memory is taken unchecked, nothing is written elsewhere."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from stampseg.core.errors import DataError, StampsegError, one_line
from stampseg.data.cases import Case
from stampseg.data.inputs import find_inputs
from stampseg.data.io import sources
from stampseg.data.io.readers import output_name, read_image, write_label
from stampseg.evaluation.overlay import save_overlay
from stampseg.runtime.output_files import refuse_overwriting

SOURCE = Path(__file__).resolve().parents[2] / "src" / "stampseg"
FILES = sorted(SOURCE.rglob("*.py"))

# Calls that can run what a file holds, and the one place of each, where that is shut off.
RUNNING = {
    "torch.load": "networks/pretrained/checkpoint.py",  # weights_only=True, held by test_architecture
    "yaml.load": "core/yaml.py networks/pretrained/bundle_config.py",  # with loaders made from SafeLoader
    "torch.export.load": "runtime/torch_program.py",  # .pt2, only where the user says --trust
    "eval": "", "exec": "", "compile": "", "__import__": "", "os.system": "", "os.popen": "",
    "yaml.unsafe_load": "", "yaml.full_load": "", "np.load": "", "numpy.load": "", "pd.read_pickle": "",
    "torch.jit.load": "", "torch.hub.load": "", "torch.package.PackageImporter": "", "runpy.run_path": "",
    "onnx.load_model_from_string": "", "pickle.load": "", "pickle.loads": "", "marshal.loads": "",
}  # fmt: skip


@pytest.mark.parametrize("path", FILES, ids=[path.relative_to(SOURCE).as_posix() for path in FILES])
def test_nothing_runs_what_a_file_holds(path: Path) -> None:
    place = path.relative_to(SOURCE).as_posix()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in RUNNING or place in RUNNING[called].split(), f"{place}: {called}"
            said = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            assert said.get("allow_pickle", "False") == "False", place
            assert said.get("shell", "False") == "False", place


def test_loaders_of_yaml_are_made_from_the_safe_one() -> None:
    for place in RUNNING["yaml.load"].split():
        tree = ast.parse((SOURCE / place).read_text("utf-8"))
        bases = {node.name: [ast.unparse(base) for base in node.bases] for node in ast.walk(tree)
                 if isinstance(node, ast.ClassDef)}  # fmt: skip
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        loads = [node for node in calls if ast.unparse(node.func) == "yaml.load"]
        for node in loads:
            given = [*node.args[1:], *(k.value for k in node.keywords if k.arg == "Loader")]
            assert [bases[ast.unparse(one)] for one in given] == [["yaml.SafeLoader"]], place
        assert loads


BOMBS = """
import gzip, os, resource, struct, sys, zlib
from pathlib import Path
import nibabel as nib, numpy as np, SimpleITK, tifffile
from PIL import Image
from stampseg.data.io.readers import read_header, read_image, read_label
from stampseg.core.errors import StampsegError

folder = Path(sys.argv[1])
small = folder / "small.nii.gz"
nib.Nifti1Image(np.ones((4, 4, 4), np.uint8), np.eye(4)).to_filename(small)
whole = gzip.decompress(small.read_bytes())
zeros = gzip.compress(bytes(2**24)) * 256  # 4 GiB in 4 MB


def changed(place, kind, *values):
    content = bytearray(whole)
    struct.pack_into(kind, content, place, *values)
    return bytes(content)


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width, height):
    packed = zlib.compress(bytes(2**20))
    start = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0))
    return b"\\x89PNG\\r\\n\\x1a\\n" + start + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


meta = "ObjectType = Image\\nNDims = 3\\nDimSize = 1000 1000 1000\\nElementType = MET_DOUBLE\\n"
meta += "CompressedData = True\\nElementDataFile = LOCAL\\n"
nrrd = "NRRD0004\\ntype: double\\ndimension: 3\\nsizes: 1000 1000 1000\\nendian: little\\n"
nrrd += "encoding: gzip\\n\\n"
files = {
    "after.nii.gz": gzip.compress(whole) + zeros,
    "sizes.nii.gz": gzip.compress(changed(42, "<hhh", 1024, 1024, 1000)),
    "offset.nii.gz": gzip.compress(changed(108, "<f", 3e9)) + zeros,
    "giant.nii.gz": gzip.compress(changed(42, "<hhh", 2000, 2000, 1000)) + zeros,
    "wide.png": png(12000, 12000),
    "packed.mha": meta.encode() + zlib.compress(bytes(9**5)),
    "packed.nrrd": nrrd.encode() + gzip.compress(bytes(9**5)),
}
for name, content in files.items():
    (folder / name).write_bytes(content)
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 300 * 2**20,) * 2)
for name in files:
    for read in (read_image, lambda paths: read_label(paths[0])):
        try:
            print(name, read([folder / name]).array.shape)
        except StampsegError as error:
            print(name, error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited as Linux does it")
def test_bombs_are_refused_before_they_take_memory(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(SOURCE.parent)!r}){BOMBS}", tmp_path],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    said = dict(line.split(" ", 1) for line in run.stdout.splitlines())
    assert said["after.nii.gz"] == "(4, 4, 4)"  # what follows the voxels is not unpacked
    for name, reason in {
        "sizes.nii.gz": "the header promises 1,048,576,000 bytes of voxels, the file has",
        "offset.nii.gz": "the header says that voxels begin at byte 3000000000",
        "giant.nii.gz": "is more than 1,073,741,824 values",
        "wide.png": "the header promises",
        "packed.mha": "the header promises 8,000,000,000 bytes",
        "packed.nrrd": "the header promises 8,000,000,000 bytes",
    }.items():
        assert reason in said[name] and "allocate" not in said[name], said[name]


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8)).save(path)
    return path


def test_a_mask_replaces_a_link_and_never_what_it_leads_to(tmp_path: Path) -> None:
    image, precious = picture(tmp_path / "a.png"), tmp_path / "precious.txt"
    precious.write_text("mine")
    for target in (tmp_path / "out" / "a.png", tmp_path / "seen" / "a.png"):
        target.parent.mkdir()
        target.symlink_to(precious)
    write_label(tmp_path / "out" / "a.png", np.ones((6, 8), np.uint8), image)
    save_overlay(tmp_path / "seen" / "a.png", np.zeros((1, 6, 8)), np.zeros((6, 8), np.uint8))
    assert precious.read_text() == "mine"
    for folder in ("out", "seen"):
        assert [path.name for path in (tmp_path / folder).iterdir()] == ["a.png"]
        assert not (tmp_path / folder / "a.png").is_symlink()


def masks_of(cases: Sequence[Case], folder: Path) -> dict[tuple[Path, ...], Path]:
    return {case.images: folder / output_name(case.images) for case in cases}


@pytest.mark.parametrize(
    ("overlays", "overwrite", "message"),
    [
        (
            "in",
            True,
            r"in/a\.png: would replace an image that is to be segmented; choose another folder with",
        ),
        ("link", True, r"link/a\.png: would replace an image that is to be segmented"),
        ("out", True, r"out/a\.png: two files would be written to this name; choose another folder"),
        (
            "old",
            False,
            r"old/a\.png: exists already; choose another folder with `output`, or say `overwrite`",
        ),
        ("old", True, None),
    ],
)
def test_overlays_replace_nothing_unasked(
    tmp_path: Path, overlays: str, overwrite: bool, message: str | None
) -> None:
    picture(tmp_path / "in" / "a.png")
    picture(tmp_path / "old" / "a.png")
    (tmp_path / "link").symlink_to(tmp_path / "in")
    cases = find_inputs([tmp_path / "in"])

    def check() -> None:
        refuse_overwriting(cases, masks_of(cases, tmp_path / "out"), tmp_path / overlays, overwrite)

    if message is None:
        check()
    else:
        with pytest.raises(DataError, match=message):
            check()


def test_masks_of_names_that_a_disk_takes_for_one_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two folders of a disk that knows case; masks on one that does not: one would replace the other."""
    for image in ("a/Scan.png", "b/scan.png"):
        picture(tmp_path / image)
    cases = find_inputs([tmp_path / "a", tmp_path / "b"])
    masks = masks_of(cases, tmp_path / "out")
    refuse_overwriting(cases, masks, None, False)
    monkeypatch.setattr(sources, "folds_case", lambda folder: folder == tmp_path / "out")
    with pytest.raises(DataError, match=r"out/scan\.png: two files would be written to this name; choose"):
        refuse_overwriting(cases, masks, None, False)
    with pytest.raises(DataError, match=r"OUT/\.\./a/Scan\.png: would replace an image that is to be"):
        refuse_overwriting(
            cases[:1], {cases[0].images: tmp_path / "OUT/../a/Scan.png"}, tmp_path / "out", True
        )


def test_the_other_file_of_a_pair_is_not_replaced_unasked(tmp_path: Path) -> None:
    image = nib.Nifti1Pair(np.zeros((4, 4, 4), np.uint8), np.eye(4))
    (tmp_path / "in").mkdir()
    nib.save(image, tmp_path / "in" / "a.hdr")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.img").write_text("mine")
    cases = find_inputs([tmp_path / "in" / "a.hdr"])
    with pytest.raises(DataError, match=r"out/a\.img: exists already; choose another folder with `output`"):
        refuse_overwriting(cases, masks_of(cases, tmp_path / "out"), None, False)
    refuse_overwriting(cases, masks_of(cases, tmp_path / "out"), None, True)


@pytest.mark.parametrize(
    "name", ["../../a.png", "/etc/a.png", "b/../c.png", "a_0000.png", "x" * 300 + ".png"]
)
def test_names_of_masks_have_no_folders(name: str, tmp_path: Path) -> None:
    out = output_name([tmp_path / name])
    assert "/" not in out and out not in ("", ".", "..")


def test_the_longest_name_a_file_system_takes_is_written(tmp_path: Path) -> None:
    image = picture(tmp_path / ("x" * 251 + ".png"))
    written = write_label(tmp_path / "out" / image.name, np.ones((6, 8), np.uint8), image)
    assert written.name == image.name
    with pytest.raises(DataError, match=r"cannot be written \(File name too long\); check the folder"):
        write_label(tmp_path / "out" / ("y" * 300), np.ones((6, 8), np.uint8), image)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\nb", "a\\nb"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\udce9", "\\udce9"),
        ("größe", "größe"),
        ("a\u2028b", "a\\u2028b"),
    ],
)
def test_errors_are_one_line_that_every_terminal_can_show(name: str, shown: str) -> None:
    assert one_line(name) == str(StampsegError(name)) == shown
    shown.encode()


def test_the_limit_can_be_raised_and_lowered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = picture(tmp_path / "a.png")
    monkeypatch.setenv("STAMPSEG_MAX_VALUES", "47")
    with pytest.raises(
        DataError, match=r"more than 47 values; .* set STAMPSEG_MAX_VALUES=48 if there is memory"
    ):
        read_image([image])
    monkeypatch.setenv("STAMPSEG_MAX_VALUES", "48")
    assert read_image([image]).array.shape == (1, 6, 8)
