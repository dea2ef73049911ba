"""Prediction of 20 hippocampus crops and of a liver CT: ours, MONAI's sliding window, nnU-Net's predictor.

    python benchmarks/predict_speed.py HIPPOCAMPUS CT.nii.gz CT_LABEL.nii.gz --dense RUN --pruned RUN
                                       [--nnunet-python PATH] [--threads 2] [--rounds 5] [--ct-mirrored]

HIPPOCAMPUS is a data set for `stampseg train`; the first 20 of its cases are predicted. RUN is a run folder of
`stampseg train` on it, dense and pruned from that network. For the CT the same two networks are used, as wide
as they are and with their weights, with the preprocessing and the patch that `stampseg check` plans for it:
what they say of a CT means nothing, what they cost does. PATH is a Python with nnunetv2, whose default planner
and 3d_fullres network are used with random weights.

Every contestant is a process of its own with the same number of threads and its images in memory; timed is
what is between the image in memory and the labels on its own grid, preprocessing included, files excluded. They
take turns, so many rounds; medians and the ratios round by round are given. nnU-Net's predictor is asked with
mirroring, its default, and without; on the CT mirroring takes long and is asked only with --ct-mirrored.
Writes docs/results/predict-speed.json and the page beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

import stampseg
from stampseg.channels.cost import Tally
from stampseg.core.config import Config
from stampseg.core.machine import processor
from stampseg.data.cases import Case, Dataset, find_dataset
from stampseg.data.plan import Plan
from stampseg.export import export_model
from stampseg.networks.model_file import Description, find_model, load_model, save_model
from stampseg.run.survey import survey

CROPS = 20
PAUSE = 0.5  # seconds, for the threads of the one before to go to sleep
EXPORTS = (("onnx", "f32"), ("openvino", "f32"), ("openvino", "bf16"))
BASE, THEIRS = "dense, ours eager", "nnU-Net, mirrored"


class Contestant:
    """A process that predicts all images when told to."""

    def __init__(self, python: str, settings: dict[str, Any], place: Path) -> None:
        place.write_text(json.dumps(settings))
        environment = {**os.environ, "OMP_NUM_THREADS": str(settings["threads"])}
        environment["PYTHONPATH"] = str(Path(stampseg.__file__).parents[1])
        self.process = subprocess.Popen(
            [python, str(Path(__file__).with_name("predict_rivals.py")), str(place)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=place.with_suffix(".log").open("w"),
            text=True, env=environment,
        )  # fmt: skip
        self.log = place.with_suffix(".log")
        self.told = self.answer()

    def run(self) -> dict[str, float]:
        """Seconds for all images, and the most memory so far."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return self.answer()

    def answer(self) -> dict[str, Any]:
        """The next line of the process."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"a contestant failed:\n{self.log.read_text()[-2000:]}")
        return json.loads(line)

    def __enter__(self) -> Contestant:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def contestants(
    models: dict[str, Path], cases: list[Case], options: argparse.Namespace, room: Path, ct: bool
) -> dict[str, tuple[str, dict[str, Any]]]:
    """Name -> interpreter and settings."""
    common = {
        "images": [str(case.images[0]) for case in cases],
        "labels": [str(case.label) for case in cases],
        "threads": options.threads,
        "warm": True,
    }
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for name, path in models.items():
        found[f"{name}, ours eager"] = (sys.executable, {**common, "kind": "ours", "model": str(path)})
        for form, precision in EXPORTS:
            file = room / f"{name}-{precision}.{form}"
            export_model(load_model(path), file, format=form, precision=precision)  # type: ignore[arg-type]
            settings = {**common, "kind": "ours", "model": str(file)}
            found[f"{name}, ours {form} {precision}"] = (sys.executable, settings)
    found["no network, ours"] = (sys.executable, {**settings, "kind": "idle"})
    window = {**common, "kind": "monai", "model": str(models["dense"]), "batch": 4 if ct else 1}
    found["dense, MONAI"] = (sys.executable, window)
    if options.nnunet_python is not None:
        plan = load_model(models["dense"]).plan
        names = dict(zip(plan.label_names, plan.label_values, strict=True))
        nnunet = {**common, "kind": "nnunet", "folder": str(room), "modality": "CT" if ct else "MRI"}
        nnunet["warm"] = not ct  # one CT takes minutes, and nothing is built on first use
        nnunet["label_values"] = names if not ct else {"background": 0, "liver": 1}
        found["nnU-Net, not mirrored"] = (str(options.nnunet_python), {**nnunet, "mirror": False})
        if options.ct_mirrored or not ct:
            found[THEIRS] = (str(options.nnunet_python), {**nnunet, "mirror": True})
    return found


def race(
    models: dict[str, Path], cases: list[Case], options: argparse.Namespace, room: Path, ct: bool
) -> dict[str, Any]:
    """All contestants on the same images, in turns."""
    with ExitStack() as stack:
        runners = {}
        for number, (name, (python, settings)) in enumerate(
            contestants(models, cases, options, room, ct).items()
        ):
            runners[name] = stack.enter_context(Contestant(python, settings, room / f"{number}.json"))
        turns, peaks = [], {}
        for turn in range(options.ct_rounds if ct else options.rounds):
            turns.append({})
            for name, runner in runners.items():
                time.sleep(PAUSE)
                answer = runner.run()
                turns[-1][name], peaks[name] = answer["seconds"], answer["peak_megabytes"]
                print(
                    f"{'CT' if ct else 'crops'}, round {turn + 1}: {name}: {answer['seconds']:.2f} s",
                    flush=True,
                )
        told = {
            key: value for runner in runners.values() for key, value in runner.told.items() if key != "ready"
        }
    rows = []
    for name in runners:
        row = {"name": name, "seconds": statistics.median(t[name] for t in turns) / len(cases)}
        row["peak_megabytes"] = peaks[name]
        for rival in (BASE, "dense, MONAI", "nnU-Net, not mirrored", THEIRS):
            if rival in runners:
                row[f"times as fast as {rival}"] = statistics.median(t[rival] / t[name] for t in turns)
        rows.append(row)
    plan = load_model(models["dense"]).plan
    return {"images": len(cases), "rounds": len(turns), "patch": plan.patch_size, "spacing": plan.spacing,
            **told, "rows": rows, "turns": turns}  # fmt: skip


def for_ct(model: Path, plan: Plan, place: Path) -> Path:
    """The same network with the CT's preprocessing."""
    loaded = load_model(model)
    old = loaded.description
    own = old.plan
    again = plan.model_copy(
        update={"strides": own.strides, "label_values": own.label_values, "label_names": own.label_names}
    )
    spec = old.network.model_copy(update={"example_shape": (1, plan.in_channels, *plan.patch_size)})
    save_model(place, loaded.network, Description(network=spec, kept=old.kept, plan=again))
    return place


