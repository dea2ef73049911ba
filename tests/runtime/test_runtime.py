"""Exported files: the same masks as the model's, without PyTorch, and nothing hostile is let in."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform
from PIL import Image
from typer.testing import CliRunner

from stampseg.cli.commands import app
from stampseg.core.errors import MissingPackageError, ModelFileError
from stampseg.data.intensities import normalise
from stampseg.data.io.readers import read_label
from stampseg.export import export_model
from stampseg.networks.model_file import load_model
from stampseg.runtime import Predictor, open_session
from stampseg.runtime.onnx_file import look_into

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

QUICK = (
    "--steps", "60", "--method", "dense", "--validation", "none", "--set", "network.width=4",
    "--set", "train.augment=false", "--set", "train.learning_rate=0.01", "--set", "train.batch_size=2",
    "--set", "train.missed_label=warn",
)  # fmt: skip
FORMATS = {".onnx": "onnx", ".openvino": "openvino", ".pt2": "torch-export"}
HEAVY = ("torch", "monai", "scipy", "SimpleITK", "tifffile")


def call(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == code, f"{result.exit_code}: {result.output}\n{result.exception!r}"
    return result.output


def scene(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """A bright ball with a brighter half on noise, and its classes."""
    distance = np.sqrt(sum((g - n / 2) ** 2 for g, n in zip(np.indices(shape), shape, strict=True)))
    mask = distance < min(shape) / 3
    classes = mask.astype(np.uint8) + (mask & (np.indices(shape)[0] > shape[0] / 2))
    return (classes * 60 + rng.normal(60, 12, shape)).clip(0, 255), classes


def save_volume(path: Path, array: np.ndarray, affine: np.ndarray) -> Path:
    nib.Nifti1Image(array, affine).to_filename(path)
    return path


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three training volumes, and test volumes of every odd kind in `odd`."""
    folder, rng = tmp_path_factory.mktemp("volumes"), np.random.default_rng(0)
    affine = np.array([[-1.0, 0.1, 0, 5], [0.1, 1.0, 0, 6], [0, 0, 1.5, 7], [0, 0, 0, 1]])
    for part in ("images", "labels", "odd"):
        (folder / part).mkdir()
    for index in range(3):
        image, classes = scene(rng, (20, 24, 16))
        save_volume(folder / "images" / f"v{index}.nii.gz", image.astype(np.float32), affine)
        save_volume(folder / "labels" / f"v{index}.nii.gz", classes, affine)
    plain = scene(rng, (20, 24, 16))[0].astype(np.float32)
    save_volume(folder / "odd" / "plain.nii.gz", plain, affine)
    change = ornt_transform(io_orientation(affine), axcodes2ornt("PSR"))
    turned = affine @ inv_ornt_aff(change, plain.shape)
    save_volume(folder / "odd" / "turned.nii", apply_orientation(plain, change), turned)
    save_volume(
        folder / "odd" / "finer.nii.gz",
        scene(rng, (37, 45, 31))[0].astype(np.int16),
        affine * [0.5, 0.5, 0.6, 1],
    )
    save_volume(folder / "odd" / "larger.nii.gz", scene(rng, (41, 29, 60))[0].astype(np.float32), affine)
    save_volume(folder / "odd" / "smaller.nii.gz", scene(rng, (11, 24, 9))[0].astype(np.uint8), affine)
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(1)
    for part in ("images", "masks", "odd"):
        (folder / part).mkdir()
    for index in range(3):
        image, classes = scene(rng, (40, 48))
        Image.fromarray(image.astype(np.uint8)).save(folder / "images" / f"p{index}.png")
        Image.fromarray((classes > 0).astype(np.uint8) * 255).save(folder / "masks" / f"p{index}.png")
    for name, shape in (("plain", (40, 48)), ("larger", (100, 61)), ("smaller", (21, 48)), ("tiny", (3, 5))):
        Image.fromarray(scene(rng, shape)[0].astype(np.uint8)).save(folder / "odd" / f"{name}.png")
    return folder


@pytest.fixture(scope="module")
def models(
    volumes: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[int, str], tuple[Path, Path]]:
    """(dims, kind) -> model, images to predict. Kinds: run, .onnx, .openvino, .pt2; coarse: resampled."""
    folder, found = tmp_path_factory.mktemp("models"), {}
    for dims, data, extra in (
        (3, volumes, ()),
        (2, pictures, ()),
        (-3, volumes, ("--set", "data.spacing=[1.3,0.9,2]")),  # negative: every case is resampled
    ):
        run = folder / f"run{dims}"
        call("train", data, "-o", run, *QUICK, *extra)
        found[dims, "run"] = (run, data / "odd")
        for suffix, format in FORMATS.items():
            if suffix == ".pt2" and dims == -3:
                continue  # the slowest to export, and resampling is not its part
            if suffix == ".openvino":
                pytest.importorskip("openvino")
            export_model(load_model(run / "model.safetensors"), folder / f"m{dims}{suffix}", format=format)
            found[dims, suffix] = (folder / f"m{dims}{suffix}", data / "odd")
    return found


