"""How each channel of one round's cut was ranked, and what its removal does to the loss.

    python benchmarks/cut_effect.py DATA RUN ROUND docs/results/cut-effect.json

DATA and RUN are those of a finished `stampseg train`; ROUND is a cut. The network before the cut is
loaded, every channel of the network is ranked by each criterion under the published normaliser, and each
removed channel is cut alone, without training, to see the loss on the training set.
"""

from __future__ import annotations

import argparse
import copy
import json
from pathlib import Path

import numpy as np
import torch
from scipy.stats import rankdata
from torch import nn

from stampseg.channels.graph import Cut
from stampseg.channels.importance import importance
from stampseg.channels.surgery import apply_cut
from stampseg.core.config import load_config
from stampseg.data.cases import find_dataset
from stampseg.data.loaders import TrainingBatches
from stampseg.networks.device import lay_out, resolve_device
from stampseg.networks.model_file import load_model
from stampseg.run.records import read_rounds
from stampseg.run.survey import survey
from stampseg.train.loss import make_loss

CRITERIA = ("taylor", "taylor-abs", "l1", "weight-l1", "norm-scale")


def ranks(scores: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Rank of every channel among all, 1 the least important."""
    everything = rankdata(np.concatenate(list(scores.values())), method="min").astype(int)
    ends = np.cumsum([len(values) for values in scores.values()])[:-1]
    return dict(zip(scores, np.split(everything, ends), strict=True))


def mean_loss(network: nn.Module, batches: list[dict], loss: nn.Module) -> float:
    """Over the training set, in eval mode."""
    with torch.no_grad():
        return float(np.mean([float(loss(network.eval()(b["image"]), b["label"])) for b in batches]))


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("round", type=int)
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    rounds = read_rounds(options.run)
    turn, removed = rounds[options.round], rounds[options.round].removed
    config, cpu = load_config(options.run / "config.yaml"), resolve_device("cpu")
    model = load_model(options.run / "rounds" / f"{options.round - 1:03d}.safetensors")
    plan = model.description.plan
    lay_out(model.network, plan.spatial_dims, cpu)
    cases = survey(find_dataset(options.data, group_regex=config.group_regex), config).split.training
    with TrainingBatches(cases, plan, config.train, config.data, config.seed) as source:
        batches = list(source.scoring_batches())
    loss = make_loss(config.train)
    before = mean_loss(model.network, batches, loss)
    ranked = {
        name: ranks(dict(importance(model.network, model.graph, batches, loss, criterion=name)))
        for name in CRITERIA
    }
    channels = sum(len(r) for r in ranked["taylor"].values())
    rows = []
    for group, indices in removed.items():
        for index in indices:
            network = copy.deepcopy(model.network)
            apply_cut(network, model.graph, Cut.of({group: [index]}))
            rows.append(
                {
                    "group": group,
                    "channel": index,
                    "loss_without": mean_loss(network, batches, loss),
                    "rank": {name: int(ranked[name][group][index]) for name in CRITERIA},
                }
            )
    rows.sort(key=lambda row: -row["loss_without"])
    result = {
        "criterion": config.prune.criterion,
        "round": options.round,
        "event": turn.event,
        "dice_before": rounds[options.round - 1].validation.model_dump(),
        "dice_after": turn.validation.model_dump(),
        "channels": channels,
        "loss_before": before,
        "rows": rows,
    }
    options.output.write_text(json.dumps(result, indent=1) + "\n")
    options.output.with_suffix(".md").write_text(page(result), encoding="utf-8")


def page(result: dict) -> str:
    """The figures as a page."""
    heads = " | ".join(f"rank by {name}" for name in CRITERIA)
    after, before = result["dice_after"]["dice"], result["dice_before"]["dice"]
    lines = [
        "# A cut that did not heal",
        "",
        f"Round {result['round']} of a STAMP+ run on hippocampus MRI (10 cases, criterion `{result['criterion']}`): "
        f"validation Dice fell from {before:.3f} to {after:.3f}, and the round was rolled back. Each channel of that "
        f"cut was removed alone from the network before it; its loss on the training set was "
        f"{result['loss_before']:.3f}. Rank 1 of {result['channels']} is the least important; all criteria are under "
        "the published normaliser. Made with",
        "",
        "    python benchmarks/cut_effect.py hippocampus/pool.csv hippocampus/stamp+ "
        f"{result['round']} docs/results/cut-effect.json",
        "",
        "on a run of `python benchmarks/first_runs.py DATA WORK RESULTS --tasks hippocampus --methods stamp+ "
        "--set prune.criterion=taylor --set prune.rollbacks=0`. The run is of an earlier state of the code, when "
        "these were the defaults, and has not been repeated since.",
        "",
        f"| layer | channel | loss without it | {heads} |",
        "|---|---:|---:" + "|---:" * len(CRITERIA) + "|",
        *(
            f"| {row['group']} | {row['channel']} | {row['loss_without']:.3f} | "
            + " | ".join(str(row["rank"][name]) for name in CRITERIA)
            + " |"
            for row in result["rows"]
        ),
        "",
        "One run, one cut: it shows that the signed sum can misjudge, not how often.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