def ct_plan(dataset: Dataset, like: Plan) -> Plan:
    """What is planned for the CT, its patch a multiple of what the network needs."""
    seen = survey(dataset, Config())
    factors = [1] * 3
    for stride in like.strides:
        factors = [a * b for a, b in zip(factors, stride, strict=True)]
    patch = tuple(max(1, round(n / f)) * f for n, f in zip(seen.plan.patch_size, factors, strict=True))
    return seen.plan.model_copy(update={"patch_size": patch})


def sizes(models: dict[str, Path]) -> dict[str, dict[str, int]]:
    """Parameters, and FLOPs of a window."""
    found = {}
    for name, path in models.items():
        model = load_model(path)
        tally = Tally(model.network, model.graph)
        found[name] = {"parameters": tally.parameters, "flops": tally.flops}
    return found


def page(found: dict[str, Any]) -> str:
    """The figures as a page."""
    machine = found["machine"]
    lines = [
        "# Prediction against MONAI's sliding window and nnU-Net's predictor",
        "",
        f"On {machine['processor']}, {machine['cores']} cores, {machine['threads']} threads for every contestant; "
        + ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
        + ". Each is a process of its own; they take turns, and medians are given, of the ratios too. Timed is what is "
        "between an image in memory and the labels on its own grid: preprocessing is in it for all, reading and "
        "writing files for none. nnU-Net's network is the one its default planner makes for the data "
        "(3d_fullres), weights random; its predictor mirrors by default, and is asked without as well. It is another, "
        "larger network, on the CT at a finer spacing than ours: that ratio is between what the two make of the same "
        "data by default, and that to MONAI is between equal networks, MONAI's in the memory layout that PyTorch gives it. The line without a network is ours with a "
        "network that takes no time: what is left to preprocessing, windows and bringing labels back. Made with",
        "",
        f"    {found['command']}",
        "",
    ]
    for key, title in (("crops", "hippocampus crops"), ("ct", "liver CT")):
        if key not in found:
            continue
        one = found[key]
        small, large = one["networks"]["pruned"], one["networks"]["dense"]
        lines += [
            f"## {one['images']} {title}",
            "",
            f"Patch {' x '.join(map(str, one['patch']))} at {' x '.join(f'{s:g}' for s in one['spacing'])} mm, "
            f"{one['rounds']} round(s). Dense: {large['parameters']:,} parameters, {large['flops'] / 1e9:.2f} GFLOPs a "
            f"window; pruned: {small['parameters']:,}, {small['flops'] / 1e9:.2f} GFLOPs "
            f"({large['flops'] / small['flops']:.1f} times fewer)."
            + (
                f" nnU-Net, by its own plan: {one['nnunet_parameters']:,} parameters, patch "
                f"{' x '.join(map(str, one['nnunet_patch']))} at "
                f"{' x '.join(f'{s:.3g}' for s in one['nnunet_spacing'])} mm (in the order of its axes), features {one['nnunet_features']}."
                if "nnunet_parameters" in one
                else ""
            ),
            "",
        ]
        ratios = [name for name in one["rows"][0] if name.startswith("times as fast as ")]
        lines.append("| | s / image | images / s | peak MB | " + " | ".join(ratios) + " |")
        lines.append("|---|---:|---:|---:|" + "---:|" * len(ratios))
        for row in one["rows"]:
            lines.append(
                f"| {row['name']} | {row['seconds']:.4f} | {1 / row['seconds']:.2f} | {row['peak_megabytes']:.0f} | "
                + " | ".join(f"{row[name]:.2f}" for name in ratios)
                + " |"
            )
        lines += ["", *verdicts(one), ""]
    return "\n".join(lines)


