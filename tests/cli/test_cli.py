"""The commands, as a user types them, on small scans made here."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from typer.main import get_command

from stampseg.cli.app import print_json
from stampseg.cli.commands import app
from stampseg.cli.options import config_from
from stampseg.cli.run_options import RunFlags
from stampseg.core.machine import processor
from stampseg.core.version import __version__
from stampseg.networks.model_file import load_model
from stampseg.run.records import Result as RunResult
from stampseg.run.records import read_result, read_rounds
from stampseg.timing.latency import network_latency
from stampseg.timing.stopwatch import Timing
from tests.cli.command import QUICK, RUNNER, call, train_quickly


@pytest.fixture(scope="module")
def run(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One small pruned run."""
    return train_quickly(pictures, tmp_path_factory.mktemp("runs") / "run")


def test_check_says_what_is_there(pictures: Path) -> None:
    text = call("check", pictures, "--group-regex", "(p.)-IM").output
    assert "8 labelled cases of 4 groups" in text
    assert "255" in text and "Plan" in text
    found = json.loads(call("check", pictures, "--group-regex", "(p.)-IM", "--json").output)
    assert (found["cases"], found["groups"], found["errors"]) == (8, 4, [])
    assert found["plan"]["label_values"] == [0, 255]


def test_check_names_every_problem_and_exits_with_3(volumes: Path, tmp_path: Path) -> None:
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
        for path in (volumes / part).iterdir():
            (tmp_path / part / path.name).write_bytes(path.read_bytes())
    small = nib.Nifti1Image(np.ones((4, 4, 4), np.uint8), np.eye(4))
    small.to_filename(tmp_path / "labels" / "v1.nii.gz")
    (tmp_path / "labels" / "v3.nii.gz").write_bytes(b"not gzip")
    result = call("check", tmp_path, code=3)
    assert "v1.nii.gz" in result.output and "v3.nii.gz" in result.output
    call("train", tmp_path, "-o", tmp_path / "run", *QUICK, code=3)


def test_a_run_folder_holds_everything(run: Path) -> None:
    stored = json.loads((run / "result.json").read_text())
    assert stored.keys() == {"format", *RunResult.model_fields}
    result = read_result(run)
    assert result.parameters_after <= 0.15 * result.parameters_before
    assert (result.steps, result.training_cases, result.method) == (12, 6, "stamp+")
    assert result.machine.processor == processor(), "bench names the machine alike"
    rounds = read_rounds(run)
    assert len(rounds) == result.rounds == len(list((run / "rounds").iterdir()))
    assert [turn.number for turn in rounds] == list(range(len(rounds)))
    assert rounds[-1].steps == 12 and set(rounds[0].validation.per_label) == {"foreground"}
    groups = {
        p: {c["group"] for c in json.loads((run / "splits.json").read_text())[p]}
        for p in ("training", "validation")
    }
    assert not groups["training"] & groups["validation"]
    assert "round" in (run / "log.txt").read_text()


def test_the_model_has_the_counted_parameters(run: Path) -> None:
    result = json.loads((run / "result.json").read_text())
    network = load_model(run / "model.safetensors").network
    assert sum(p.numel() for p in network.parameters()) == result["parameters_after"]


def test_the_saved_config_repeats_the_run(run: Path, pictures: Path, tmp_path: Path) -> None:
    call("train", pictures, "-o", tmp_path / "again", "--config", run / "config.yaml")
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()


def test_predict_gives_the_files_own_values_names_and_grid(run: Path, pictures: Path, tmp_path: Path) -> None:
    told = call(
        "predict", run, pictures / "images", "-o", tmp_path / "out", "--overlays", tmp_path / "seen"
    ).output
    masks = sorted((tmp_path / "out").iterdir())
    assert [m.name for m in masks] == sorted(p.name for p in (pictures / "images").iterdir())
    values = np.unique(np.stack([np.asarray(Image.open(m)) for m in masks]))
    assert (
        set(values) <= {0, 255}
        and "labelled pixels" in told
        and len(list((tmp_path / "seen").iterdir())) == 8
    )
    assert f"pictures of the masks in {tmp_path / 'seen'}\n" in told
    result = json.loads(call("evaluate", tmp_path / "out", pictures / "masks", "--json").output)
    assert result["cases"] == 8
    call("evaluate", tmp_path / "out", pictures / "masks", "-o", tmp_path / "metrics.csv")
    assert len((tmp_path / "metrics.csv").read_text().splitlines()) == 9


