"""`predict`: what is taken of a folder, what is said of it, and how it goes on after a stop."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from stampseg.core.run_folder import MODEL_FILE
from stampseg.runtime.model import OpenModel
from stampseg.runtime.trust import Assessed, LabelTrust, Trust, UntrustedError
from stampseg.runtime.written import Segmentation
from tests.cli.command import RUNNER, app, call, train_quickly


@pytest.fixture(scope="module")
def run(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One small pruned run, six of whose images train and two validate."""
    return train_quickly(pictures, tmp_path_factory.mktemp("runs") / "run")


def test_folders_beside_images_are_not_taken_and_named(run: Path, pictures: Path, tmp_path: Path) -> None:
    scan, mixed = pictures / "images" / "p0-IM-0.png", tmp_path / "mixed"
    for name in ("p1", "p2/deep", "masks", "p1_seg", "notes"):
        (mixed / name).mkdir(parents=True)
    for name in ("a.png", "p1/b.png", "p2/deep/c.png", "masks/a.png", "p1_seg/a.png"):
        shutil.copyfile(scan, mixed / name)
    (mixed / "notes" / "read.txt").write_text("of no image")
    said = call("predict", run, mixed, "-o", tmp_path / "out").output
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]
    assert (
        f"WARNING: {mixed}: folders beside its images are not read: p1, p2; name them as well if meant\n"
        in said
    )
    assert "not read" not in call("predict", run, mixed / "p1", "-o", tmp_path / "again").output


