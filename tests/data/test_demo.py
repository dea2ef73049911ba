"""The demo's data: real anatomy, two tissues, training and test apart."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stampseg.core.errors import DataError
from stampseg.data import demo
from stampseg.data.demo import DemoData, make_demo_data, tissue_mask
from stampseg.data.io.readers import read_image, read_label

needs_nilearn = pytest.mark.skipif(
    importlib.util.find_spec("nilearn") is None, reason="nilearn is not installed"
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DemoData:
    return make_demo_data(tmp_path_factory.mktemp("demo"))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@needs_nilearn
def test_images_and_masks_pair(data: DemoData) -> None:
    assert len(names(data.training / "masks")) == 8 and len(names(data.test_images)) == 12
    assert set(names(data.training / "masks")) < set(names(data.training / "images"))
    assert len(names(data.training / "images")) == 29  # the whole slab, most of it without a mask
    assert names(data.test_images) == names(data.test_masks)


@needs_nilearn
def test_training_and_test_slices_are_eight_millimetres_apart(data: DemoData) -> None:
    train, test = (
        [int(name[6:9]) for name in names(folder)] for folder in (data.training / "images", data.test_images)
    )
    assert min(test) - max(train) == 8


@needs_nilearn
def test_pictures_hold_a_brain_of_plausible_tissue(data: DemoData) -> None:
    for folder, masks in (
        (data.training / "images", data.training / "masks"),
        (data.test_images, data.test_masks),
    ):
        for path in (folder / name for name in names(masks)):
            with Image.open(path) as picture:
                assert (picture.mode, picture.size) == ("L", (160, 192))
            image, mask = read_image([path]).array[0], read_label(masks / path.name).array
            assert mask.shape == image.shape == (192, 160) and set(np.unique(mask)) == {0, 1, 2}
            assert 0.08 < (mask == 1).mean() < 0.5 and 0.08 < (mask == 2).mean() < 0.5
            # On T1 white matter is brighter than grey, and outside of the brain there is nothing.
            assert image[mask == 2].mean() > image[mask == 1].mean() + 20
            assert not image[[0, -1]].any() and not image[:, [0, -1]].any()


@needs_nilearn
def test_a_second_call_replaces_the_slices_of_the_first(tmp_path: Path) -> None:
    make_demo_data(tmp_path, 5, 4)
    again = make_demo_data(tmp_path, 2, 1)
    assert (len(names(again.training / "masks")), len(names(again.test_masks))) == (2, 1)


@needs_nilearn
def test_nilearn_is_found_without_being_imported() -> None:
    code = "import sys, stampseg.data.demo as d; d._template_folder(); assert 'nilearn' not in sys.modules"
    source = str(Path(demo.__file__).parents[2])
    subprocess.run([sys.executable, "-c", f"import sys; sys.path.insert(0, {source!r}); {code}"], check=True)


def test_a_tissue_needs_more_than_half_of_the_probability() -> None:
    grey, white = np.array([127, 128, 60, 0, 20], np.uint8), np.array([127, 100, 128, 0, 235], np.uint8)
    assert tissue_mask(grey, white).tolist() == [0, 1, 2, 0, 2]


@pytest.mark.parametrize("counts", [(0, 12), (30, 12), (8, 0), (8, 35)])
def test_numbers_out_of_range(tmp_path: Path, counts: tuple[int, int]) -> None:
    with pytest.raises(DataError, match=r"demo slices from a slab of (29|34); expected 1 to"):
        make_demo_data(tmp_path, *counts)


def test_without_nilearn_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r'not installed; install it with pip install "stampseg\[demo\]"'):
        make_demo_data(tmp_path)


def test_a_nilearn_without_the_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = ModuleSpec("nilearn", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(DataError, match="not in this version of nilearn"):
        make_demo_data(tmp_path)
