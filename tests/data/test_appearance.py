"""What scans look like: by oracles, by laws, and through a plan."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, zoom

from stampseg.data.appearance import CELLS, Appearance, Look, appearance, look, look_at, strange
from stampseg.data.cells import correlation, magnified, turns


def scan(seed: int, shape: tuple[int, ...] = (36, 42)) -> np.ndarray:
    """Bright on one side, with a texture of its own."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(0, 60, shape[0]).reshape(-1, *(1,) * (len(shape) - 1))
    return (ramp + 8 * gaussian_filter(rng.normal(size=shape), 1) + 10)[None].astype(np.float32)


def usual(count: int = 6) -> Appearance:
    found = appearance([look_at(scan(seed), (1, 1)) for seed in range(count)], [*"abcdef"[:count]])
    assert found is not None
    return found


def told(image: np.ndarray, spacing: tuple[float, ...] = (1, 1), *, floors: bool = True) -> list[str]:
    return strange(look_at(image, spacing), usual(), floors=floors)


@pytest.mark.parametrize("shape", [(12, 18), (24, 36), (3, 40), (4, 5, 31)])
def test_a_look_is_means_of_cells(shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(1).normal(size=(2, *shape)).astype(np.float32)
    count = CELLS[len(shape)]
    for found, n in ((look(image), count), (look(image, 6), 6)):
        assert found.shape == (2, *(n,) * len(shape))
        if len(shape) == 2 and all(size % n == 0 for size in shape):
            blocks = image.reshape(2, n, shape[0] // n, n, shape[1] // n).mean((2, 4))
            np.testing.assert_allclose(found, blocks, atol=1e-6)
    assert look(image * 0 + 3) == pytest.approx(3)


def test_roughness_is_the_mean_difference_of_neighbours_per_mm() -> None:
    image = scan(0)
    found = look_at(image, (2.0, 0.5))
    for axis, size in ((0, 2.0), (1, 0.5)):
        expected = np.log(np.abs(np.diff(image[0], axis=axis)).mean() / image.std() / size)
        assert found.roughness[axis] == pytest.approx(expected, abs=1e-5)
    low, high = np.percentile(image, (1, 99))
    assert found.floor == pytest.approx(low / (high - low), abs=1e-5)


def test_the_scale_of_values_changes_no_look() -> None:
    one, other = look_at(scan(3), (1, 1)), look_at(scan(3) * 1700, (1, 1))
    np.testing.assert_allclose(one.cells, other.cells, atol=1e-4)
    assert one.roughness == pytest.approx(other.roughness, abs=1e-4)
    assert one.floor == pytest.approx(other.floor, abs=1e-5)


@pytest.mark.parametrize("seed", range(20, 25))
def test_another_scan_of_the_same_kind_is_passed_over(seed: int) -> None:
    assert told(scan(seed)) == []


def test_a_scan_that_was_turned_is_told() -> None:
    (found,) = told(np.rot90(scan(20), 2, axes=(1, 2)))
    assert found == "looks turned against the training scans, or is of something else"


def test_a_scan_of_something_else_is_told() -> None:
    (found,) = told(np.random.default_rng(3).normal(size=(1, 36, 42)).astype(np.float32), floors=False)[:1]
    assert "of something else" in found


def test_a_model_of_before_knows_the_likeness_alone() -> None:
    """Of six cells an axis, without what turning would gain, and then with it, but not how the scans lie."""
    looks = [look_at(scan(seed), (1, 1), 6) for seed in range(6)]
    new = appearance(looks, [*"abcdef"])
    assert new is not None
    old = Appearance.model_validate(new.model_dump(exclude={"gains", "people", "lowest", "pose"}))
    assert old.count(1, 2) == 6
    (found,) = strange(look_at(np.rot90(scan(20), 2, axes=(1, 2)), (1, 1), old.count(1, 2)), old, floors=True)
    assert found.startswith("bright and dark lie elsewhere: a likeness of -0.9")
    assert "(trained on 0." in found and "turned, or of something else?" in found
    newer = Appearance.model_validate(new.model_dump(exclude={"pose"}))
    (found,) = strange(look_at(np.rot90(scan(20), 2, axes=(1, 2)), (1, 1), 6), newer, floors=True)
    assert found == "looks turned against the training scans, or is of something else"


@pytest.mark.parametrize(("dims", "count"), [(2, 3), (3, 23)])
def test_every_way_to_turn_comes_once_and_none_is_a_mirror_image(dims: int, count: int) -> None:
    cells = np.arange(5**dims, dtype=float).reshape(1, *(5,) * dims)
    found = [turned.tobytes() for turned in turns(cells)]
    assert len(found) == len(set(found)) == count and cells.tobytes() not in found
    assert np.ascontiguousarray(cells[:, ::-1]).tobytes() not in found
    half = np.ascontiguousarray(cells[:, ::-1, ::-1]).tobytes()  # half a turn is one
    assert half in found


def test_the_middle_magnified_is_the_middle() -> None:
    ramp = np.broadcast_to(np.arange(12.0), (1, 12, 12))
    found = magnified(ramp, 2.0)
    np.testing.assert_allclose(found[0, 0], np.linspace(5.5 - 2.75, 5.5 + 2.75, 12), atol=1e-9)
    assert correlation(ramp, magnified(ramp, 1.0)) == pytest.approx(1)


def disc(seed: int, radius: float) -> np.ndarray:
    """A bright disc of nearly that radius in the middle of 48 x 48."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:48, :48] - 23.5
    image = 60.0 / (1 + np.exp((np.hypot(y, x) - radius * rng.uniform(0.95, 1.05)) / 2))
    return (image + x / 4 + 5 * gaussian_filter(rng.normal(size=(48, 48)), 1) + 10)[None].astype(np.float32)


@pytest.mark.parametrize(("radius", "word"), [(19, "enlarged"), (8, "reduced")])
def test_a_scan_that_shows_less_or_more_is_told(radius: float, word: str) -> None:
    known = appearance([look_at(disc(seed, 13), (1, 1)) for seed in range(12)], [*"abcdefghijkl"])
    assert known is not None and known.people == 12
    said = [strange(look_at(disc(seed, radius), (1, 1)), known, floors=True)[:1] for seed in range(20, 24)]
    assert all(words and words[0].startswith(f"looks {word} against") for words in said)
    assert not any(strange(look_at(disc(seed, 13), (1, 1)), known, floors=True) for seed in range(30, 34))


@pytest.mark.parametrize(("radius", "word"), [(19, "enlarged"), (6, "reduced"), (13, None)])
def test_of_many_people_it_is_learnt_how_near_scans_are_seen(radius: float, word: str | None) -> None:
    known = appearance([look_at(disc(seed, 13), (1, 1)) for seed in range(40)], [*map(str, range(40))])
    assert known is not None and known.pose is not None
    told = {known.pose.told(look_at(disc(seed, radius), (1, 1)).cells) for seed in range(50, 60)}
    assert told == {word}


def test_the_more_people_are_known_the_less_room_there_is() -> None:
    few, many = (
        usual(3),
        appearance([look_at(scan(seed), (1, 1)) for seed in range(30)], [*map(str, range(30))]),
    )
    assert few.lowest is not None and many is not None and many.lowest is not None
    assert few.likeness - few.lowest == pytest.approx(0.2)
    assert many.likeness - many.lowest == pytest.approx(0.1)


@pytest.mark.parametrize("odd", ["turned", "enlarged"])
def test_one_scan_of_another_kind_among_those_without_labels_hides_no_other(odd: str) -> None:
    """Nobody has looked at them: one that lies upside down must not make all others of its kind usual."""
    change = (lambda image: np.rot90(image, 2, axes=(1, 2))) if odd == "turned" else magnified_twice
    images = [disc_aside(seed) for seed in range(31)]
    images[7] = change(images[7])
    known = appearance([look_at(image, (1, 1)) for image in images], [*map(str, range(31))])
    assert known is not None
    for seed in range(40, 44):
        assert strange(look_at(disc_aside(seed), (1, 1)), known, floors=True) == []
        (said, *_) = strange(look_at(change(disc_aside(seed)), (1, 1)), known, floors=True)
        assert said.startswith(f"looks {odd}")


def disc_aside(seed: int) -> np.ndarray:
    """A bright disc on a ramp."""
    return disc(seed, 13) + np.linspace(0, 60, 48, dtype=np.float32).reshape(1, 48, 1)


def magnified_twice(image: np.ndarray) -> np.ndarray:
    """Its middle half, as large as it was."""
    return np.stack([zoom(channel[12:36, 12:36], 2, order=1) for channel in image])


@pytest.mark.parametrize("factor", [2, 0.5])
def test_a_scan_that_was_zoomed_is_told(factor: float) -> None:
    (found,) = told(np.stack([zoom(channel, factor, order=1) for channel in scan(20)]))
    assert found.startswith("smoother or rougher than the training scans; zoomed, or are its voxels of")


def test_finer_voxels_of_which_the_file_tells_are_passed_over() -> None:
    assert told(np.stack([zoom(channel, 2, order=1) for channel in scan(20)]), (0.5, 0.5)) == []


def test_values_to_which_something_was_added_are_told_but_of_ct() -> None:
    (found,) = told(scan(20) + 50)
    assert found.startswith("values begin at ") and "(trained on " in found and "was something added" in found
    assert told(scan(20) + 50, floors=False) == []


def test_two_people_are_too_few_and_none_is_compared_with_themselves() -> None:
    looks = [look_at(scan(seed), (1, 1)) for seed in range(4)]
    assert appearance(looks, [*"aabb"]) is None
    by_person = appearance([looks[0], looks[0], *looks[1:]], [*"aabcd"])
    assert by_person is not None
    others = np.mean([one.cells for one in looks[1:]], axis=0)
    assert by_person.likeness <= correlation(looks[0].cells, others) + 1e-4 and by_person.people == 4


def test_scans_without_contrast_or_of_other_channels_have_no_appearance_together() -> None:
    flat = look_at(np.full((1, 12, 12), 5, np.float32), (1, 1))
    assert flat.roughness == (None, None) and flat.floor == 0
    assert appearance([flat] * 3, [*"abc"]) is None
    colour = look_at(np.repeat(scan(1), 3, axis=0), (1, 1))
    assert appearance([look_at(scan(0), (1, 1)), colour, colour], [*"abc"]) is None
    assert strange(colour, usual(), floors=True) == []  # nothing to compare, and no error


def test_large_scans_are_thinned_and_small_axes_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    image = scan(0, (64, 64))
    whole: Look = look_at(image, (1, 1))
    monkeypatch.setattr("stampseg.data.appearance.SAMPLES", 1000)
    thinned = look_at(image, (1, 1))
    assert thinned.roughness == pytest.approx(whole.roughness, abs=0.3)
    line = look_at(image[:, :1], (1, 1))
    assert line.roughness[0] is None and line.roughness[1] is not None
