"""An ensemble: the mean of probabilities, whatever each network's plan; refused where masks would lie."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from stampseg.core.errors import ConfigError, ModelFileError
from stampseg.data.boxes import as_slices
from stampseg.data.io.volume import Header, Volume
from stampseg.data.labels.postprocess import LabelSteps
from stampseg.data.plan import Plan
from stampseg.data.preprocess import orient, prepare
from stampseg.data.resampling import apply_map, low_pass_map
from stampseg.networks.model_file import save_model
from stampseg.runtime.ensemble import Ensemble, check_agreement, open_segmenter
from stampseg.runtime.model import OpenModel
from stampseg.runtime.sliding import slide
from tests.cli.command import call
from tests.data.scans import write_pictures
from tests.networks.small_model import make_model

Network = Callable[[np.ndarray], np.ndarray]


def plan(dims: int, **changes: object) -> Plan:
    values = {
        "spatial_dims": dims, "in_channels": 1, "label_values": (0, 1, 2),
        "label_names": ("background", "one", "two"), "orientation": "RAS" if dims == 3 else None,
        "spacing": (1.0,) * dims, "crop": "none", "patch_size": (8,) * dims, "normalization": "zscore",
        "ct": None, "strides": ((2,) * dims,),
    }  # fmt: skip
    return Plan.model_validate({**values, **changes})


def network(seed: int) -> Network:
    """Logits of three classes, from the voxel and its neighbours along one axis."""
    weights = np.random.default_rng(seed).normal(size=(3, 2)).astype(np.float32) * 2

    def score(windows: np.ndarray) -> np.ndarray:
        image = windows[:, 0]
        smooth = (np.roll(image, 1, -1) + image + np.roll(image, -1, -1)) / 3
        return np.stack([w[0] * image + w[1] * smooth for w in weights], axis=1)

    return score


def model(settings: Plan, seed: int, steps: tuple[LabelSteps, ...] = ()) -> OpenModel:
    score = network(seed)
    return OpenModel(settings, lambda: nullcontext(score), steps)


def scan(shape: tuple[int, ...], empty: int = 0) -> Volume:
    """Noise, its first rows without any signal; the axes of a volume lie left, back and down."""
    array = np.random.default_rng(1).normal(size=(1, *shape)).astype(np.float32)
    array[:, :empty] = 0
    affine = (
        None if len(shape) == 2 else np.array([[0, 2.0, 0, 1], [-1.5, 0, 0, 2], [0, 0, -1, 3], [0, 0, 0, 1]])
    )
    spacing = (1.0,) * 2 if affine is None else (1.5, 2.0, 1.0)
    return Volume(array, Header(shape, spacing, affine, 1, "float32", Path("scan"), affine is None))


CASES = [
    pytest.param((30, 21), {}, id="picture"),
    pytest.param((30, 21), {"spacing": (1.7, 1.3)}, id="coarser"),
    pytest.param((6, 5), {}, id="smaller than a window"),
    pytest.param((17, 12, 20), {}, id="volume"),
    pytest.param((17, 12, 20), {"spacing": (1.0, 1.2, 1.1), "crop": "nonzero"}, id="finer and cropped"),
]


PIECES = pytest.param((20, 18), {"one_piece": (1, 2), "spacing": (1.3, 1.3)}, id="of one piece each")


@pytest.mark.parametrize(("shape", "changes"), [*CASES, PIECES])
def test_the_same_network_twice_is_that_network(shape: tuple[int, ...], changes: dict[str, object]) -> None:
    one, image = model(plan(len(shape), **changes), 0), scan(shape, empty=4)
    alone, dropped = one.segment(one.prepare(image))
    assert len(np.unique(alone)) == 3 and (dropped > 0) == ("one_piece" in changes)
    both = Ensemble((one, one))
    found, also = both.segment(both.prepare(image))
    np.testing.assert_array_equal(found, alone)
    assert also == dropped
    every = both.with_all_pieces()
    assert every.segment(every.prepare(image))[1] == 0


def test_one_piece_is_what_is_one_by_all_members() -> None:
    members = (model(plan(2, one_piece=(1, 2)), 0), model(plan(2, one_piece=(2,)), 1))
    assert Ensemble(members).plan.one_piece == (2,)


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize(("shape", "changes"), CASES)
def test_it_is_the_mean_of_probabilities(
    shape: tuple[int, ...], changes: dict[str, object], mirror: bool
) -> None:
    """Against whole volumes of probabilities on the scan's grid; plans differ in grid, window and crop."""
    dims, image = len(shape), scan(shape, empty=4)
    members = (
        model(plan(dims, **changes), 0),
        model(plan(dims, patch_size=(12, *(8,) * (dims - 1)), spacing=(1.4,) * dims), 1),
        model(plan(dims), 2),
    )
    ensemble = Ensemble(members)
    found, _ = ensemble.segment(ensemble.prepare(image), mirror=mirror, batch_size=3)
    total = sum(slowly(member, image, mirror) for member in members)
    top = np.sort(total, axis=0)
    clear = top[-1] - top[-2] > 1e-4  # elsewhere the last digits decide
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(found[clear], total.argmax(0)[clear])
    assert (found != members[0].segment(members[0].prepare(image), mirror=mirror)[0]).any()


