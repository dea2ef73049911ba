"""Options of runs that end within seconds."""

from __future__ import annotations

COMMON = (
    "--steps", "12", "--target", "40%", "--validation", "25%", "--set", "prune.rounds=3",
    "--set", "prune.ready_dice=0", "--set", "train.checkpoint_minutes=0", "--set", "train.missed_label=warn",
)  # fmt: skip

OPTIONS = (*COMMON, "--set", "network.width=4")