def verdicts(one: dict[str, Any]) -> list[str]:
    """What was asked for, and what each FLOP saved brought, one line each."""
    rows = {row["name"]: row for row in one["rows"]}
    saved = one["networks"]["dense"]["flops"] / one["networks"]["pruned"]["flops"]
    exported = {name: row for name, row in rows.items() if name.startswith("pruned, ours o")}
    best = min(exported, key=lambda name: exported[name]["seconds"])
    lines = []
    for rival, wanted in ((BASE, 10), (THEIRS, 20), ("nnU-Net, not mirrored", 20)):
        if rival in rows:
            times = rows[best][f"times as fast as {rival}"]
            judged = "reached" if times >= wanted else "not reached"
            lines.append(f"- {best} is {times:.1f} times as fast as {rival} (asked: {wanted}; {judged}).")
    for name in rows:
        if name.startswith("pruned, "):
            dense = name.replace("pruned", "dense", 1)
            faster = statistics.median(turn[dense] / turn[name] for turn in one["turns"])
            lines.append(
                f"- {name.removeprefix('pruned, ')}: {faster:.2f} times as fast as dense with {saved:.2f} times "
                f"fewer FLOPs, {faster / saved:.2f} per FLOP saved."
            )
    return lines


def main() -> None:
    """Race and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("hippocampus", type=Path)
    parser.add_argument("ct", type=Path)
    parser.add_argument("ct_label", type=Path)
    parser.add_argument("--dense", type=Path, required=True)
    parser.add_argument("--pruned", type=Path, required=True)
    parser.add_argument("--nnunet-python", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--crops", type=int, default=CROPS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ct-rounds", type=int, default=3, help="0 leaves the CT out")
    parser.add_argument("--ct-mirrored", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("docs/results/predict-speed.json"))
    options = parser.parse_args()
    models = {"dense": find_model(options.dense), "pruned": find_model(options.pruned)}
    cases = list(find_dataset(options.hippocampus).cases[: options.crops])
    found: dict[str, Any] = {
        "command": "python benchmarks/predict_speed.py HIPPOCAMPUS CT CT_LABEL --dense RUN --pruned RUN "
        f"--nnunet-python PATH --threads {options.threads} --crops {options.crops} --rounds {options.rounds} "
        f"--ct-rounds {options.ct_rounds}" + " --ct-mirrored" * options.ct_mirrored,
        "machine": {
            "processor": processor(),
            "cores": os.cpu_count(),
            "threads": options.threads,
            "versions": {name: version(name) for name in ("torch", "monai", "onnxruntime", "openvino")},
        },
    }

    def write() -> None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        options.out.with_suffix(".md").write_text(page(found), encoding="utf-8")

    with tempfile.TemporaryDirectory() as place:
        found["crops"] = {"networks": sizes(models), **race(models, cases, options, Path(place), ct=False)}
    write()
    if options.ct_rounds:
        with tempfile.TemporaryDirectory() as place:
            room = Path(place)
            case = Case("ct", "ct", (options.ct.absolute(),), options.ct_label.absolute())
            dataset = Dataset(options.ct, "csv", (case,), (), {}, ("CT",), ())
            plan = ct_plan(dataset, load_model(models["dense"]).plan)
            models = {name: for_ct(path, plan, room / f"{name}.safetensors") for name, path in models.items()}
            found["ct"] = {"networks": sizes(models), **race(models, [case], options, room, ct=True)}
        write()


if __name__ == "__main__":
    main()
