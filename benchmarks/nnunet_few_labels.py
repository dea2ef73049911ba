"""nnU-Net on the hippocampus cases of a study's draws, as long as ours took and four times as long.

    python benchmarks/nnunet_few_labels.py STUDY RESULTS.jsonl --nnunet-python PATH [--draws 15] [--times 1 4]
    python benchmarks/nnunet_few_labels.py STUDY RESULTS.jsonl --page PAGE.md

STUDY is the folder of `stampseg study studies/few-labels.yaml` whose hippocampus cells of the method `ours` with ten
labels are done (STAMPSEG_DATA names the data). PATH is a Python with nnunetv2 2.8.1. For every draw nnU-Net gets the same ten labelled cases, plans and
prepares them by its own defaults (3d_fullres), trains on all of them (fold `all`) on one thread and predicts the same test
people (mirrored, its default); the masks are judged by `stampseg evaluate`, the mean over people of the mean of their
cases and labels, as in the study.

Its schedule is that of 1,000 epochs of 250 steps: days on this machine. So that its rate ends where it should, the
polynomial decay runs over the time it is given. That time is processor time of its process, which on a shared machine
is less than what passes on the wall; the time of ours is the wall's. Preparing the data is not counted for either.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import mean
from typing import Any

from stampseg.evaluation.statistics import people_given_runs, table_of
from stampseg.run.study.config import load_study
from stampseg.run.study.draw import draw as draw_people
from stampseg.run.study.draw import find_task
from stampseg.run.study.plan import STUDY_FILE

VERSION = "2.8.1"
TASK, LABELLED = "hippocampus", 10
CELL = f"cells/{TASK}/ours/{LABELLED}-{{}}"

# Run by the other interpreter: plans, dataset.json, seconds, seed, images, masks.
TRAINER = """
import json, sys, time
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

plans, about, seconds, seed, images, masks = sys.argv[1:]
torch.set_num_threads(1)
torch.manual_seed(int(seed))
plans = {**json.load(open(plans)), "continue_training": False}
trainer = nnUNetTrainer(plans, "3d_fullres", "all", json.load(open(about)), torch.device("cpu"))
trainer.disable_checkpointing = False
trainer.on_train_start()
trainer.network.train()
start, steps, losses = time.process_time(), 0, []
while (spent := (time.process_time() - start) / float(seconds)) < 1:
    for group in trainer.optimizer.param_groups:
        group["lr"] = trainer.initial_lr * (1 - spent) ** 0.9
    losses.append(float(trainer.train_step(next(trainer.dataloader_train))["loss"]))
    steps += 1
