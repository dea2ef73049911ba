"""Configuration files and options that are wrong."""

from __future__ import annotations

from .bench import Bench
from .entry import Refused, bad
from .volumes import Commands

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join(['*' + old] * 9)}]\n"
    for old, new in zip("abcdefghi", "bcdefghij", strict=True)
)
YAML = r"c\.yaml: "
CONTENTS: dict[str, tuple[str | bytes, str]] = {
    "an option that is none": (
        "train: {stepz: 3}", YAML + r"train\.stepz: no such option; did you mean train: {steps: 3}",
    ),
    "a text for a number": ("train: {steps: many}", YAML + r"train\.steps 'many': expected a whole number"),
    "a number out of range": ("train: {steps: -1}", YAML + r"train\.steps -1: expected 1 or more"),
    "NaN for a number": ("train: {learning_rate: .nan}", YAML + r"train\.learning_rate nan: expected a finite number"),
    "a list for the whole": ("[1, 2]", YAML + "expected names with values, found list"),
    "a tag that builds an object": (
        "!!python/object/apply:os.system ['touch owned']", YAML + "not a YAML file of options",
    ),
    "aliases that multiply": (BOMB, YAML + r"not a YAML file of options \(aliases \(\*name\) are not read; write the"),
    "brackets without end": ("[" * 50_000, YAML + r"not a YAML file of options \(.*\); correct it"),
    "brackets left open": ("train: {steps: 3", YAML + r"not a YAML file of options \(.*\); correct it"),
    "a number without end": ("seed: " + "9" * 10_000, YAML + r"not a YAML file of options \(.*\); correct it"),
    "a day that is none": ("seed: 2020-99-99", YAML + r"not a YAML file of options \(.*\); correct it"),
    "a list as a name": ("? [a, b]\n: 3", YAML + r"not a YAML file of options \(.*\); correct it"),
    "a number as a name": ("3: 4", YAML + ".*3"),
    "bytes that are no text": (b"\xff\xfe\0\0", YAML + r"not a YAML file of options \(.*\); correct it"),
    "a thousand options that are none": (
        "\n".join(f"x{number}: 1" for number in range(1000)), YAML + ".*and 990 more",
    ),
    "a device that is none": ("device: toaster", r"toaster"),
}  # fmt: skip


def _enter(name: str, content: str | bytes, pattern: str) -> None:
    @bad(f"config: {name}", Refused(2, pattern))
    def make(bench: Bench) -> Commands:
        path = bench.folder / "c.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return [["train", bench.clean.data(3), "-o", bench.output / "run", "--config", path]]


for _name, (_content, _pattern) in CONTENTS.items():
    _enter(_name, _content, _pattern)


@bad(
    "config: not there",
    Refused(2, YAML + r"cannot be read \(No such file or directory\); name an existing YAML file"),
)
def absent(bench: Bench) -> Commands:
    return [["check", bench.clean.data(3), "--config", bench.folder / "c.yaml"]]


@bad("config: a patch of a billion voxels", Refused(2, r"patch"))
def huge_patch(bench: Bench) -> Commands:
    return bench.use(bench.clean.data(3), "--set", "data.patch_size=[1000,1000,1000]")


@bad("config: voxels of no size", Refused(2, r"--grid .*expected 3 values above 0"))
def no_spacing(bench: Bench) -> Commands:
    return bench.use(bench.clean.data(3), "--set", "data.spacing=[0,1,1]")


@bad(
    "config: a --group-regex that is none",
    Refused(2, r"--group-regex '\(': not a regular expression \(.*\); correct"),
)
def bad_regex(bench: Bench) -> Commands:
    return bench.use(bench.clean.data(3), "--group-regex", "(")
