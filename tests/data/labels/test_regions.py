"""Regions of several label values: what a dataset.json may say, and which masks hold them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from stampseg.core.data_options import DataOptions
from stampseg.core.errors import DataError
from stampseg.data.labels.regions import Region, decided, regions_of_classes, structures
from stampseg.data.labels.relabelling import ChosenLabels, choose_labels
from stampseg.data.layouts.declared import declared_labels
from stampseg.data.plan import Plan

TUMOUR = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3}


def chosen(labels: dict, order: list | None = None, **options: object) -> ChosenLabels:
    found = declared_labels({"labels": labels, **({"regions_class_order": order} if order else {})})
    return choose_labels(DataOptions(**options), found.names, found.ignored, found.regions)


def nnunet(likely: np.ndarray, order: list[int]) -> np.ndarray:
    """The mask that nnU-Net makes of a probability (R, *S) of each region."""
    found = np.zeros(likely.shape[1:], np.uint8)
    for one, value in zip(likely, order, strict=True):
        found[one > 0.5] = value
    return found


def test_nested_regions_are_as_declared() -> None:
    found = chosen(TUMOUR, [1, 2, 3])
    assert [(r.name, sorted(r.values), r.written) for r in found.regions] == [
        ("whole", [1, 2, 3], 1), ("core", [2, 3], 2), ("enhancing", [3], 3),
    ]  # fmt: skip
    assert found.relabel is None
    assert found.names == {
        0: "background", 1: "whole without core", 2: "core without enhancing", 3: "enhancing"
    }  # fmt: skip
    assert found.notes == (
        "regions: whole: 1, 2, 3; core: 2, 3; enhancing: 3; loss, Dice and masks are of these, and masks are "
        "written in the order 1, 2, 3",
    )


@pytest.mark.parametrize("order", [None, [1, 2]])
def test_numbers_may_be_text_and_labels_lists_of_one(order: list | None) -> None:
    found = chosen({"background": [0], "whole": ["1", "2"], "core": ["2"]}, order)
    assert [(r.name, r.written) for r in found.regions] == [("whole", 1), ("core", 2)]
    assert [(r.name, r.written) for r in chosen({"core": 2, "whole": [1, 2]}).regions] == [
        ("whole", 1), ("core", 2)
    ]  # fmt: skip


def test_lists_of_one_value_are_classes() -> None:
    found = chosen({"background": [0], "liver": [1], "tumour": [2], "ignore": 3}, [1, 2])
    assert not found.regions and not found.notes
    assert found.names == {1: "liver", 2: "tumour"}


def test_values_that_no_region_tells_apart_are_one() -> None:
    found = chosen({"background": 0, "whole": [1, 2, 4], "core": [4]}, [2, 4])
    assert found.relabel is not None and found.relabel.merged == {1: 2}
    assert found.names == {0: "background", 2: "whole without core", 4: "core"}


def test_merging_or_choosing_labels_leaves_regions_out_and_says_so() -> None:
    for options in ({"only": (1, 2, 3)}, {"merge": {"tumour": (1, 2, 3)}}):
        found = chosen(TUMOUR, [1, 2, 3], **options)
        assert not found.regions
        assert found.notes[0].startswith("the regions of dataset.json are not used")


@pytest.mark.parametrize(
    ("labels", "order", "words"),
    [
        (TUMOUR, [3, 2, 1], "writes enhancing as 1, and enhancing is 3"),
        (TUMOUR, [1, 2], r"\[1, 2\] has 2 values for 3 regions \(whole, core, enhancing\)"),
        ({"core": [2, 3], "whole": [1, 2, 3]}, [2, 1], "list the larger regions first"),
        ({"a": [1, 2], "b": [2, 3]}, [1, 3], r'declare what they have in common .* "both": \[2\]'),
        ({"a": [1, 2], "b": [2, 3]}, None, r"a voxel of 2 is of a and b, and a mask would say 3"),
        ({"whole": [0, 1]}, None, "the region whole holds 0, which is the background"),
        ({"whole": [1, 2], "core": [2]}, [7, 2], "writes whole as 7, and whole is 1, 2; expected one of"),
    ],
)  # fmt: skip
def test_what_no_mask_could_hold_is_refused(labels: dict, order: list | None, words: str) -> None:
    with pytest.raises(DataError, match=words):
        chosen(labels, order)


def test_an_overlap_that_is_declared_is_held() -> None:
    found = chosen({"a": [1, 2], "b": [2, 3], "both": [2]}, [1, 3, 2])
    assert [(r.name, r.written) for r in found.regions] == [("a", 1), ("b", 3), ("both", 2)]


@pytest.mark.parametrize("value", [["one"], [], [1.5], [[1]]])
def test_lists_of_no_values_are_refused(value: list) -> None:
    with pytest.raises(DataError, match=r"the label whole is .* expected values of the label files"):
        declared_labels({"labels": {"whole": value, "core": 1}})


def test_masks_are_those_of_nnunet() -> None:
    """Whatever the classes' probabilities: regions are sums of them."""
    found = chosen(TUMOUR, [1, 2, 3])
    regions = regions_of_classes(found.regions, (0, 1, 2, 3))
    grid = np.array([p for p in itertools.product(np.linspace(0, 1, 9), repeat=4) if abs(sum(p) - 1) < 1e-9])
    scores = grid.T.astype(np.float32)
    likely = np.stack([scores[1:].sum(0), scores[2:].sum(0), scores[3]])
    mask = decided([region.of(scores) for region in regions], regions, np.dtype(np.uint8))
    np.testing.assert_array_equal(mask, nnunet(likely, [1, 2, 3]))
    assert (mask != scores.argmax(0)).any()  # a voxel may be of a region without being of any class


def test_a_value_that_occurs_nowhere_leaves_its_regions_what_is_there() -> None:
    found = chosen(TUMOUR, [1, 2, 3])
    regions = regions_of_classes(found.regions, (0, 2, 3))
    assert regions == (
        Region(name="whole", classes=(1, 2), written=1),
        Region(name="core", classes=(1, 2), written=1),
        Region(name="enhancing", classes=(2,), written=2),
    )
    assert [r.name for r in regions_of_classes(found.regions, (0, 1, 2))] == ["whole", "core"]


def test_what_is_measured() -> None:
    regions = (Region(name="whole", classes=(1, 2), written=1),)
    assert structures(("background", "a", "b"), ()) == (("a", (1,)), ("b", (2,)))
    assert structures(("background", "a", "b"), regions) == (("whole", (1, 2)),)


def test_a_plan_knows_the_classes_of_its_regions() -> None:
    values = {
        "spatial_dims": 2, "in_channels": 1, "label_values": (0, 1, 2), "label_names": ("none", "a", "b"),
        "orientation": None, "spacing": (1, 1), "crop": "none", "patch_size": (16, 16),
        "normalization": "zscore", "ct": None, "strides": ((2, 2),),
    }  # fmt: skip
    plan = Plan(**values, regions=(Region(name="whole", classes=(1, 2), written=1),))
    assert Plan.model_validate_json(plan.model_dump_json()) == plan
    with pytest.raises(ValueError, match=r"the region whole has classes \[1, 3\], written as 1"):
        Plan(**values, regions=(Region(name="whole", classes=(1, 3), written=1),))