trainer.save_checkpoint(trainer.output_folder + "/checkpoint_final.pth")
began = time.process_time()
predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
predictor.initialize_from_trained_model_folder(trainer.output_folder_base, ("all",), "checkpoint_final.pth")
predictor.predict_from_files_sequential(images, masks, save_probabilities=False)
print("RESULT", json.dumps({
    "steps": steps, "batch_size": trainer.batch_size, "loss_last": sum(losses[-5:]) / len(losses[-5:]),
    "parameters": sum(p.numel() for p in trainer.network.parameters()),
    "patch": [int(n) for n in trainer.configuration_manager.patch_size],
    "train_seconds": round(began - start, 1), "predict_seconds": round(time.process_time() - began, 1),
}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--nnunet-python", type=Path)
    parser.add_argument("--page", type=Path, help="write the table there, and run nothing")
    parser.add_argument("--draws", nargs="+", type=int, default=[15])
    parser.add_argument("--times", nargs="+", type=float, default=[1.0, 4.0])
    given = parser.parse_args()
    known = given.results.read_text().splitlines() if given.results.exists() else []
    if given.page is not None:
        given.page.write_text(page([json.loads(line) for line in known], given.study))
        return
    if given.nnunet_python is None:
        parser.error("--nnunet-python is needed to run nnU-Net")
    done = {(line["draw"], line["times"]) for line in map(json.loads, known)}
    for draw in given.draws:
        for times in given.times:
            if (draw, times) in done:
                continue
            line = row(given.study, draw, times, given.nnunet_python)
            with given.results.open("a") as file:
                file.write(json.dumps(line) + "\n")
            print(
                f"draw {draw}, {times:g} times: Dice {line['dice']:.4f} after {line['steps']} steps",
                flush=True,
            )


def page(rows: list[dict[str, Any]], study: Path) -> str:
    """The table: nnU-Net beside ours, paired over the people who test."""
    said = [
        "# nnU-Net on ten hippocampus scans",
        "",
        f"nnU-Net {VERSION} by its own defaults (3d_fullres, no fold left out, mirrored prediction) on the ten labelled scans of a draw of [the study](few-labels.md),",
        "for the seconds that ours took and for four times as many, its rate decayed to the end of that time; other people test both. Its seconds are those of its",
        "process, ours those of the clock beside other work, so that nnU-Net had more than ours did. It sees no scan without a label. Draws are few: what is said is",
        "about these networks. Ten labels and minutes of one core are not what nnU-Net is made for: 1,000 epochs on a GPU are. Made by",
        "",
        "    STAMPSEG_DATA=DATA python benchmarks/nnunet_few_labels.py STUDY docs/results/nnunet-few-labels.jsonl --nnunet-python PYTHON",
        "    python benchmarks/nnunet_few_labels.py docs/results/few-labels docs/results/nnunet-few-labels.jsonl --page docs/results/nnunet-few-labels.md",
        "",
        "| draw | time | seconds | steps of two patches | seconds a step | parameters | Dice, nnU-Net | Dice, ours | ours minus nnU-Net, over people |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for line in sorted(rows, key=lambda line: (line["draw"], line["times"])):
        ours = people_of_ours(study, line["draw"])
        gains = {person: ours[person] - dice for person, dice in line["people"].items()}
        estimate = people_given_runs(table_of({"": gains}))
        assert estimate is not None
        low, high = estimate.interval()
        said.append(
            f"| {line['draw']} | x {line['times']:g} | {line['train_seconds']:,.0f} | {line['steps']:,} | {line['train_seconds'] / line['steps']:.1f} | {line['parameters']:,} | {line['dice']:.3f} | "
            f"{mean(ours[person] for person in gains):.3f} | {estimate.mean:+.3f} ({low:+.3f} to {high:+.3f}) |"
        )
    return "\n".join(said) + "\n"


def people_of_ours(study: Path, draw: int) -> dict[str, float]:
    """Dice of ours of each person who tests: the mean of the labels of a case, then of the cases."""
    cases: dict[tuple[str, str], list[float]] = defaultdict(list)
    with (study / "cases.csv").open() as file:
        for found in csv.DictReader(file):
            cell = tuple(found[name] for name in ("task", "labels", "method", "draw"))
            if found["dice"] and cell == (TASK, str(LABELLED), "ours", str(draw)):
                cases[found["person"], found["case"]].append(float(found["dice"]))
    persons: dict[str, list[float]] = defaultdict(list)
    for (person, _), values in cases.items():
        persons[person].append(mean(values))
    return {person: mean(values) for person, values in persons.items()}


def row(study: Path, draw: int, times: float, python: Path) -> dict[str, Any]:
    """One line of the results."""
    cell = study / CELL.format(draw)
    record = json.loads((cell / "cell.json").read_text())
    seconds = record["result"]["train_seconds"] * times
    task = load_study(study / STUDY_FILE).tasks[TASK]
    drawn = draw_people(find_task(TASK, task), task, LABELLED, draw).labelled
    labelled = [(case.images[0], case.label) for case in drawn if case.label is not None]
    images, labels = labelled[0][0].parent, labelled[0][1].parent
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        dataset = write_dataset(place, labelled)
        (place / "images").mkdir()
        for case in record["test"]:
            (place / "images" / f"{case}_0000.nii.gz").symlink_to(images / f"{case}.nii.gz")
        found = train(place, dataset, seconds, draw, python)
        return {
            "nnunet": VERSION, "draw": draw, "times": times, "labelled": len(labelled), "ours_seconds": seconds / times,
            "ours_dice": record["result"]["dice"], **found, **judge(place, labels, record["test"]),
        }  # fmt: skip


def write_dataset(place: Path, labelled: list[tuple[Path, Path]]) -> str:
    """The labelled cases as nnU-Net wants them."""
    name = "Dataset001_Hippocampus"
    raw = place / "raw" / name
    for folder in ("imagesTr", "labelsTr"):
        (raw / folder).mkdir(parents=True)
    for image, label in labelled:
        stem = image.name.removesuffix(".nii.gz")
        shutil.copy(image, raw / "imagesTr" / f"{stem}_0000.nii.gz")
        shutil.copy(label, raw / "labelsTr" / f"{stem}.nii.gz")
    about = {
        "channel_names": {"0": "MRI"},
        "labels": {"background": 0, "anterior": 1, "posterior": 2},
        "numTraining": len(labelled),
        "file_ending": ".nii.gz",
    }
    (raw / "dataset.json").write_text(json.dumps(about))
    return name


def train(place: Path, dataset: str, seconds: float, seed: int, python: Path) -> dict[str, Any]:
    """Plan, prepare, train for so long, predict."""
    environment = {
        **os.environ, "nnUNet_raw": str(place / "raw"), "nnUNet_preprocessed": str(place / "preprocessed"),
        "nnUNet_results": str(place / "results"), "nnUNet_n_proc_DA": "1", "nnUNet_compile": "f",
        "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
    }  # fmt: skip
    environment.pop("PYTHONPATH", None)
    plan = [
        python.parent / "nnUNetv2_plan_and_preprocess",
        "-d",
        "1",
        "-c",
        "3d_fullres",
        "-np",
        "1",
        "-npfp",
        "1",
    ]
    subprocess.run(list(map(str, plan)), env=environment, check=True, stdout=subprocess.DEVNULL)
    prepared = place / "preprocessed" / dataset
    (place / "masks").mkdir()
    words = [python, "-c", TRAINER, prepared / "nnUNetPlans.json", prepared / "dataset.json", seconds, seed]
    words += [place / "images", place / "masks"]
    environment["nnUNet_n_proc_DA"] = "0"  # augmentation in the process whose time is taken; plans refuse 0
    said = subprocess.run(
        list(map(str, words)), env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    return json.loads(next(line for line in said.splitlines() if line.startswith("RESULT"))[7:])


def judge(place: Path, labels: Path, people: dict[str, str]) -> dict[str, Any]:
    """Dice over people, as the study has it."""
    (place / "truth").mkdir()
    for case in people:
        (place / "truth" / f"{case}.nii.gz").symlink_to(labels / f"{case}.nii.gz")
    for path in (place / "masks").glob("*.json"):
        path.unlink()  # plans and arguments that nnU-Net puts beside its masks
    words = ["evaluate", place / "masks", place / "truth", "-o", place / "metrics.json"]
    subprocess.run(
        [sys.executable, "-m", "stampseg", *map(str, words)], check=True, stdout=subprocess.DEVNULL
    )
    cases: dict[str, list[float]] = defaultdict(list)
    for found in json.loads((place / "metrics.json").read_text())["rows"]:
        if found["dice"] is not None and found["label"] != "union":
            cases[found["case"]].append(found["dice"])
    persons: dict[str, list[float]] = defaultdict(list)
    for case, values in cases.items():
        persons[people[case]].append(mean(values))
    means = {person: mean(values) for person, values in persons.items()}
    return {"dice": mean(means.values()), "people": {k: round(v, 4) for k, v in sorted(means.items())}}


if __name__ == "__main__":
    main()
