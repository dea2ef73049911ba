"""The exported page in a real browser, opened as a file: the masks of predict, and nothing leaves it."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from stampseg.data.calibration import MEASURE, Calibration, LabelCalibration
from stampseg.data.labels.regions import Region
from stampseg.runtime import Predictor
from tests.data.dicom_files import slices
from tests.export.page_driver import give, refusal, segmented
from tests.export.pages import AFFINE, agreement, model_of, need_vendor, page_of, scan_file
from tests.report.browser import Seen, opened

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

POINTS = LabelCalibration(certainty=(0.0, 1.0), dice=(0.0, 0.9), margin=0.1, people=6)

Page = tuple[Path, Predictor]


@pytest.fixture(scope="module")
def volumes_page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """A page for volumes, with a calibration and a label that is one piece."""
    need_vendor()
    known = Calibration(labels=(None, POINTS), source="validation", measure=MEASURE)
    model = model_of(3, spacing=(1.5, 1.5, 2.0), one_piece=(1,), calibration=known)
    return page_of(model, tmp_path_factory.mktemp("volumes"))


@pytest.fixture(scope="module")
def pictures_page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    need_vendor()
    return page_of(model_of(2, spacing=(2.0, 2.0)), tmp_path_factory.mktemp("pictures"))


@pytest.fixture
def seen(browser: Any, volumes_page: Page) -> Iterator[Seen]:
    page = opened(browser, volumes_page[0])
    yield page
    page.page.context.close()


def mask_in(path: Path) -> np.ndarray:
    return np.array(Image.open(path)) if path.suffix == ".png" else np.asanyarray(nib.load(path).dataobj)


def check_as_predicted(
    seen: Seen, files: Sequence[Path], predictor: Predictor, folder: Path
) -> tuple[np.ndarray, Any]:
    """The mask, and all that came of the files."""
    found = segmented(seen.page, files, folder)
    mask, expected = mask_in(found.mask), predictor.predict(files[0])
    same, dice = agreement(mask, expected)
    assert same >= 0.999 and dice >= 0.999, (files[0].name, same, dice)
    assert seen.complaints == []
    return mask, found


def test_a_volume_is_segmented_as_by_predict_without_a_request(
    seen: Seen, volumes_page: Page, tmp_path: Path
) -> None:
    page, predictor = volumes_page
    scan = scan_file(tmp_path)
    mask, found = check_as_predicted(seen, [scan], predictor, tmp_path)
    assert set(np.unique(mask)) == {0, 5}
    written, source = nib.load(found.mask), nib.load(scan)
    assert found.mask.name == "scan_mask.nii.gz" and np.array_equal(written.affine, source.affine)
    assert "scan.nii.gz: segmented in" in found.status
    ((name, volume, expected),) = found.labels
    millilitres = (mask == 5).sum() * abs(np.linalg.det(AFFINE[:3, :3])) / 1000
    assert name == "kidney" and float(volume.removesuffix(" ml")) == pytest.approx(millilitres, rel=1e-2)
    assert 0 < float(expected.split()[0]) < 0.9 and expected.endswith(")")
    outside = [url for url in seen.requests if not url.startswith(("data:", "blob:"))]
    assert outside == [page.as_uri()]
    stored = "() => [localStorage.length, sessionStorage.length, document.cookie]"
    assert seen.page.evaluate(stored) == [0, 0, ""]


def test_a_dicom_series_is_segmented_as_by_predict(seen: Seen, volumes_page: Page, tmp_path: Path) -> None:
    volume = np.asanyarray(nib.load(scan_file(tmp_path)).dataobj)
    slices(tmp_path / "series", volume, spacing=(1.4, 1.6, 2.5), RescaleSlope=2, RescaleIntercept=-10)
    mask, found = check_as_predicted(seen, [tmp_path / "series"], volumes_page[1], tmp_path)
    assert mask.shape == volume.shape and mask.any()
    assert nib.load(found.mask).header["sform_code"] == 1


def test_pictures_are_segmented_as_by_predict(browser: Any, pictures_page: Page, tmp_path: Path) -> None:
    rows, columns = np.indices((50, 70))
    grey = (127 + 120 * np.sin(rows / 6) * np.cos(columns / 9)).astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / "one.png")
    Image.fromarray(grey).save(tmp_path / "two.jpg", quality=85)
    seen = opened(browser, pictures_page[0])
    for name in ("one.png", "two.jpg"):  # one after the other in one page
        mask, found = check_as_predicted(seen, [tmp_path / name], pictures_page[1], tmp_path)
        assert set(np.unique(mask)) == {0, 5} and mask.dtype == np.uint8
        assert found.mask.name == f"{Path(name).stem}_mask.png"
        assert found.labels == (("kidney", f"{int((mask == 5).sum()):,} px"),)
    seen.page.context.close()


def test_regions_are_segmented_as_by_predict(browser: Any, tmp_path: Path) -> None:
    """A voxel whose likeliest class is the background is of a region where its classes sum to more."""
    regions = (Region(name="whole", classes=(1, 2), written=1), Region(name="core", classes=(2,), written=2))
    page, predictor = page_of(model_of(2, classes=3, regions=regions, spacing=(2.0, 2.0)), tmp_path)
    rows, columns = np.indices((50, 70))
    grey = (127 + 120 * np.sin(rows / 6) * np.cos(columns / 9)).astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / "one.png")
    seen = opened(browser, page)
    mask, found = check_as_predicted(seen, [tmp_path / "one.png"], predictor, tmp_path)
    core = int((mask == 7).sum())
    assert set(np.unique(mask)) == {0, 5, 7} and seen.page.title() == "Segment whole, core"
    assert found.labels == (("whole", f"{int((mask > 0).sum()):,} px"), ("core", f"{core:,} px"))
    assert "A region holds those within it" in seen.page.locator("#result").inner_text()
    seen.page.context.close()


def test_what_cannot_be_segmented_is_refused_in_words(seen: Seen, volumes_page: Page, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(tmp_path / "photo.png")
    (tmp_path / "broken.nii.gz").write_bytes(b"\x1f\x8b" + bytes(30))
    assert "is a picture, and this model is for volumes" in refusal(seen.page, [tmp_path / "photo.png"])
    assert seen.page.locator("#download").is_disabled()
    assert "its gzip stream is damaged" in refusal(seen.page, [tmp_path / "broken.nii.gz"])
    nib.save(nib.Nifti1Image(np.zeros((8, 8, 8, 2), np.float32), np.eye(4)), tmp_path / "two.nii.gz")
    assert "two.nii.gz" in refusal(seen.page, [tmp_path / "two.nii.gz"])
    assert seen.page.locator("#result").is_hidden()  # it was shown, as it had been read
    check_as_predicted(seen, [scan_file(tmp_path)], volumes_page[1], tmp_path)  # it goes on


def test_what_is_dropped_is_segmented_and_stops(seen: Seen, tmp_path: Path) -> None:
    scan_file(tmp_path, (90, 90, 90))
    give(seen.page, [tmp_path / "scan.nii.gz"])
    seen.page.locator("#stop").click()
    assert seen.page.locator("#status").inner_text() == "stopped"
    drop = """([name, text]) => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name));
        document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true }));
    }"""
    small = base64.b64encode(scan_file(tmp_path).read_bytes()).decode()
    seen.page.evaluate(drop, ["dropped.nii.gz", small])
    seen.page.wait_for_selector("#download:enabled")
    assert "dropped.nii.gz: segmented in" in seen.page.locator("#status").inner_text()


def test_the_network_outside_is_closed(seen: Seen) -> None:
    """Even a script that got in could not send a scan anywhere."""
    blocked = seen.page.evaluate("fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'blocked')")
    assert blocked == "blocked" and any("Content Security Policy" in text for text in seen.complaints)


def test_slices_and_mask_obey_the_keyboard(seen: Seen, tmp_path: Path) -> None:
    segmented(seen.page, [scan_file(tmp_path)], tmp_path)
    page, canvas = seen.page, seen.page.locator("canvas").first

    def pixels() -> str:
        return str(canvas.evaluate("canvas => canvas.toDataURL()"))

    def slice_shown() -> int:
        return int(page.locator("figcaption span").first.inner_text().split()[2])

    before, drawn = slice_shown(), pixels()
    canvas.press("ArrowDown")
    assert slice_shown() == before - 1 and pixels() != drawn
    canvas.press("PageUp")
    assert slice_shown() == min(before + 9, 18) and "Axial slice" in str(canvas.get_attribute("aria-label"))
    page.locator("figcaption input").first.fill(str(before - 1))
    assert slice_shown() == before and pixels() == drawn
    page.locator("#labels input").press("Space")
    hidden = pixels()
    assert hidden != drawn
    page.locator("#labels input").press("Space")
    page.locator("#opacity").fill("0")
    assert pixels() == hidden
    page.locator("#brightest").press("ArrowLeft")
    assert pixels() != hidden
    canvas.click(position={"x": 3, "y": 3})
    assert "Sagittal slice 26 of 26" in page.locator("figcaption").last.inner_text()
    page.locator("#labels input").press("Space")
    page.locator("#opacity").fill("50")
    segmented(seen.page, [tmp_path / "scan.nii.gz"], tmp_path)  # nothing is hidden of the next mask
    assert pixels() == drawn


def test_the_crosshair_says_where_it_is_in_the_scan(seen: Seen, tmp_path: Path) -> None:
    """By millimetres that lead, by the affine, to the voxel of that value and label."""
    scan = scan_file(tmp_path)
    mask = mask_in(segmented(seen.page, [scan], tmp_path).mask)
    array, back = np.asanyarray(nib.load(scan).dataobj), np.linalg.inv(AFFINE)
    sides, labels = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}, set()

    def at(pane: Any, x: float, y: float) -> np.ndarray:
        box = pane.locator("canvas").bounding_box()
        pane.locator("canvas").click(position={"x": x * box["width"], "y": y * box["height"]})
        where, value, label = str(seen.page.locator("#place").inner_text()).split("; ")
        place = np.zeros(3)
        for part in where.removeprefix("At the crosshair: ").removesuffix(" mm").split(", "):
            axis, sign = sides[part[0]]
            place[axis] = sign * float(part[2:])
        voxel = tuple(np.rint((back @ [*place, 1])[:3]).astype(int))
        assert value == f"value {array[voxel]}" and label == {0: "no label", 5: "kidney"}[int(mask[voxel])]
        labels.add(label)
        return place

    for pane in seen.page.locator(".stage").all():
        left, right, top, bottom = pane.locator("b").all_inner_texts()
        for one, first, other, second in (
            (left, (0.02, 0.4), right, (0.98, 0.4)), (top, (0.6, 0.02), bottom, (0.6, 0.98)),
        ):  # fmt: skip
            axis, sign = sides[one]
            assert sides[other] == (axis, -sign) and sign * (at(pane, *first) - at(pane, *second))[axis] > 5
    assert labels == {"no label", "kidney"} and seen.complaints == []


def test_sides_that_a_file_does_not_say_are_not_made_up(seen: Seen, tmp_path: Path) -> None:
    image = nib.load(scan_file(tmp_path))
    image.set_sform(None, 0)
    image.set_qform(None, 0)
    nib.save(image, tmp_path / "nowhere.nii.gz")
    segmented(seen.page, [tmp_path / "nowhere.nii.gz"], tmp_path)
    words = str(seen.page.locator("#place").inner_text())
    assert words.startswith(
        "At the crosshair: the file does not say where it lies, nor which side is left; value"
    )
    assert seen.page.locator(".stage b").count() == 0


def test_it_fits_narrow_and_dark_screens(seen: Seen, tmp_path: Path) -> None:
    segmented(seen.page, [scan_file(tmp_path)], tmp_path)
    seen.page.locator("summary").click()  # with the licences
    assert "onnxruntime-web" in seen.page.locator("pre").inner_text()
    for width, scheme in ((390, "light"), (390, "dark"), (1280, "dark")):
        seen.page.set_viewport_size({"width": width, "height": 800})
        seen.page.emulate_media(color_scheme=scheme)
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
        paper, ink = (seen.luminance("body", name) for name in ("backgroundColor", "color"))
        assert (paper < 0.05 < 0.7 < ink) if scheme == "dark" else (ink < 0.05 < 0.9 < paper)


def test_doubt_is_shown_where_it_is_asked_for(seen: Seen, tmp_path: Path) -> None:
    page, canvas = seen.page, seen.page.locator("canvas").first
    segmented(page, [scan_file(tmp_path)], tmp_path)

    def colours() -> set[tuple[int, ...]]:
        url = str(canvas.evaluate("canvas => canvas.toDataURL()"))
        drawn = Image.open(io.BytesIO(base64.b64decode(url.split(",")[1])))
        return {tuple(rgba) for rgba in np.reshape(drawn, (-1, 4)).tolist()}

    assert page.locator("#doubts").is_visible() and page.locator("#legend").is_hidden()
    mask = colours()
    page.locator("#doubt").press("Space")
    assert page.locator("#legend").is_visible() and "5%" in page.locator("#legend").inner_text()
    assert "linear-gradient" in str(page.locator("#scale").get_attribute("style"))
    assert any(blue > red + 30 or red > blue + 60 for red, _, blue, _ in colours() - mask)
    page.locator("#doubt").press("Space")
    assert colours() == mask and page.locator("#legend").is_hidden()
    page.locator("#confidence").uncheck()
    segmented(page, [tmp_path / "scan.nii.gz"], tmp_path)
    assert page.locator("#doubts").is_hidden()
    assert seen.complaints == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dims", "name"),
    [
        (3, "hippocampus_mri/imagesTr/*.nii.gz"), (3, "liver_ct/dicom_34_41"),
        (2, "fetal_head_ultrasound/images/*.png"), (2, "retina_vessels/images/*.jpg"),
    ],
)  # fmt: skip
def test_real_scans(browser: Any, shared_data: Path, tmp_path: Path, dims: int, name: str) -> None:
    found = sorted(shared_data.glob(name))
    if not found:
        pytest.skip(f"no {name} in {shared_data}")
    coarse = (3.0, 3.0, 4.0) if "liver" in name else (1.0, 1.0, 1.2) if dims == 3 else (4.0, 4.0)
    page, predictor = page_of(model_of(dims, spacing=coarse, patch_size=(32,) * dims), tmp_path)
    seen = opened(browser, page)
    if "retina" in name:
        assert "3 channel(s), expected 1" in refusal(seen.page, found[:1])
    else:
        mask, _ = check_as_predicted(seen, found[:1], predictor, tmp_path)
        assert mask.any() and not mask.all()
    seen.page.context.close()