@pytest.fixture(scope="module")
def expected(
    models: dict[tuple[int, str], tuple[Path, Path]], tmp_path_factory: pytest.TempPathFactory
) -> dict[int, Path]:
    """Masks of the run folders themselves."""
    folders = {}
    for dims in (3, 2, -3):
        run, images = models[dims, "run"]
        folders[dims] = tmp_path_factory.mktemp(f"expected{dims}")
        call("predict", run, images, "-o", folders[dims])
    return folders


def masks_of(folder: Path) -> dict[str, np.ndarray]:
    return {path.name: read_label(path).array for path in sorted(folder.iterdir())}


def assert_same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for name, mask in one.items():
        assert mask.shape == other[name].shape and mask.dtype == other[name].dtype
        assert (mask != other[name]).mean() <= 1e-4, name


@pytest.mark.parametrize(
    ("dims", "suffix"), [key for key in itertools.product((3, 2, -3), FORMATS) if key != (-3, ".pt2")]
)
def test_the_same_masks_as_the_model(
    dims: int, suffix: str, models: dict[Any, Any], expected: dict[int, Path], tmp_path: Path
) -> None:
    model, images = models[dims, suffix]
    trust = ("--trust", model.name) if suffix == ".pt2" else ()
    call("predict", model, images, "-o", tmp_path, *trust)
    found, wanted = masks_of(tmp_path), masks_of(expected[dims])
    assert all(len(np.unique(wanted[name])) > 1 for name in wanted if name.startswith(("plain", "larger")))
    assert_same(found, wanted)


@pytest.mark.parametrize("suffix", [".onnx", ".openvino"])
def test_from_python_the_same_masks(
    suffix: str, models: dict[Any, Any], expected: dict[int, Path], tmp_path: Path
) -> None:
    for dims in (3, 2):
        model, images = models[dims, suffix]
        predictor, written = Predictor(model, threads=1, batch_size=3), {}
        for image in sorted(images.iterdir()):
            labels = predictor.predict(image)
            path = predictor.predict_file(str(image), tmp_path / str(dims) / image.name)
            assert np.array_equal(read_label(path).array, labels)
            written[path.name] = labels
        assert_same(written, masks_of(expected[dims]))


def test_mirrored_and_in_batches(models: dict[Any, Any], expected: dict[int, Path], tmp_path: Path) -> None:
    run, images = models[3, "run"]
    call("predict", run, images, "-o", tmp_path / "batches", "--batch", "4", "--threads", "1")
    assert_same(masks_of(tmp_path / "batches"), masks_of(expected[3]))
    for name, model in (("run", run), ("onnx", models[3, ".onnx"][0])):
        said = call("predict", model, images, "-o", tmp_path / name, "--mirror", "--batch", "2")
        assert "WARNING: stampseg trains on images as they lie, none of them mirrored" in said
    assert_same(masks_of(tmp_path / "run"), masks_of(tmp_path / "onnx"))
    plain, mirrored = masks_of(expected[3]), masks_of(tmp_path / "run")
    assert any((plain[name] != mirrored[name]).any() for name in plain)


def test_a_session_says_what_it_is(models: dict[Any, Any]) -> None:
    for suffix, engine in ((".onnx", "onnxruntime"), (".openvino", "openvino")):
        session = open_session(models[3, suffix][0], threads=1)
        assert session.engine == engine and session.details.precision == "f32"
        assert session.plan.spatial_dims == 3
        for batch in (1, 3):
            scores = session(np.zeros((batch, 1, *session.plan.patch_size), np.float32))
            assert scores.shape == (batch, 3, *session.plan.patch_size) and scores.dtype == np.float32
        kept = session(np.ones((1, 1, *session.plan.patch_size), np.float32))
        before = kept.copy()
        session(np.zeros((1, 1, *session.plan.patch_size), np.float32))
        assert np.array_equal(kept, before)  # its own memory, not the engine's


# --- without PyTorch ---

START = """
import sys
from pathlib import Path
import stampseg.runtime
session = stampseg.runtime.open_session(Path({path!r}), threads=1)
print(*(name for name in {heavy} if name in sys.modules))
"""


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    source = str(Path(__file__).resolve().parents[2] / "src")
    code = f"import sys; sys.path.insert(0, {source!r})\n{code}"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("suffix", [".onnx", ".openvino"])