def test_volumes_of_two_classes_from_end_to_end(volumes: Path, tmp_path: Path) -> None:
    call("train", volumes, "-o", tmp_path / "run", "--target", "flops:40%", "--method", "stamp", *QUICK)
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["validation_cases_per_label"] == {"label_1": 1, "label_2": 1}
    assert result["flops_after"] <= 0.4 * result["flops_before"]
    assert not any(turn.dropout for turn in read_rounds(tmp_path / "run"))
    source = volumes / "images" / "v0.nii.gz"
    call("predict", tmp_path / "run" / "model.safetensors", source, "-o", tmp_path / "out")
    mask = nib.load(tmp_path / "out" / "v0.nii.gz")
    assert mask.shape == nib.load(source).shape and mask.get_data_dtype() == np.uint8
    np.testing.assert_allclose(mask.affine, nib.load(source).affine, atol=1e-6)


@pytest.mark.parametrize("kind", ["flops", "memory"])
def test_a_cost_to_come_down_to(kind: str, pictures: Path, tmp_path: Path) -> None:
    call("train", pictures, "-o", tmp_path / "run", f"--target-{kind}", "45%", *QUICK)
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["target_reached"] and result[f"{kind}_after"] <= 0.45 * result[f"{kind}_before"]


@pytest.mark.parametrize(
    "runtime", ["eager", "onnxruntime", pytest.param("openvino", marks=pytest.mark.slow)]
)
def test_a_time_to_come_down_to_is_measured(
    runtime: str, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runs are real; the clock says what the sums of the layers would take on a slow machine."""
    if runtime != "eager":
        pytest.importorskip(runtime)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    measured = []

    def taken(network: Any, dims: int, example: Any, with_runtime: str) -> Timing:
        real = network_latency(network, dims, example, runtime, seconds=0)
        assert with_runtime == runtime and real.median > 0
        measured.append(2.0 + sum(p.numel() for p in network.parameters()) / 1000)
        return Timing(0, measured[-1], 0, 0, 1)

    monkeypatch.setattr("stampseg.run.learner.network_latency", taken)
    call(
        "train", pictures, "-o", tmp_path / "run", "--target-latency", "50%",
        "--set", f"prune.runtime={runtime}", *QUICK,
    )  # fmt: skip
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["target_reached"] and result["latency_before"] == measured[0]
    assert result["latency_after"] == pytest.approx(2 + result["parameters_after"] / 1000)
    assert result["latency_after"] <= 0.5 * measured[0]
    (times,) = (tmp_path / "cache" / "stampseg").glob("layer-times-*.json")
    assert runtime in times.name and json.loads(times.read_text())


@pytest.mark.parametrize("method", ["dense", "flat", "thin"])
def test_controls_take_the_same_steps(method: str, pictures: Path, tmp_path: Path) -> None:
    call("train", pictures, "-o", tmp_path / "run", "--method", method, "--target", "20%", *QUICK)
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["steps"] == 12 and result["parameters_after"] == result["parameters_before"]
    if method == "flat":
        assert len({w for name, w in result["widths"].items() if name != "head"}) == 1
        assert 0.1 < result["parameters_after"] / result["parameters_dense"] < 0.4


def test_one_case_without_validation_works_and_says_so(volumes: Path, tmp_path: Path) -> None:
    output = call(
        "train", volumes, "-o", tmp_path / "run", "--labels", "1", "--validation", "none",
        "--set", "prune.criterion=l1-std", *QUICK,
    ).output  # fmt: skip
    assert "1 case trains, none validates" in output
    assert "1 case(s) are fewer than a batch of 4" in output
    assert "l1-std needs two cases and there is one: l1 is used" in output
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (result["training_cases"], result["validation_dice"]) == (1, None)
    assert result["rule"].endswith("the last round (no validation)")


def test_a_dice_floor_keeps_the_network_above_it(pictures: Path, tmp_path: Path) -> None:
    words = ("--target", "dice:0.01", "--validation", "25%", "--set", "train.learning_rate=0.01")
    call("train", pictures, "-o", tmp_path / "run", *words, *QUICK)
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["target_reached"] and result["validation_dice"] >= 0.01
    assert result["parameters_after"] < result["parameters_before"]


@pytest.mark.parametrize("given", [("-o", ""), ("--output=",), ("--output", "")])
def test_an_empty_argument_is_refused(given: tuple[str, ...], tmp_path: Path) -> None:
    """A variable of the shell that is not set; masks were written to where the command was called."""
    said = call("predict", tmp_path, tmp_path, *given, code=2).stderr
    assert said.startswith(f"stampseg: nothing is given after {given[0]}; expected a value")


def test_one_figure_is_the_grid_of_all_axes(volumes: Path) -> None:
    said = call("check", volumes, "--no-timing", "--grid", "1.5").stdout
    assert "spacing: 1.5 x 1.5 x 1.5 mm, as given" in said


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--target", "much"), 2, "--target 'much' is not understood; expected a share such as 15%"),
        (("--target", "300%"), 2, "--target '300%' is out of range"),
        (("--method", "magic"), 2, "--method 'magic': expected stamp+, stamp, dense, flat or thin"),
        (("--set", "prune.criterion"), 2, "expected NAME=VALUE"),
        (("--set", "prune.nonsense=1"), 2, "prune.nonsense"),
        (("--set", "x=[1"), 2, "'[1' is not a YAML value"),
        (("--seed", "99999999999999999999"), 2, "--seed 99999999999999999999: expected less than 4294967296"),
        (("--set", "prune.per_round=1", "--set", "prune.recovery_steps=9"), 2, "warm-up and finish leave"),
        (("--labels", "99"), 2, "--labels 99: 8 labelled cases are there; expected 1 to 8"),
        (("--labels", "0"), 2, "--labels 0: expected 1 or more"),
        (("--resume", "run", "--seed", "0"), 2, "leave out DATA, -o, --seed, --set, --steps"),
        (("--target", "15"), 2, "; did you mean 15%?"),
        (("--target", "15%", "--target-flops", "25%"), 2, "--target and --target-flops: give one target"),
        (
            ("--target-latency", "50"),
            2,
            "--target-latency '50' is not understood; expected a share",
        ),
        (("--target-flops", "1"), 2, "the smallest network that is left has"),
        (("--target-memory", "1kB"), 2, "the smallest network that is left has"),
        (
            ("--target-memory", "25%", "--method", "flat"),
            2,
            "--method flat needs parameters or flops",
        ),
        (("--validation", "some"), 2, "--validation 'some' is not understood"),
        (("--target", "dice:0.8", "--validation", "none"), 2, "a Dice floor as --target needs validation"),
        (("--target", "dice:0.8", "--method", "flat"), 2, "--method flat needs a size"),
        (("--config", "missing.yaml"), 2, "missing.yaml: cannot be read"),
        (("--device", "abacus"), 2, "--device 'abacus': no such device; use cpu, cuda, cuda:1 or mps"),
        (("--device", "gpu"), 2, "--device 'gpu': no such device; use cpu, cuda, cuda:1 or mps"),
        (("--device", "cpu:1"), 2, "--device cpu:1: not on this machine, which has cpu:0"),
        (("--grid", "0"), 2, "--grid '0': a spacing lies above 0"),
        (("--grid", "1x-1"), 2, "--grid '1x-1': a spacing lies above 0"),
        (("--grid", "1x2x3"), 2, "--grid [1.0, 2.0, 3.0]: expected 2 values above 0"),
        (("--grid", "500"), 2, "--grid 500 x 500 leaves images of 1 x 1 voxels"),
        (("--target", "20%", "--set", "prune.target=30%"), 2, "--target and --set prune.target: one option"),
        (("--steps", "9", "--set", "train={steps: 8}"), 2, "--steps and --set train.steps: one option twice"),
        (
            ("--grid", "2", "--set", "data.spacing=[2,2]"),
            2,
            "--grid and --set data.spacing: one option",
        ),
        (("--set", "seed=1", "--set", "seed=2"), 2, "--set seed and --set seed: one option twice; give one"),
        (("--set", "train={steps:20}"), 2, "a blank is missing after the colon: train: {steps: 20}"),
        (("--set", "steps=20"), 2, "`steps`: no such option; did you mean --steps?"),
        (("--set", "train.learning_rate=1e30"), 4, "try a lower train.learning_rate"),
    ],
)
def test_wrong_options_end_in_one_line(
    arguments: tuple[str, ...], code: int, message: str, pictures: Path, tmp_path: Path
) -> None:
    result = call("train", pictures, "-o", tmp_path / "run", *QUICK, *arguments, code=code)
    assert message in result.output
    assert "Traceback" not in result.output and result.output.count("stampseg:") == 1


def test_wrong_files_end_in_one_line(run: Path, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    image = next((pictures / "images").iterdir())
    for arguments, code in (
        (("check", tmp_path / "nowhere"), 3),
        (("check", tmp_path / "empty"), 3),
        (("train", pictures, "-o", run), 2),
        (("predict", tmp_path / "empty", image, "-o", tmp_path / "o"), 3),
        (("predict", tmp_path / "junk.safetensors", image, "-o", tmp_path / "o"), 3),
        (("predict", run, tmp_path / "nowhere.png", "-o", tmp_path / "o"), 3),
        (("predict", run, image, "-o", image.parent), 3),
        (("evaluate", tmp_path / "empty", pictures / "masks"), 3),
    ):
        result = call(*arguments, code=code)
        assert result.output.count("stampseg:") == 1, result.output


def test_a_bad_input_does_not_stop_the_others(run: Path, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG nothing")
    image = next((pictures / "images").iterdir())
    result = call("predict", run, tmp_path / "broken.png", image, "-o", tmp_path / "out", code=3)
    assert [p.name for p in (tmp_path / "out").iterdir()] == [image.name]
    assert "1 of 2 inputs could not be segmented" in result.output


def test_a_start_that_failed_leaves_its_folder_free(pictures: Path, tmp_path: Path) -> None:
    call("train", pictures, "-o", tmp_path / "run", "--labels", "99", *QUICK, code=2)
    assert not (tmp_path / "run").exists()


def test_drawn_labels_are_never_replaced(run: Path, pictures: Path, tmp_path: Path) -> None:
    drawn = sorted((pictures / "masks").iterdir())
    before = [path.read_bytes() for path in drawn]
    for extra in ((), ("--overwrite",)):
        result = call("predict", run, pictures / "images", "-o", pictures / "masks", *extra, code=3)
        assert "would replace a label by which the network was trained or measured; choose" in result.output
    assert [path.read_bytes() for path in drawn] == before
    image = sorted((pictures / "images").iterdir())[0]
    call("predict", run, image, "-o", tmp_path)
    result = call("predict", run, image, "-o", tmp_path, code=3)
    assert "exists already; choose another folder with -o, or say --overwrite" in result.output
    call("predict", run, image, "-o", tmp_path, "--overwrite")


def test_an_existing_run_is_left_alone(run: Path, pictures: Path) -> None:
    before = (run / "result.json").read_bytes()
    said = call("train", pictures, "-o", run, code=2).output
    assert f"{run}: holds a finished run of other options (" in said
    assert "to train anew, choose another -o" in said and "empty" not in said
    assert (run / "result.json").read_bytes() == before


def test_the_package_runs_as_a_module() -> None:
    """The same commands, names and exit codes as the script."""
    start = [sys.executable, "-m", "stampseg"]
    shown = subprocess.run([*start, "--help"], capture_output=True, text=True, check=True).stdout
    assert "Usage: stampseg " in shown and "evaluate" in shown
    refused = subprocess.run([*start, "evaluate", "nowhere", "nowhere"], capture_output=True, text=True)
    assert refused.returncode == 3 and refused.stderr.startswith("stampseg: nowhere")


def test_two_folders_need_no_data_around_them(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As README says; the command that `check` names runs as it stands."""
    apart = tmp_path / "elsewhere" / "drawn"
    shutil.copytree(pictures / "masks", apart)
    monkeypatch.chdir(tmp_path)
    folders = ("--images", pictures / "images", "--masks", Path("elsewhere") / "drawn")
    said = call("check", *folders, "--no-timing").output
    assert "8 labelled cases" in said
    following = shlex.split(said.splitlines()[-1].split("next: stampseg ")[1])
    assert following == ["train", *map(str, folders), "-o", "run"]
    call(*following, *QUICK, "--method", "dense")
    spec = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (spec["images"], spec["masks"]) == (str(pictures / "images"), str(apart))
    assert "give DATA, or two folders" in call("check", "--images", "elsewhere", code=2).output
    table = tmp_path / "cases.csv"
    table.write_text(f"image,label\n{pictures}/images/p0-IM-0.png,{pictures}/masks/p0-IM-0.png\n")
    assert (
        "a CSV names its files itself, and --images and --masks"
        in call("check", table, *folders, code=2).output
    )


@pytest.mark.parametrize(
    "command",
    [("check", "{none}"), ("evaluate", "{none}", "{none}"), ("inspect", "nothing"), ("bench", "{none}")],
)
def test_json_is_json_whatever_happens(command: tuple[str, ...], tmp_path: Path) -> None:
    words = [word.format(none=tmp_path / "none") for word in command]
    result = RUNNER.invoke(app, [*words, "--json"])
    said = json.loads(result.stdout)
    assert said["exit_code"] == result.exit_code in (2, 3)
    assert f"stampseg: {said['error']}\n" == result.stderr


def test_numbers_that_json_does_not_know_are_null(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": float("nan"), "b": [float("-inf"), 1.5], "c": {"d": (True, None, "x")}})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [None, 1.5], "c": {"d": [True, None, "x"]}}


@pytest.mark.parametrize("shape", ["1x1x5x5", "1x1", "1x1x0x8", "2x1x64x64", "big"])
def test_a_shape_that_does_not_do_is_an_option_that_does_not_do(shape: str) -> None:
    assert "--shape" in call("inspect", "monai.BasicUNet", "--shape", shape, code=2).output


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (
            b"hello\n",
            "t.pt",
            "is a text, not a checkpoint of PyTorch; name a .pt, .pth, .ckpt or .safetensors",
        ),
        (b"", "e.ckpt", "is an empty file, not a checkpoint of PyTorch"),
        (b"GIF89a\x00", "g.pth", "is something else, not a checkpoint of PyTorch"),
    ],
)
def test_what_is_no_checkpoint_is_called_what_it_is(
    content: bytes, name: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    assert said in call("inspect", tmp_path / name, code=3).output
    if content:
        told = call("predict", tmp_path / name, tmp_path, "-o", tmp_path / "out", code=3).output
        assert "is no model file; expected a run folder, or the model.safetensors of one" in told


def test_the_version_is_printed() -> None:
    assert call("--version").output == f"stampseg {__version__}\n"


def test_train_and_prune_take_the_same_options() -> None:
    """Each is declared once; what one of them has alone stands in its own signature."""
    commands = get_command(app).commands  # type: ignore[attr-defined]
    declared = {
        name: {flag: parameter.help for parameter in command.params for flag in parameter.opts}
        for name, command in commands.items()
    }
    shared = declared["train"].items() & declared["prune"].items()
    assert {field.name.replace("_", "-").replace("settings", "set") for field in fields(RunFlags)} <= {
        flag.strip("-") for flag, _ in shared
    }
    alone = {"--resume", "--from", "--folds", "--fold-column", "--distil", "--search", "--budget"}
    assert declared["train"].keys() - declared["prune"].keys() == alone
    assert declared["prune"].keys() - declared["train"].keys() == {"model", "--trust"}


def test_one_shot_cuts_once_and_goes_on(pictures: Path, tmp_path: Path) -> None:
    call("train", pictures, "-o", tmp_path / "run", "--preset", "one-shot", "--target", "20%", *QUICK)
    lines = (tmp_path / "run" / "rounds.jsonl").read_text().splitlines()
    events = [json.loads(line)["event"] for line in lines]
    assert events.count("cut") == 1


def test_options_that_hold_only_together_may_come_in_any_order() -> None:
    settings = ["teacher.start=0.5", "teacher.full=0.8"]
    for order in (settings, settings[::-1]):
        config = config_from(None, order, {})
        assert (config.teacher.start, config.teacher.full) == (0.5, 0.8)
