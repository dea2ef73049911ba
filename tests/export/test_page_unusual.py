"""In what a scan or a mask is unusual, by the page's modules: in the sentences of predict."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, zoom

from stampseg.core.text import number_text
from stampseg.data.appearance import appearance, look_at
from stampseg.data.io.volume import Volume
from stampseg.data.labels.shapes import LabelShape
from stampseg.data.likeness import remarks
from stampseg.data.plan import Intensity, Plan, TrainingScans
from stampseg.data.preprocess import find_orientation, orient, oriented_spacing, prepare
from stampseg.runtime.confidence import segment_confidently
from stampseg.runtime.trust import trust_of
from tests.export.modules import in_node
from tests.export.page_cases import as_case, as_files, as_volume, plan_of, scores, volume_of

Change = Callable[[np.ndarray], np.ndarray]


def scan(seed: int, shape: tuple[int, ...], channels: int = 1) -> np.ndarray:
    """A bright ball aside in a body on a dark ground, with an empty border, (C, *shape) float32."""
    rng = np.random.default_rng(seed)
    grid = [g / n - 0.5 for g, n in zip(np.indices(shape), shape, strict=True)]
    size = rng.uniform(0.95, 1.05)
    body = 50.0 / (1 + np.exp((np.sqrt(sum(g**2 for g in grid)) - 0.33 * size) * 40))
    aside = sum((g - 0.1 * (n + 1)) ** 2 for n, g in enumerate(grid))
    ball = 120.0 * np.exp(-aside / (0.02 * size))
    noise = [gaussian_filter(rng.normal(size=shape), 1) for _ in range(channels)]
    image = np.stack([(n + 1) * (body + ball) + 40 * noise[n] + 30 for n in range(channels)])
    image[:, :3], image[:, :, -4:] = 0, 0
    return np.rint(image).astype(np.float32)


def middle(image: np.ndarray, share: float) -> np.ndarray:
    """The middle of an image on as many voxels."""
    count = [round(n * share) for n in image.shape[1:]]
    inside = tuple(slice((n - m) // 2, (n - m) // 2 + m) for n, m in zip(image.shape[1:], count, strict=True))
    factors = [n / m for n, m in zip(image.shape[1:], count, strict=True)]
    return np.stack([zoom(channel[inside], factors, order=1) for channel in image])


def farther(image: np.ndarray, share: float) -> np.ndarray:
    """The whole image on fewer voxels, with a ground around it."""
    small = np.stack([zoom(channel, share, order=1) for channel in image])
    sides = [((n - m) // 2, n - m - (n - m) // 2) for n, m in zip(image.shape, small.shape, strict=True)]
    return np.pad(small, sides)


CHANGES: Mapping[str, Change] = {
    "as it is": lambda image: image,
    "turned": lambda image: np.rot90(image, 1, axes=(1, 2)),
    "upside down": lambda image: np.rot90(image, 2, axes=(1, 2)),
    "mirrored": lambda image: image[:, ::-1],
    "offset": lambda image: image + 150,
    "zoomed in": lambda image: middle(image, 0.55),
    "farther": lambda image: farther(image, 0.6),
    "smoothed": lambda image: np.stack([gaussian_filter(channel, 6) for channel in image]),
    "something else": lambda image: np.random.default_rng(3).normal(100, 30, image.shape),
    "one value": lambda image: np.full_like(image, 0.1),
    "a label": lambda image: (image > 80).astype(np.float32),
    "finer": lambda image: np.stack([zoom(channel, 2, order=1) for channel in image]),
}


def known_of(volumes: list[Volume]) -> TrainingScans:
    """What training scans look like, whose voxels and extent may be any."""
    looks = []
    for volume in volumes:
        turn = find_orientation(volume.header)
        looks.append(look_at(orient(volume.array, turn), oriented_spacing(volume.header.spacing, turn)))
    dims = len(volumes[0].header.shape)
    found = appearance(looks, [str(n) for n in range(len(looks))])
    wide = {"spacing": ((0.01, 100.0),) * dims, "extent": ((0.1, 1e4),) * dims}
    return TrainingScans(**wide, values=((0, 0), (40, 60), (150, 250)), appearance=found)


def known_plans() -> dict[str, tuple[Plan, tuple[int, ...]]]:
    """Plans with what they know of scans of a shape."""
    volume, picture, coloured = (28, 26, 21), (40, 36), (28, 26, 21)
    plans = {
        "volume": (plan_of(), volume),
        "ct": (plan_of(normalization="ct", ct=(Intensity(low=0, high=9, mean=4, std=2),)), volume),
        "picture": (plan_of(dims=2), picture),
        "channels": (plan_of(in_channels=2, axes=(2, 0, 1), orientation="LPS"), coloured),
    }
    return {
        name: (
            plan.model_copy(
                update={"scans": known_of([as_volume(scan(s, shape, plan.in_channels)) for s in range(6)])}
            ),
            shape,
        )
        for name, (plan, shape) in plans.items()
    }


def test_what_is_unlike_of_a_scan_is_said_as_by_predict(tmp_path: Path) -> None:
    """Sentence by sentence: turned, zoomed, offset, of other voxels, of CT and of pictures."""
    cases, expected = [], {}
    for name, (plan, shape) in known_plans().items():
        for change in CHANGES:
            image = np.ascontiguousarray(CHANGES[change](scan(20, shape, plan.in_channels)), np.float32)
            volume = as_volume(image)
            files = as_files(volume, tmp_path / f"{name} {change}")
            cases.append({"job": "remarks", "plan": plan.model_dump(mode="json"), "volume": files})
            expected[name, change] = remarks(volume, plan)
    said = dict(zip(expected, in_node(cases, tmp_path), strict=True))
    assert said == expected
    for kind in ("volume", "picture", "channels"):
        assert said[kind, "as it is"] == []
        for change in ("turned", "upside down"):
            assert said[kind, change][0] == "looks turned against the training scans, or is of something else"
        assert said[kind, "mirrored"][0].startswith("looks mirrored against the training scans, ")
        assert any("was something added to them?" in words for words in said[kind, "offset"])
        assert any("smoother or rougher" in words for words in said[kind, "smoothed"])
        assert said[kind, "something else"] and said[kind, "zoomed in"]
    assert "every voxel has the value 0.1" in said["volume", "one value"][0]
    assert said["volume", "a label"] == [
        "only the values 0, 1, as a mask has: is it a label in place of a scan?"
    ]
    assert any(words.startswith("values of ") for words in said["ct", "offset"])


def test_a_model_of_before_is_read_by_the_page_as_by_predict(tmp_path: Path) -> None:
    """Which knows what turning would gain, but not how the training scans lie."""
    (plan, shape), change = known_plans()["volume"], CHANGES["turned"]
    assert plan.scans is not None and plan.scans.appearance is not None
    usual = plan.scans.appearance.model_copy(update={"pose": None})
    plan = plan.model_copy(update={"scans": plan.scans.model_copy(update={"appearance": usual})})
    volume = as_volume(np.ascontiguousarray(change(scan(20, shape, 1)), np.float32))
    case = {
        "job": "remarks",
        "plan": plan.model_dump(mode="json"),
        "volume": as_files(volume, tmp_path / "a"),
    }
    (said,) = in_node([case], tmp_path)
    assert said == remarks(volume, plan)
    assert said[0] == "looks turned against the training scans, or is of something else"


@pytest.mark.parametrize("of", [{"turned": None}, {"mirrored": None}, {"turned": None, "mirrored": None}])
def test_where_how_scans_lie_is_not_known_the_page_says_as_much_as_predict(
    of: dict[str, None], tmp_path: Path
) -> None:
    plan, shape = known_plans()["picture"]
    assert (
        plan.scans is not None
        and plan.scans.appearance is not None
        and plan.scans.appearance.pose is not None
    )
    usual = plan.scans.appearance
    usual = usual.model_copy(update={"pose": usual.pose.model_copy(update=of), "gains": None, "lowest": -1.0})
    plan = plan.model_copy(update={"scans": plan.scans.model_copy(update={"appearance": usual})})
    cases, expected = [], []
    for change in ("turned", "mirrored", "farther"):
        volume = as_volume(np.ascontiguousarray(CHANGES[change](scan(20, shape, 1)), np.float32))
        files = as_files(volume, tmp_path / change)
        cases.append({"job": "remarks", "plan": plan.model_dump(mode="json"), "volume": files})
        expected.append(remarks(volume, plan))
    assert in_node(cases, tmp_path) == expected
    assert [bool(words and " mirrored " in words[0]) for words in expected][1] == ("mirrored" not in of)


def test_of_many_channels_the_page_looks_at_as_many_as_predict(tmp_path: Path) -> None:
    plan, shape = plan_of(in_channels=9), (14, 13, 12)
    known = known_of([as_volume(scan(s, shape, 9)) for s in range(6)])
    plan = plan.model_copy(update={"scans": known})
    assert known.appearance is not None and known.appearance.pose is not None
    assert len(known.appearance.pose.template) == 4 * 6**3
    cases, expected = [], []
    for change in ("as it is", "turned", "mirrored"):
        volume = as_volume(np.ascontiguousarray(CHANGES[change](scan(20, shape, 9)), np.float32))
        cases.append(
            {
                "job": "remarks",
                "plan": plan.model_dump(mode="json"),
                "volume": as_files(volume, tmp_path / change),
            }
        )
        expected.append(remarks(volume, plan))
    assert in_node(cases, tmp_path) == expected and any(expected)


def test_large_scans_are_sampled_as_by_predict(tmp_path: Path) -> None:
    """Beyond what is looked at: neighbours of two million voxels, percentiles of 100,000."""
    large = np.ascontiguousarray(np.stack([zoom(scan(1, (28, 26, 21))[0], 5.3, order=1)]), np.float32)
    large += np.linspace(0, 900, large.shape[1], dtype=np.float32)[None, :, None, None]
    volume = as_volume(np.rint(large))
    assert volume.array.size > 2_000_000
    plans = [plan for plan, _ in known_plans().values()][:2]
    files = as_files(volume, tmp_path / "large")
    cases = [{"job": "remarks", "plan": plan.model_dump(mode="json"), "volume": files} for plan in plans]
    said = in_node(cases, tmp_path)
    assert said == [remarks(volume, plan) for plan in plans] and all(said)


@pytest.mark.parametrize("dims", [3, 2])
def test_what_is_unlike_of_a_mask_is_said_as_by_predict(dims: int, tmp_path: Path) -> None:
    small = {"cases": 6, "size": (2.0, 3.5), "pieces": 1, "at_border": False}
    large = {"cases": 6, "size": (1e7, 2e7), "pieces": 1000, "at_border": True}
    thin, seldom = {**small, "thickness": 0.1}, {**small, "cases": 5}
    wide = {"spacing": ((0.01, 100.0),) * dims, "extent": ((0.1, 1e4),) * dims, "values": ()}
    cases, expected, seed = [], [], 145
    for shapes in ((small, large, small), (large, small, None), (thin, small, seldom)):
        for one_piece in ((), (1, 2)):
            labels = (None, *(None if shape is None else LabelShape(**shape) for shape in shapes))
            plan = plan_of(
                4, dims=dims, one_piece=one_piece, scans=TrainingScans(**wide, labels=labels, cases=6)
            )
            case = as_case(plan, (), volume_of(plan, seed), tmp_path, seed)
            case["weights"][3]["bias"] = -100.0
            cases.append(case)
            volume = volume_of(plan, seed)
            found = segment_confidently(prepare(volume, plan), plan, scores(case["weights"]))
            expected.append(list(trust_of(found, plan, volume.header, ()).flags))
    said = [made["flags"] for made in in_node(cases, tmp_path)]
    assert said == expected
    assert "label3: nothing found" in said[0]
    assert not any("label3" in words for one in said[2:] for words in one)  # none had it, or too few
    told = "\n".join(words for one in said for words in one)
    assert "pieces (trained on 1 at most)" in told and "reaches the border of the image" in told
    assert ("pixels (trained on 2 to 3.5)" if dims == 2 else "ml (trained on 0.002 to 0.0035)") in told
    assert dims == 3 or "of what was found of a label" in told


def test_numbers_are_written_as_by_predict(tmp_path: Path) -> None:
    """Of two that are as near the even one, as Python has it: .5625 mm of three digits is .562."""
    rng = np.random.default_rng(0)
    numbers = [
        0.5625, 0.3125, 0.9375, 0.0, -0.0, 1.0, 999.6, 9999.6, 2064.5, 2063.5, -12.5, 1e-5, 0.00012345, -3e-7,
        0.1, 123456.5, *(10.0 ** rng.uniform(-6, 6, 200)), *(rng.integers(0, 4000, 100) / 16),
    ]  # fmt: skip
    shares = [-0.001, 0.125, 0.375, 1.005, *(rng.integers(-300, 300, 50) / 200), *rng.normal(size=50)]
    given = {"job": "words", "numbers": list(map(float, numbers)), "shares": list(map(float, shares))}
    (made,) = in_node([given], tmp_path)
    assert made["digits"] == [[number_text(float(n), count) for count in (3, 4, 6)] for n in numbers]
    assert made["percent"] == [f"{share:.0%}" for share in shares]
