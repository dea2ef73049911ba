"""docs/results/speed.md from the files that the benchmarks wrote: `python docs/generate_speed.py`.

No figure is typed in: each comes from a JSON file beside the page, with the command that made it.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"
TARGET = RESULTS / "speed.md"


def read(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def steps() -> list[str]:
    """(a) A step against a bare loop and against MONAI's trainer."""
    found, lines = read("step-time"), []
    for name, words in (("3d", "volumes"), ("2d", "pictures")):
        rows = found[name]["rows"]
        for other, key in (("a bare PyTorch loop", "ratio_to_bare"), ("MONAI's trainer", "ratio_to_monai")):
            dense, pruned = rows[0][key], [row[key] for row in rows[1:]]
            lines.append(
                f"| (a) a step of {words}, ours / {other} | at most 1.05 | {dense:.2f} dense, "
                f"{min(pruned):.2f} to {max(pruned):.2f} pruned | {met(max(dense, *pruned) <= 1.05)} "
                f"| [step-time](step-time.md) |"
            )
    return lines


def runs() -> list[str]:
    """(b) Whole runs, and (c) the overhead of a round."""
    found = read("whole-runs")["runs"]
    dense = found["dense"]
    base = statistics.median(dense["seconds"])
    lines, overhead = [], []
    for name, limit in (("FLOPs 25%", 0.6), ("parameters 15%", 1.0)):
        run = found[name]
        ratio = statistics.median(run["seconds"]) / base
        away = run["test"]["dice"] - dense["test"]["dice"]
        overhead.append(run["overhead"])
        lines.append(
            f"| (b) a run to {name}, seconds / dense | at most {limit:g} | {ratio:.2f} (test Dice {away:+.4f}) "
            f"| {met(ratio <= limit and away >= -0.005)} | [whole-runs](whole-runs.md) |"
        )
    lines.append(
        f"| (c) a round's overhead / its training | below 2% | {max(overhead):.2%} | {met(max(overhead) < 0.02)} "
        "| [whole-runs](whole-runs.md) |"
    )
    return lines


def cuts() -> list[str]:
    """(c) Tracing and cutting against Torch-Pruning."""
    rows = read("trace-and-cut")["rows"].values()
    lines = []
    for key, words in (("plain_ratio", "without"), ("rehearsed_ratio", "with")):
        ratios = [row[key] for row in rows]
        lines.append(
            f"| (c) trace + cut {words} the rehearsal / Torch-Pruning | at most 1 "
            f"| {min(ratios):.2f} to {max(ratios):.2f} | {met(max(ratios) <= 1)} | [trace-and-cut](trace-and-cut.md) |"
        )
    return lines


def prediction() -> list[str]:
    """(c) and (d) Pruned and exported against dense, and against nnU-Net."""
    found, lines = read("predict-speed"), []
    for part, words in (("crops", "20 crops"), ("ct", "a liver CT")):
        rows = [row for row in found[part]["rows"] if row["name"].startswith("pruned, ours o")]
        best = min(rows, key=lambda row: row["seconds"])
        for rival, limit in (
            ("dense, ours eager", 10), ("dense, MONAI", 10), ("nnU-Net, mirrored", 20), ("nnU-Net, not mirrored", 20),
        ):  # fmt: skip
            times = best.get(f"times as fast as {rival}")
            if times is not None:
                lines.append(
                    f"| ({'d' if 'nnU' in rival else 'c'}) {words}, {best['name'].removeprefix('pruned, ')} pruned, "
                    f"times as fast as {rival} | at least {limit} | {times:.1f} | {met(times >= limit)} "
                    "| [predict-speed](predict-speed.md) |"
                )
    return lines


def per_flop() -> list[str]:
    """The speed-up of each runtime for the FLOPs saved."""
    found = read("predict-speed")
    lines = ["| runtime | crops | liver CT |", "|---|---:|---:|"]
    for runtime in ("eager", "onnx f32", "openvino f32", "openvino bf16"):
        cells = []
        for part in ("crops", "ct"):
            dense, pruned = f"dense, ours {runtime}", f"pruned, ours {runtime}"
            gain = statistics.median(turn[dense] / turn[pruned] for turn in found[part]["turns"])
            networks = found[part]["networks"]
            saved = networks["dense"]["flops"] / networks["pruned"]["flops"]
            cells.append(f"{gain:.2f} times, {gain / saved:.2f} of {saved:.1f}")
        lines.append(f"| {runtime} | {' | '.join(cells)} |")
    return lines