def slowly(member: OpenModel, image: Volume, mirror: bool) -> np.ndarray:
    """Probabilities (K, *S) on the scan's grid, whole volumes at every step."""
    prepared = prepare(image, member.plan)
    geometry = prepared.geometry
    with member.scoring() as scorer:
        scores = np.concatenate(list(slide(prepared.image, member.plan, scorer, 0, mirror=mirror)), axis=1)
    for axis, size in enumerate(geometry.box_shape):
        if size != scores.shape[axis + 1]:
            scores = apply_map(scores, low_pass_map(scores.shape[axis + 1], size), axis + 1)
    found = np.zeros((len(scores), *geometry.source_shape), dtype=np.float32)
    found[0] = 1  # outside of the crop
    orient(found, geometry.orientation)[(slice(None), *as_slices(geometry.box))] = scores
    return found


def test_no_float_volume_per_class_is_ever_whole() -> None:
    """A scan four times as long takes hardly more memory: that of slabs, and of a mask of bytes."""
    settings = plan(3, spacing=(2.0, 1.5, 1.0))
    ensemble = Ensemble((model(settings, 0), model(settings, 1)))
    peaks = []
    for length in (40, 160):
        prepared = ensemble.prepare(scan((length, 9, 9)))
        assert prepared[0] is prepared[1]  # they prepare alike, and share it
        tracemalloc.start()
        ensemble.segment(prepared)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 2 * peaks[0]


def test_steps_are_those_that_all_members_have() -> None:
    steps = (LabelSteps(label=1, largest=True),)
    assert Ensemble((model(plan(2), 0, steps), model(plan(2), 1, steps))).steps == steps
    assert Ensemble((model(plan(2), 0, steps), model(plan(2), 1))).steps == ()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"label_values": (0, 1, 3)},
            r"b: label values \[0, 1, 3\], but a has \[0, 1, 2\]; an ensemble takes networks that agree in "
            "this; predict with each alone",
        ),
        (
            {"label_names": ("background", "two", "one")},
            r"b: label names \['background', 'two', 'one'\], but a",
        ),
        ({"in_channels": 2}, "b: kind of image 3, 2, but a has 3, 1"),
        ({"orientation": "LPS"}, "b: axes LPS, but a has RAS"),
        ({"convention": "nnunet"}, "b: its scores are averaged as nnU-Net does, and an ensemble takes prob"),
    ],
)
def test_networks_that_do_not_agree_are_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ModelFileError, match=said):
        check_agreement([plan(3), plan(3, **changes)], [Path("a"), Path("b")])


def fold_models(run: Path, *values: int) -> Path:
    """Run folders of folds with a small network each."""
    net, _, description = make_model()
    for number, value in enumerate(values):
        (run / "folds" / str(number)).mkdir(parents=True)
        own = description.plan.model_copy(update={"label_values": (0, value)})
        described = description.model_copy(update={"plan": own})
        save_model(run / "folds" / str(number) / "model.safetensors", net, described)
    (run / "folds.json").write_text(json.dumps({"folds": [{}] * len(values)}))
    return run


def test_the_folder_of_folds_and_a_run_are_opened_alike(tmp_path: Path) -> None:
    run = fold_models(tmp_path / "run", 5, 5, 5)
    for place, ensemble in ((run / "folds", False), (run, True), (run / "folds", True)):
        opened = open_segmenter(place, ensemble=ensemble)
        assert [path.name for path in opened.models] == ["0", "1", "2"]
    assert open_segmenter(run / "folds" / "1").models == ()


def test_what_is_no_ensemble_is_refused(tmp_path: Path) -> None:
    run = fold_models(tmp_path / "run", 5, 5)
    with pytest.raises(ModelFileError, match=r"label values \[0, 6\], but .*0 has \[0, 5\]"):
        open_segmenter(fold_models(tmp_path / "other", 5, 6) / "folds")
    with pytest.raises(ConfigError, match="`ensemble` averages the networks of a cross-validation"):
        open_segmenter(run / "folds" / "0", ensemble=True)
    (run / "folds" / "1" / "model.safetensors").unlink()
    with pytest.raises(ModelFileError, match="folds: fold 1 of 2 has no network yet; resume the run with"):
        open_segmenter(run / "folds")
    (run / "folds" / "1").rmdir()
    with pytest.raises(ModelFileError, match="folds: fold 1 of 2 has no network yet"):
        open_segmenter(run, ensemble=True)


def test_folders_of_runs_are_no_ensemble(tmp_path: Path) -> None:
    """Runs that happen to be called 0 and 1 were not made to be averaged."""
    runs = fold_models(tmp_path / "run", 5, 5) / "folds"
    runs = runs.rename(tmp_path / "mine")
    with pytest.raises(ModelFileError, match=r"mine: holds no model\.safetensors"):
        open_segmenter(runs)


def test_predict_averages_and_says_what_cannot_be(tmp_path: Path) -> None:
    run = fold_models(tmp_path / "run", 5, 5)
    (tmp_path / "data").mkdir()
    pictures = write_pictures(tmp_path / "data", ["a", "b"], (16, 16)) / "images"
    said = call("predict", run / "folds", pictures, "-o", tmp_path / "masks").output
    assert "mean of the probabilities of 2 networks" in said
    call("predict", run, pictures, "-o", tmp_path / "again", "--ensemble")
    call("predict", run / "folds" / "0", pictures, "-o", tmp_path / "alone")
    for name in ("a.png", "b.png"):
        mask = (tmp_path / "masks" / name).read_bytes()
        assert mask == (tmp_path / "again" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
    refused = call("predict", run / "folds" / "0", pictures, "-o", tmp_path / "no", "--ensemble", code=2)
    assert "leave out --ensemble" in refused.output
    unsure = call("predict", run / "folds", pictures, "-o", tmp_path / "no", "--confidence", code=2).output
    assert "--confidence is measured on one network, and an ensemble has several; leave out" in unsure