def test_it_starts_without_the_packages_that_take_seconds(suffix: str, models: dict[Any, Any]) -> None:
    run = python(START.format(path=models[2, suffix][0].as_posix(), heavy=HEAVY))
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == []


WITHOUT = """
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {names}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
from stampseg.cli.commands import main
main()
"""


@pytest.mark.parametrize("dims", [2, 3])
def test_predict_needs_no_pytorch(
    dims: int, models: dict[Any, Any], expected: dict[int, Path], tmp_path: Path
) -> None:
    model, images = models[dims, ".onnx"]
    run = python(
        WITHOUT.format(names=HEAVY), "predict", str(model), str(images), "-o", str(tmp_path / "masks"),
        "--overlays", str(tmp_path / "seen"),
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert_same(masks_of(tmp_path / "masks"), masks_of(expected[dims]))
    assert len(list((tmp_path / "seen").iterdir())) == len(list(images.iterdir()))


@pytest.mark.parametrize("command", ["train", "predict", "check", "inspect", "evaluate", "prune"])
def test_commands_say_which_package_is_missing(
    command: str, models: dict[Any, Any], pictures: Path, tmp_path: Path
) -> None:
    run = models[2, "run"][0]
    arguments = {
        "train": (pictures, "-o", tmp_path / "r", *QUICK),
        "predict": (run, pictures / "odd", "-o", tmp_path / "m"),
        "check": (pictures,),
        "inspect": ("unet", "--shape", "1x1x32x32"),
        "evaluate": (pictures / "masks", pictures / "masks"),
        "prune": (run, pictures, "-o", tmp_path / "r", *QUICK),
    }[command]
    found = python(WITHOUT.format(names=(*HEAVY, "safetensors")), command, *map(str, arguments))
    assert found.returncode == 2, found.stderr
    assert "Traceback" not in found.stderr and len(found.stderr.splitlines()) == 1
    assert f"stampseg: stampseg {command} needs " in found.stderr
    assert 'which is not installed; pip install "stampseg[train]"' in found.stderr


def test_a_file_of_a_kind_that_needs_a_package_does_not_stop_the_others(
    models: dict[Any, Any], tmp_path: Path
) -> None:
    import SimpleITK as sitk  # noqa: N813 (its documented short name)

    model, images = models[3, ".onnx"]
    source = images / "plain.nii.gz"
    sitk.WriteImage(sitk.ReadImage(str(source)), str(tmp_path / "scan.mha"))
    told = python(
        WITHOUT.format(names=HEAVY), "predict", str(model), str(tmp_path / "scan.mha"), str(source),
        "-o", str(tmp_path / "masks"),
    )  # fmt: skip
    assert told.returncode == 3 and [p.name for p in (tmp_path / "masks").iterdir()] == [source.name]
    assert "scan.mha: reading and writing MetaImage and NRRD needs SimpleITK" in told.stdout
    assert "pip install SimpleITK" in told.stdout


@pytest.mark.parametrize(("suffix", "package"), [(".onnx", "onnxruntime"), (".openvino", "openvino")])
def test_a_missing_engine_is_named(
    suffix: str, package: str, models: dict[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        MissingPackageError, match=f"needs {package}, which is not installed; pip install {package}"
    ):
        open_session(models[2, suffix][0])


def test_a_plan_that_needs_scipy_says_so(models: dict[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    plan = open_session(models[2, ".onnx"][0]).plan
    for name in [name for name in sys.modules if name.split(".")[0] == "scipy"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "scipy", None)
    filled = plan.model_copy(update={"normalization": "mean-std-mask"})
    with pytest.raises(MissingPackageError, match=r"needs scipy, which is not installed; pip install scipy"):
        normalise(np.ones((1, 4, 8, 8), np.float32), filled)
    assert normalise(np.ones((1, 8, 8), np.float32), plan).shape == (1, 8, 8)


# --- odd and hostile files ---


def changed_onnx(source: Path, target: Path, change: Any) -> Path:
    model = onnx.load(source)
    change(model)
    target.write_bytes(model.SerializeToString())
    return target


def without_metadata(model: Any) -> None:
    del model.metadata_props[:]


def with_details(**values: Any) -> Any:
    def change(model: Any) -> None:
        (entry,) = model.metadata_props
        entry.value = json.dumps({**json.loads(entry.value), **values})

    return change


def with_plan(**values: Any) -> Any:
    def change(model: Any) -> None:
        (entry,) = model.metadata_props
        details = json.loads(entry.value)
        entry.value = json.dumps({**details, "plan": {**details["plan"], **values}})

    return change


def with_text(text: str) -> Any:
    def change(model: Any) -> None:
        model.metadata_props[0].value = text

    return change


def renamed_input(model: Any) -> None:
    model.graph.input[0].name = "picture"
    for node in model.graph.node:
        node.input[:] = ["picture" if name == "image" else name for name in node.input]


def unknown_operation(model: Any) -> None:
    model.graph.node[0].op_type = "LaunchRockets"


def external(model: Any) -> None:
    model.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL


def external_in_a_subgraph(model: Any) -> None:
    body = onnx.GraphProto(name="body")
    tensor = body.initializer.add(name="t", data_type=1)
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    model.graph.node.add(op_type="If").attribute.append(onnx.helper.make_attribute("then_branch", body))


BROKEN = [
    (without_metadata, "holds no description of how images are prepared; expected a file written by"),
    (with_details(format=2), "written in format 2; this version reads format 1; update stampseg"),
    (with_details(format=None), r"its description is damaged \(format: null is no whole number\)"),
    (with_details(precision="f8"), r"damaged \(precision: Input should be 'f32', 'bf16' or 'int8'\)"),
    (with_details(plan={"spatial_dims": 3}), r"its description is damaged \(plan.in_channels"),
    (with_details(plan=None), r"its description is damaged \(plan"),
    (with_plan(patch_size=[10**6, 10**6]), r"its description is damaged \(plan: patch_size"),
    (with_plan(patch_size=[0, 16]), r"its description is damaged \(plan: patch_size"),
    (with_plan(spacing=[-1, 1]), r"its description is damaged \(plan: spacing"),
    (with_text("{"), "its description is damaged .Expecting"),
    (with_text("[1]"), r"its description is damaged \(all of it: no JSON object\); export the model again"),
    (with_text("[" * 100_000), "its description is damaged"),
    (renamed_input, "its network has 'picture' .* its description asks for 'image' of 1 channel"),
    (unknown_operation, "ONNX Runtime refuses the file"),
    (external, "its weights lie in another file, and only whole files are opened"),
    (external_in_a_subgraph, "its weights lie in another file"),
]


@pytest.mark.parametrize(("change", "message"), BROKEN)
def test_onnx_files_that_are_not_what_they_should_be(
    change: Any, message: str, models: dict[Any, Any], tmp_path: Path
) -> None:
    path = changed_onnx(models[2, ".onnx"][0], tmp_path / "model.onnx", change)
    with pytest.raises(ModelFileError, match=rf"model\.onnx: .*{message}"):
        open_session(path)
    output = call("predict", path, models[2, ".onnx"][1], "-o", tmp_path / "masks", code=3)
    assert output.count("stampseg:") == 1 and "Traceback" not in output


def test_a_plan_of_other_classes_than_the_network(models: dict[Any, Any], tmp_path: Path) -> None:
    source = models[2, ".onnx"][0]
    details = json.loads(look_into(source.read_bytes()).metadata["stampseg"])
    plan = {**details["plan"], "label_values": [0, 1, 2], "label_names": ["background", "a", "b"]}
    plan |= {"scans": None}
    path = changed_onnx(source, tmp_path / "model.onnx", with_details(plan=plan))
    with pytest.raises(ModelFileError, match=r"gives scores of shape|asks for 'scores' of 3 channel"):
        open_session(path)(np.zeros((1, 1, *plan["patch_size"]), np.float32))


def test_weights_in_another_file_as_onnx_writes_them(models: dict[Any, Any], tmp_path: Path) -> None:
    model = onnx.load(models[2, ".onnx"][0])
    onnx.save(
        model, tmp_path / "model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0
    )
    with pytest.raises(ModelFileError, match="its weights lie in another file"):
        open_session(tmp_path / "model.onnx")


def changed_zip(source: Path, target: Path, **changes: Any) -> Path:
    """With members replaced, or left out where the change is None; `how` is the compression."""
    how = changes.pop("how", zipfile.ZIP_STORED)
    names = {name.replace(".", "_"): name for name in ("model.xml", "model.bin", "stampseg.json")}
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", how) as new:
        for key, name in names.items():
            content = changes.get(key, old.read(name))
            if content is not None:
                new.writestr(name, content)
    return target


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stampseg_json": None}, "holds no description of how images are prepared"),
        ({"stampseg_json": "{}"}, r"its description is damaged \(plan: Field required\)"),
        ({"model_xml": None}, "holds no model.xml"),
        ({"model_bin": None}, "holds no model.bin"),
        ({"model_xml": "<net"}, "OpenVINO refuses the file"),
        ({"model_xml": b"\xff" * 99}, "OpenVINO refuses the file"),
        ({"model_bin": b""}, "OpenVINO refuses the file"),
        ({"model_bin": b"0123"}, "OpenVINO refuses the file"),
        ({"how": zipfile.ZIP_DEFLATED}, "is compressed; expected a zip without compression"),
    ],
)
def test_openvino_files_that_are_not_what_they_should_be(
    changes: dict[str, Any], message: str, models: dict[Any, Any], tmp_path: Path
) -> None:
    path = changed_zip(models[2, ".openvino"][0], tmp_path / "model.openvino", **changes)
    with pytest.raises(ModelFileError, match=rf"model\.openvino: .*{message}"):
        open_session(path)


@pytest.mark.parametrize("suffix", [".onnx", ".openvino"])
def test_files_cut_short_or_of_something_else(suffix: str, models: dict[Any, Any], tmp_path: Path) -> None:
    whole, path = models[2, suffix][0].read_bytes(), tmp_path / f"model{suffix}"
    for content in (b"", b"junk" * 100, whole[: len(whole) // 2], whole[:-1], bytes(2000)):
        path.write_bytes(content)
        with pytest.raises(ModelFileError, match=r"copy the file again|export the model again"):
            open_session(path)
    with pytest.raises(ModelFileError, match="no such file; check the path"):
        open_session(tmp_path / f"missing{suffix}")
    with pytest.raises(ModelFileError, match=r"not an exported file; expected \.onnx or \.openvino"):
        open_session(models[2, "run"][0] / "model.safetensors")


@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_anywhere_is_an_error_of_ours_or_harmless(
    models: dict[Any, Any], tmp_path: Path, data: st.DataObject
) -> None:
    whole = bytearray(models[2, ".onnx"][0].read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "model.onnx"
    path.write_bytes(bytes(whole))
    try:
        look_into(bytes(whole))
        session = open_session(path, threads=1)
        session(np.zeros((1, 1, *session.plan.patch_size), np.float32))
    except (ModelFileError, ValueError) as error:
        assert str(error)


def test_a_program_of_pytorch_needs_trust(models: dict[Any, Any], tmp_path: Path) -> None:
    model, images = models[2, ".pt2"]
    said = call("predict", model, images, "-o", tmp_path / "masks", code=3)
    assert "can run code of its own when PyTorch opens it" in said and f"say --trust {model.name}" in said
    junk = tmp_path / "model.pt2"
    junk.write_bytes(b"junk")
    said = call("predict", junk, images, "-o", tmp_path / "masks", "--trust", junk.name, code=3)
    assert "not a readable .pt2 file" in said
    with zipfile.ZipFile(junk, "w") as archive:
        archive.writestr("model/data.pkl", b"cos\nsystem\n(S'exit 1'\ntR.")
    said = call("predict", junk, images, "-o", tmp_path / "masks", "--trust", junk.name, code=3)
    assert "holds no description" in said


def test_an_exported_file_computes_on_the_cpu(models: dict[Any, Any], tmp_path: Path) -> None:
    model, images = models[2, ".onnx"]
    said = call("predict", model, images, "-o", tmp_path, "--device", "cuda", code=2)
    assert "computes on the CPU; leave out --device" in said


# --- the stream ---


def test_one_file_is_ahead_and_no_more() -> None:
    from concurrent.futures import ThreadPoolExecutor

    from stampseg.runtime.stream import _one_ahead

    begun: list[int] = []
    with ThreadPoolExecutor(1) as pool:
        for number, future in enumerate(_one_ahead(pool, lambda k: begun.append(k) or k, range(6))):
            assert future.result() == number
            pool.submit(int).result()  # everything handed in so far is done
            assert begun == list(range(min(number + 2, 6)))


def test_broken_files_are_told_in_their_order(models: dict[Any, Any], tmp_path: Path) -> None:
    model, images = models[2, ".onnx"]
    good = sorted(images.iterdir())
    files = []
    for number, source in enumerate(itertools.islice(itertools.cycle(good), 6)):
        files.append(tmp_path / f"{number}.png")
        files[-1].write_bytes(b"no picture" if number % 3 == 1 else source.read_bytes())
    lines = call("predict", model, *files, "-o", tmp_path / "masks", code=3).splitlines()
    for number, line in enumerate(lines[:6]):
        assert (
            line.startswith("failed: " if number % 3 == 1 else str(tmp_path / "masks"))
            and f"{number}.png" in line
        )
    assert "2 of 6 inputs could not be segmented" in lines[-1]
    assert len(list((tmp_path / "masks").iterdir())) == 4