def growth() -> list[str]:
    """(e) Growth with the number of cases."""
    rows, lines = read("growth")["rows"], []
    for what, key in (("check", "check"), ("train", "survey")):
        first, last = rows[what][-2], rows[what][-1]
        times = last["seconds"][key] / first["seconds"][key]
        memory = last["peak_megabytes"] / rows[what][0]["peak_megabytes"]
        lines.append(
            f"| (e) `{what}` of {last['number']:,} cases against {first['number']:,} | time 10 times (12 at most), memory flat "
            f"| time {times:.1f} times, memory {memory:.2f} of that of {rows[what][0]['number']} cases "
            f"| {met(times < 12 and memory < 1.1)} | [growth](growth.md) |"
        )
    return lines


def hardware() -> str:
    """What the roofline says of (b)."""
    found = read("roofline")
    dense, flops = found["rows"][0], found["rows"][1]
    bound = flops["lanes_bound_ms"] / dense["lanes_bound_ms"]
    return (
        f"**Why (b) stops where it does.** A quarter of the FLOPs bounds a step at "
        f"{flops['bound_ms'] / dense['bound_ms']:.2f} of the dense one's, counted in single numbers. The processor "
        "multiplies 16 float32 at once, and oneDNN lays them along the channels: a layer of 3 channels takes the "
        f"arithmetic of 16. Counted so, the bound is {bound:.2f}; measured is "
        f"{flops['step_ms'] / dense['step_ms']:.2f} ([roofline](roofline.md)). The layers at full resolution of this "
        "dense network are 8 wide, narrower than a vector, and give nothing back when they shrink further. With the "
        "steps before the last cut, which cost more, a whole run does not come to 0.6 of the dense one on this "
        f"network and processor. {wide()}"
    )


def wide() -> str:
    """Steps of a network of more channels than a vector has lanes."""
    found = read("step-time-wide")
    rows = found["3d"]["rows"]
    quarter = next(row for row in rows if row["share"] == 0.25)
    return (
        f"Of width {found['width']}, a network at {quarter['gflops'] / rows[0]['gflops']:.0%} of the FLOPs takes "
        f"{quarter['step_seconds'] / rows[0]['step_seconds']:.2f} of the dense step "
        "([step-time-wide](step-time-wide.md)): its layers at full resolution come down to about one vector."
    )


def met(good: bool) -> str:
    return "yes" if good else "**no**"


def speed_page() -> str:
    """The page."""
    whole, crops = read("whole-runs"), read("predict-speed")
    machine = whole["machine"]
    lines = [
        "# Speed",
        "",
        f"All ratios were measured in turns within one run, on {machine['processor']}, {machine['cores']} cores, torch "
        f"{machine['torch']}; the machine is shared, so read the ratios, not the seconds. The page is made by "
        "`python docs/generate_speed.py` from the files beside it.",
        "",
        "| what | asked | found | met | details |",
        "|---|---|---|---|---|",
        *steps(), *runs(), *cuts(), *prediction(), *growth(),
        "",
        hardware(),
        "",
        "**Dense eager** is our own sliding window with our narrow layers, which is itself "
        f"{ratio_to_monai(crops):.1f} times as fast as MONAI's sliding window with the same network on the crops. "
        "Against that, the usual way to run a dense network, the pruned and exported one gains more.",
        "",
        "## Speed-up for the FLOPs saved",
        "",
        "Pruned against dense in the same runtime, and that gain divided by the factor of FLOPs saved (1 would be all "
        "of it).",
        "",
        *per_flop(),
        "",
        "## Commands",
        "",
    ]  # fmt: skip
    names = (
        "step-time",
        "step-time-wide",
        "whole-runs",
        "trace-and-cut",
        "predict-speed",
        "growth",
        "roofline",
    )
    return "\n".join([*lines, *(f"    {read(name)['command']}" for name in names)]) + "\n"


def ratio_to_monai(found: dict[str, Any]) -> float:
    return next(r for r in found["crops"]["rows"] if r["name"] == "dense, ours eager")[
        "times as fast as dense, MONAI"
    ]


if __name__ == "__main__":
    TARGET.write_text(speed_page(), encoding="utf-8")
