"""How scans lie: the regression against its oracle, and what is told of turned and mirrored scans."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import rankdata
from sklearn.linear_model import Ridge

from stampseg.data.cells import mirrors, turns
from stampseg.data.pose import (
    LEAST_GAIN,
    MOST_CHANNELS,
    MOST_PEOPLE,
    MOST_SCANS,
    PENALTY,
    Pose,
    laid_otherwise,
    pose,
)


def cells(seed: int, dims: int, *, mirrored: bool = False, noise: float = 0.5) -> np.ndarray:
    """Bright and dark where all have it, and noise."""
    rng, shape = np.random.default_rng(seed), ({2: 12, 3: 6}[dims],) * dims
    image = gaussian_filter(np.random.default_rng(1).normal(size=shape), 1.2)
    image = image / image.std()
    if mirrored:
        image = image[:, ::-1]
    return (image + rng.normal(0, noise, shape))[None]


def known(dims: int, *, sides: int = 1, count: int = 8) -> Pose:
    """Of so many people, each second of whom is mirrored where there are two sides."""
    scans = [cells(seed, dims, mirrored=bool(seed % sides)) for seed in range(count)]
    return pose(scans, [*map(str, range(count))])


@pytest.mark.parametrize(("dims", "ways"), [(2, 4), (3, 24)])
def test_every_mirror_image_comes_once_and_none_is_a_turn(dims: int, ways: int) -> None:
    image = np.arange(5.0**dims).reshape(1, *(5,) * dims)
    found = {one.tobytes() for one in mirrors(image)}
    assert len(found) == ways and image[:, ::-1].tobytes() in found
    assert not found & {image.tobytes(), *(one.tobytes() for one in turns(image))}


@pytest.mark.parametrize("dims", [2, 3])
def test_the_template_is_the_ridge_of_scikit_learn(dims: int) -> None:
    """With two scans of the last person, who weigh as one of the others."""
    scans = [cells(seed, dims) for seed in range(5)]
    found = pose(scans, ["a", "b", "c", "d", "d"])
    rows, targets, weights = [], [], []
    for scan, of_person in zip(scans, (1, 1, 1, 0.5, 0.5), strict=True):
        for kind, views in enumerate(([scan], [*turns(scan)], [*mirrors(scan)])):
            for view in views:
                ranks = rankdata(view)
                rows.append((ranks - ranks.mean()) / ranks.std())
                targets.append(float(kind == 0))
                weights.append(of_person / len(views))
    oracle = Ridge(alpha=PENALTY * sum(weights)).fit(rows, targets, sample_weight=weights)
    np.testing.assert_allclose(found.template, oracle.coef_, atol=1e-4)


@pytest.mark.parametrize("dims", [2, 3])
def test_scans_that_lie_otherwise_are_told_and_others_are_not(dims: int) -> None:
    usual = known(dims)
    for seed in range(20, 26):
        scan = cells(seed, dims)
        assert usual.told(scan) is None
        assert {usual.told(one) for one in turns(scan)} == {"turned"}
        assert {usual.told(one) for one in mirrors(scan)} == {"mirrored"}


def test_where_training_scans_are_of_both_sides_a_mirror_image_says_nothing() -> None:
    usual = known(2, sides=2, count=16)
    assert usual.mirrored is None and usual.turned is not None and usual.turned >= LEAST_GAIN
    told = [usual.told(cells(seed, 2, mirrored=bool(seed % 2))) for seed in range(40, 60)]
    assert told.count(None) == 20
    upside_down = [usual.told(np.rot90(cells(seed, 2), 2, axes=(1, 2))) for seed in range(40, 60)]
    assert None not in upside_down


def test_one_person_who_lies_otherwise_hides_no_other() -> None:
    scans = [cells(seed, 2) for seed in range(9)]
    scans[4] = np.rot90(scans[4], axes=(1, 2))
    usual = pose(scans, [*"abcdefghi"])
    assert usual.told(cells(30, 2)) is None
    assert usual.told(np.rot90(cells(30, 2), axes=(1, 2))) == "turned"


def test_scans_without_any_order_are_never_told() -> None:
    rng = np.random.default_rng(5)
    usual = pose([rng.normal(size=(1, 12, 12)) for _ in range(12)], [*map(str, range(12))])
    assert usual.turned is None and usual.mirrored is None
    told = [usual.told(rng.normal(size=(1, 12, 12))) for _ in range(40)]
    assert told.count(None) >= 38


def test_a_pose_is_read_back_as_it_was() -> None:
    usual = known(3)
    again = Pose.model_validate_json(usual.model_dump_json())
    assert again == usual and again.told(cells(31, 3)) is None


def test_of_very_many_some_are_learnt_from_that_lie_evenly_among_them() -> None:
    rng = np.random.default_rng(3)
    scans = [rng.normal(size=(1, 4, 4)) for _ in range(3 * MOST_PEOPLE)]
    names = [f"{n:04}" for n in range(len(scans))]
    assert pose(scans, names) == pose(scans[::3], names[::3])
    assert pose(scans, names) != pose(scans[1::3], names[1::3])
    of_few = [names[n % 4] for n in range(len(scans))]  # 150 scans of each, of whom 100 are learnt from
    chosen = [4 * (n * 150 // 100) + person for person in range(4) for n in range(100)]
    assert len(scans) == 600 and MOST_SCANS == 400
    assert pose(scans, of_few) == pose([scans[n] for n in chosen], [of_few[n] for n in chosen])


@pytest.mark.parametrize("dims", [2, 3])
def test_whose_scans_lie_otherwise_than_those_of_others_is_found(dims: int) -> None:
    scans, names = [cells(seed, dims, noise=0.2) for seed in range(20)], [*"abcdefghijklmnopqrst"]
    assert laid_otherwise(scans, names) == {}
    scans[3] = np.rot90(scans[3], axes=(1, 2))
    scans[8] = np.flip(scans[8], axis=1)
    assert laid_otherwise(scans, names) == {"d": "turned", "i": "mirrored"}
    assert laid_otherwise(scans[:5], names[:5]) == {}  # too few people to know


def test_one_scan_of_several_makes_no_person_odd() -> None:
    """Half of them must lie otherwise."""
    scans, names = [cells(seed, 2, noise=0.2) for seed in range(60)], [*"abcdefghijklmnopqrst"] * 3
    scans[0] = np.rot90(scans[0], axes=(1, 2))
    assert laid_otherwise(scans, names) == {}
    scans[20] = np.rot90(scans[20], axes=(1, 2))
    assert laid_otherwise(scans, names) == {"a": "turned"}


def test_where_many_lie_otherwise_none_is_odd() -> None:
    scans, names = [cells(seed, 2, noise=0.2) for seed in range(60)], [*"abcdefghijklmnopqrst"] * 3
    some = [np.rot90(scan, axes=(1, 2)) if n % 20 < 2 else scan for n, scan in enumerate(scans)]
    assert set(laid_otherwise(some, names)) == {*"ab"}
    for count in (6, 10):
        many = [np.rot90(scan, axes=(1, 2)) if n % 20 < count else scan for n, scan in enumerate(scans)]
        assert laid_otherwise(many, names) == {}


def test_where_nothing_tells_how_scans_lie_none_is_odd() -> None:
    """One spot anywhere: by chance it looks turned against the spots of others."""
    for draw in range(20):
        scans = []
        for seed in range(8):
            image = np.random.default_rng(100 * draw + seed).normal(0, 0.2, (12, 12))
            row, column = np.random.default_rng(100 * draw + seed).integers(0, 9, 2)
            image[row : row + 3, column : column + 3] += 3
            scans.append(image[None])
        assert laid_otherwise(scans, [*"abcdefgh"]) == {}


def test_more_people_who_lie_otherwise_than_may_are_a_kind_of_their_own() -> None:
    """Of twelve one may be odd; of two none is left out of what is learnt, and nobody who lies so is told."""
    scans = [cells(seed, 2) for seed in range(12)]
    half_turned = [np.rot90(scan, 2, axes=(1, 2)) for scan in scans]
    one = pose([half_turned[0], *scans[1:]], [*"abcdefghijkl"])
    two = pose([*half_turned[:2], *scans[2:]], [*"abcdefghijkl"])
    unseen = [np.rot90(cells(seed, 2), 2, axes=(1, 2)) for seed in range(40, 60)]
    assert [one.told(scan) for scan in unseen].count("turned") == 20
    assert [two.told(scan) for scan in unseen].count(None) == 20


def test_one_of_few_of_the_other_side_is_not_taken_for_a_mistake() -> None:
    """Five left kidneys and a right one: others on the right are not told."""
    for count in (6, 12):
        scans = [cells(seed, 2, mirrored=seed == 0) for seed in range(count)]
        usual = pose(scans, [*map(str, range(count))])
        told = [usual.told(cells(seed, 2, mirrored=True)) for seed in range(40, 60)]
        assert told.count(None) >= 19
        assert {usual.told(cells(seed, 2)) for seed in range(60, 70)} == {None}


@pytest.mark.parametrize("dims", [2, 3])
def test_of_many_channels_some_are_looked_at(dims: int) -> None:
    """A diffusion series of 64 directions must not ask for gigabytes."""
    scans = [np.concatenate([cells(100 * seed + n, dims) for n in range(64)]) for seed in range(6)]
    usual = pose(scans, [*"abcdef"])
    assert len(usual.template) == MOST_CHANNELS * scans[0][0].size
    assert usual == pose([scan[::16] for scan in scans], [*"abcdef"])
    assert usual.told(scans[0]) is None
    assert usual.told(np.flip(scans[0], axis=1)) == "mirrored"