def stop_at(monkeypatch: pytest.MonkeyPatch, number: int, how: int, method: str = "segment") -> None:
    """Send a signal while the n-th image is segmented."""
    original, calls = getattr(OpenModel, method), list[int]()

    def segment(self: OpenModel, *args: Any, **kwargs: Any) -> Any:
        calls.append(0)
        if len(calls) == number:
            os.kill(os.getpid(), how)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(OpenModel, method, segment)


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_prediction_says_what_is_there_and_goes_on(
    how: int, code: int, run: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, out, seen = pictures / "images", tmp_path / "out", tmp_path / "seen"
    words = ("predict", run, images, "-o", out, "--overlays", seen)
    with monkeypatch.context() as patch:
        stop_at(patch, 4, how)
        said = call(*words, code=code).output
    there = {path: path.read_bytes() for path in out.iterdir()}
    assert len(there) == 3 == len(list(seen.iterdir()))
    assert (
        f"WARNING: 3 of 8 masks are written in {out}; go on by saying the same with --skip-existing\n" in said
    )
    whole = call(*words, "--skip-existing").output
    assert "passed over 3 of 8 images: their masks are there\n" in whole
    assert len(list(out.iterdir())) == 8 == len(list(seen.iterdir()))
    assert all(path.read_bytes() == content for path, content in there.items())
    again = json.loads(call(*words, "--skip-existing", "--json").stdout)
    assert (again["masks"], again["passed_over"], again["warnings"]) == ([], 8, [])
    next(seen.iterdir()).unlink()
    assert (
        "is not, so that its image is neither done nor untouched; delete"
        in call(*words, "--skip-existing", code=3).output
    )


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_stopped_prediction_with_confidence_goes_on_as_if_it_had_not_been(
    run: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, out, whole = pictures / "images", tmp_path / "out", tmp_path / "whole" / "out"
    words = ("predict", run, images, "--confidence", "-o")
    at_once = call(*words, whole).output
    with monkeypatch.context() as patch:
        stop_at(patch, 4, signal.SIGINT, "segment_confidently")
        said = call(*words, out, code=130).output
    assert f"3 of 8 masks are written in {out}; go on by saying the same with --skip-existing" in said
    assert len(json.loads((out / "confidence.json").read_text())["scans"]) == 3
    again = call(*words, out, "--skip-existing").output
    assert "passed over 3 of 8 images: their masks are there\n" in again
    for name in ("confidence.csv", "confidence.json"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()
    first = at_once.index("to look at first:")
    assert again[again.index("to look at first:") :] == at_once[first:].replace(str(whole), str(out)).replace(
        "8 masks written", "5 masks written"
    )


def test_after_an_error_or_a_closed_pipe_it_goes_on_as_well(
    run: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("predict", run, pictures / "images", "--confidence", "-o", tmp_path / "out")
    original, calls = OpenModel.segment_confidently, list[int]()

    def fail(self: OpenModel, *args: Any, **kwargs: Any) -> Any:
        calls.append(0)
        if len(calls) == 6:
            raise RuntimeError("CUDA out of memory")
        return original(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(OpenModel, "segment_confidently", fail)
        assert RUNNER.invoke(app, [str(word) for word in words]).exit_code != 0
    assert len(json.loads((tmp_path / "out" / "confidence.json").read_text())["scans"]) == 5
    assert "passed over 5 of 8 images" in call(*words, "--skip-existing").output
    assert len(json.loads((tmp_path / "out" / "confidence.json").read_text())["scans"]) == 8


def test_figures_are_only_taken_for_the_masks_they_are_of(run: Path, pictures: Path, tmp_path: Path) -> None:
    """Not after another model, other options or a hand has changed them, nor for another image's."""
    images, out = pictures / "images", tmp_path / "out"
    words = ("predict", run, images, "--confidence", "--skip-existing", "-o", out)
    call(*words)
    other = tmp_path / "other.safetensors"
    shutil.copyfile(run / "rounds" / "000.safetensors", other)
    for changed in (("predict", other, *words[2:]), (*words, "--no-postprocess"), (*words, "--all-pieces")):
        said = " ".join(call(*changed, code=3).stderr.split())
        assert "confidence.json: tells of masks of another model, of other options or of another" in said
    call("predict", other, images / "p0-IM-0.png", "-o", out, "--overwrite")
    said = " ".join(call(*words, code=3).stderr.split())
    assert (
        f"{out}: confidence.json does not tell of p0-IM-0.png as it is there, and how far this mask can"
        in said
    )
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(images, elsewhere)
    call("predict", run, images / "p0-IM-0.png", "-o", out, "--overwrite", "--confidence")
    assert "passed over 8 of 8 images" in call(*words).output  # the lines of the others were kept
    said = " ".join(call("predict", run, elsewhere, *words[3:], code=3).stderr.split())
    assert (
        f"{out / 'p0-IM-0.png'}: is the mask of {images / 'p0-IM-0.png'}, by confidence.json beside" in said
    )


def test_masks_that_the_new_table_leaves_out_are_named(run: Path, pictures: Path, tmp_path: Path) -> None:
    first, second = (pictures / "images" / f"p0-IM-{number}.png" for number in (0, 1))
    out = tmp_path / "out"
    call("predict", run, first, second, "-o", out, "--confidence")
    words = ("predict", run, first, "-o", out, "--confidence", "--overwrite")
    assert "also told of" not in call(*words).output  # made alike: the line of the other is kept
    said = " ".join(call(*words, "--all-pieces").output.split())
    assert "also told of p0-IM-1.png, by another model or with other options; it stays, and the new" in said
    assert "also told of" not in call("predict", run, first, second, *words[3:]).output  # both made anew
    assert len(json.loads((out / "confidence.json").read_text())["scans"]) == 2


def test_masks_that_stay_are_held_to_the_least_dice_as_well(tmp_path: Path) -> None:
    """Of what was there before, too: a pipeline that goes on must not end well for having been stopped."""
    rows = tuple(
        Assessed(
            tmp_path / name, tmp_path / name, tmp_path / name, Trust((LabelTrust("liver", 1, (d, d, d)),), ())
        )
        for name, d in (("a.png", 0.3), ("b.png", 0.9))
    )
    with pytest.raises(UntrustedError, match=r"a.png: an expected Dice of 0.30, below the 0.5"):
        Segmentation((), (), (), ("background", "liver"), 0.5, 2, rows).check()


def test_what_does_not_go_with_masks_that_stay_is_refused(run: Path, pictures: Path, tmp_path: Path) -> None:
    words = ("predict", run, pictures / "images", "-o", tmp_path / "out", "--skip-existing")
    both = call(*words, "--overwrite", code=2).output
    assert "--skip-existing keeps masks that are there, and --overwrite replaces them" in both


def test_a_mask_older_than_its_image_is_told(run: Path, pictures: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    shutil.copytree(pictures / "images", images)
    words = ("predict", run, images, "-o", tmp_path / "out")
    call(*words)
    first = min(images.iterdir())
    assert "older than the image" not in call(*words, "--skip-existing").output
    os.utime(first, (time.time() + 60,) * 2)
    said = call(*words, "--skip-existing").output
    assert (
        f"1 mask passed over and older than the image, so that it may be of another one: {first.name}" in said
    )


def test_images_are_no_masks_that_are_there(run: Path, pictures: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    shutil.copytree(pictures / "images", images)
    said = call("predict", run, images, "-o", images, "--skip-existing", code=3).output
    assert "would replace an image that is to be segmented" in said


def test_a_mask_of_another_size_is_not_passed_over_for_its_name(
    run: Path, pictures: Path, tmp_path: Path
) -> None:
    """As of scan.nii.gz in each person's folder."""
    out = tmp_path / "out"
    for person, size in (("one", (40, 32)), ("two", (36, 32))):
        (tmp_path / person).mkdir()
        Image.open(pictures / "images" / "p0-IM-0.png").resize(size).save(tmp_path / person / "scan.png")
    call("predict", run, tmp_path / "one", "-o", out)
    made = (out / "scan.png").read_bytes()
    said = " ".join(
        call("predict", run, tmp_path / "two", "-o", out, "--skip-existing", code=3).stderr.split()
    )
    assert f"{out / 'scan.png'}: is there, and is no mask of {tmp_path / 'two' / 'scan.png'} (" in said
    assert "choose another folder with -o" in said and (out / "scan.png").read_bytes() == made
    assert "passed over 1 of 1" in call("predict", run, tmp_path / "one", "-o", out, "--skip-existing").output


def test_masks_of_another_model_are_told_of(run: Path, pictures: Path, tmp_path: Path) -> None:
    scan, out = pictures / "images" / "p0-IM-0.png", tmp_path / "out"
    words = ("predict", run, scan, "-o", out)
    assert "older" not in call(*words).output + call(*words, "--skip-existing").output
    made = (run / MODEL_FILE).stat().st_mtime
    os.utime(out / scan.name, (made - 60, made - 60))
    said = call(*words, "--skip-existing").output
    assert "1 mask passed over and older than the model" in said and scan.name in said


def test_what_was_made_with_earlier_masks_is_named(run: Path, pictures: Path, tmp_path: Path) -> None:
    scan, other = (pictures / "images" / f"p0-IM-{number}.png" for number in (0, 1))
    out = tmp_path / "out"
    first = call("predict", run, scan, "-o", out, "--confidence", "--probabilities").output
    assert "of earlier masks" not in first and first.endswith(f"1 mask written to {out}\n")
    assert "of earlier masks" not in call("predict", run, other, "-o", out).output
    told = (
        f"WARNING: {out}: of earlier masks, and not of those that were written now: confidence.csv, "
        "confidence.json, p0-IM-0_uncertainty.png, p0-IM-0_probabilities.nii.gz; delete them, or have all "
        "made anew with --confidence or --probabilities, and --overwrite\n"
    )
    assert told in call("predict", run, scan, "-o", out, "--overwrite").output
    said = call("predict", run, scan, "-o", out, "--overwrite", "--confidence").output
    assert "now: p0-IM-0_probabilities.nii.gz; delete it, or" in said


def test_images_by_which_the_model_was_chosen_are_marked(run: Path, pictures: Path, tmp_path: Path) -> None:
    splits = json.loads((run / "splits.json").read_text())
    said = call("predict", run, pictures / "images", "-o", tmp_path / "out").output
    marks = {"training": "(trained on)", "validation": "(validated with)"}
    for side, mark in marks.items():
        assert splits[side]
        for entry in splits[side]:
            line = next(
                text for text in said.splitlines() if text.startswith(f"{tmp_path}/out/{entry['id']}.")
            )
            assert line.endswith(mark), line
    assert said.endswith(f"8 masks written to {tmp_path / 'out'}\n")


def test_evaluate_says_where_its_metrics_are(pictures: Path, tmp_path: Path) -> None:
    masks, table = pictures / "masks", tmp_path / "metrics.csv"
    said = call("evaluate", masks, masks, "-o", table).output
    assert said.endswith(f"metrics of every case written to {table}\n")


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_where_nobody_reads_any_more_it_ends_quietly(run: Path, pictures: Path, tmp_path: Path) -> None:
    words = ("predict", run, pictures / "images", "-o", tmp_path / "out")
    program = subprocess.Popen(
        [sys.executable, "-m", "stampseg.cli", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert program.stdout is not None and program.stderr is not None
    program.stdout.close()  # as of `| head`
    assert (program.stderr.read(), program.wait()) == (b"", 141)


def test_a_run_folder_in_the_one_that_was_given_is_named(run: Path, pictures: Path, tmp_path: Path) -> None:
    above = run.parent
    hint = f"; give the run folder in it, {run}\n"
    for words in (("predict", above, pictures / "images"), ("export", above)):
        assert call(*words, "-o", tmp_path / "m.onnx", code=3).output.endswith(hint)
    masks = pictures / "masks"
    assert call("evaluate", masks, masks, "--groups", above, code=3).output.endswith(hint)
    said = call("evaluate", tmp_path, masks, code=3).output
    assert "no predictions found" in said and "give the folder in it" not in said
    shutil.copytree(masks, tmp_path / "inner")
    assert call("evaluate", tmp_path, masks, code=3).output.endswith(
        f"give the folder in it, {tmp_path}/inner\n"
    )


@pytest.mark.parametrize("command", ["predict", "suggest", "prune"])
def test_the_model_comes_first_and_the_scans_after_it(
    run: Path, pictures: Path, tmp_path: Path, command: str
) -> None:
    said = " ".join(call(command, pictures, run, "-o", tmp_path / "out", code=2).stderr.split())
    assert f"{pictures}: is no model, and {run}, named after it, is one: the model comes first" in said
    assert f"say `stampseg {command} {run} {pictures}`" in said and not (tmp_path / "out").exists()
