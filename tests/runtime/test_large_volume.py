"""A CT of 512 x 512 x 600 voxels in at most 4 GB, reading and writing included."""

from __future__ import annotations

import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests.scripts import load_script

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "large_volume.py"
SHAPE = (512, 512, 600)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="peak memory is read by the module resource")
@pytest.mark.parametrize(("kind", "files"), [("model.safetensors", 1), ("model.onnx", 2)])
def test_a_large_ct_fits_into_four_gigabytes(
    kind: str, files: int, shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(BENCHMARK.parents[1] / "src"))
    benchmark = load_script(BENCHMARK)
    source = shared_data / "liver_ct" / "ct_half_inplane.nii.gz"
    volumes = [benchmark.tile_volume(source, tmp_path / "a.nii.gz", SHAPE)]
    for number in range(1, files):
        volumes.append(tmp_path / f"{number}.nii.gz")
        volumes[-1].hardlink_to(volumes[0])
    model = benchmark.make_model(tmp_path / "model.safetensors", (3.0, 3.0, 4.0), classes=4, width=2)
    if kind.endswith(".onnx"):
        pytest.importorskip("onnx")
        model = benchmark.export(model, tmp_path / kind)
    _, peak = benchmark.measure(model, volumes, tmp_path / "masks")
    assert peak <= 4e9
    for volume in volumes:
        mask = nib.load(tmp_path / "masks" / volume.name)
        assert mask.shape == SHAPE and mask.get_data_dtype() == np.uint8


def test_tiles_continue_one_another(tmp_path: Path) -> None:
    benchmark = load_script(BENCHMARK)
    array = np.random.default_rng(0).integers(-1000, 1000, (6, 5, 4)).astype(np.int16)
    nib.Nifti1Image(array, np.diag([2.0, 2, 3, 1])).to_filename(tmp_path / "a.nii.gz")
    tiled = nib.load(benchmark.tile_volume(tmp_path / "a.nii.gz", tmp_path / "b.nii.gz", (12, 10, 11)))
    assert tiled.shape == (12, 10, 11) and tiled.header.get_zooms() == (1, 1, 3)
    found = np.asanyarray(tiled.dataobj)
    assert found.dtype == np.int16 and np.array_equal(found[::2, ::2, :4], array)
    assert np.array_equal(found[:, :, 4:8], found[:, :, 3::-1])
