"""Options of runs that end within seconds."""

from __future__ import annotations

# Of a U-Net: of two levels less than a plan gives, it is traced, trained and saved in half the time.
SMALL = ("--set", "network.width=4", "--set", "network.poolings=2")


def common(steps: int = 12, rounds: int = 3) -> tuple[str, ...]:
    """Whatever the network."""
    return (
        "--steps", str(steps), "--target", "40%", "--validation", "25%", "--set", f"prune.rounds={rounds}",
        "--set", "prune.ready_dice=0", "--set", "train.checkpoint_minutes=0",
        "--set", "train.missed_label=warn",
    )  # fmt: skip


def options(steps: int = 12, rounds: int = 3) -> tuple[str, ...]:
    """Of a small U-Net."""
    return (*common(steps, rounds), *SMALL)


COMMON, OPTIONS = common(), options()
