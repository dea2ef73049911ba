"""dataset.json that lies, or is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from .bench import Bench
from .entry import Refused, Same, Works, bad
from .volumes import Commands


def entry(number: int) -> dict[str, str]:
    return {"image": f"./images/v{number}.nii.gz", "label": f"./labels/v{number}.nii.gz"}


def whole() -> dict[str, Any]:
    return {
        "numTraining": 3,
        "labels": {"0": "background"},
        "training": [entry(number) for number in range(3)],
    }


def _with(bench: Bench, content: str | bytes) -> Commands:
    data = bench.copy(3)
    (data / "dataset.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    return bench.use(data)


JSON = r"dataset\.json: "
CONTENTS: dict[str, tuple[str | bytes, Refused | Same | Works]] = {
    "that is no JSON": ("{'single': quotes}", Refused(3, JSON + r"not readable JSON \(.*\); correct it or remove it")),
    "that is empty": ("", Refused(3, JSON + r"not readable JSON \(.*\); correct it or remove it")),
    "that is a list": ("[1, 2]", Refused(3, JSON + "holds a list; expected names with values")),
    "in Latin-1": ('{"name": "Müller"}'.encode("latin-1"), Refused(3, JSON + r"cannot be read .* expected text in UTF-8")),
    "nested without end": ("[" * 200_000, Refused(3, JSON + r"not readable JSON \(.*\); correct it or remove it")),
    "with a number without end": (
        '{"numTraining": ' + "9" * 10_000 + "}",
        Refused(3, JSON + r"not readable JSON \(.*\); correct it or remove it"),
    ),
    "with a byte order mark": (b"\xef\xbb\xbf" + json.dumps(whole()).encode(), Same()),
    "with NaN where numbers stand": (json.dumps({**whole(), "numTraining": float("nan")}), Same()),
    "with a wrong number of cases": (json.dumps({**whole(), "numTraining": 300}), Same()),
    "with labels as a list": (json.dumps({**whole(), "labels": ["background", "organ"]}), Same()),
    "with labels of odd keys": (
        json.dumps({**whole(), "labels": {"²": "x", "a": [1], "": "", "9" * 5000: "y", "1": None}}), Same(),
    ),
    "with channels of odd types": (json.dumps({**whole(), "modality": {"0": None, "x": 3}}), Same()),
    "whose list names text": (
        json.dumps({**whole(), "training": "images"}),
        Refused(3, JSON + r'entry 0 of "training" is .*; expected \{"image": path, "label": path\}'),
    ),
    "whose list names numbers": (
        json.dumps({**whole(), "training": [entry(0), 7]}), Refused(3, JSON + r'entry 1 of "training" is .7.; expected'),
    ),
    "whose entry has no label": (
        json.dumps({**whole(), "training": [{"image": "images/v0.nii.gz"}]}),
        Refused(3, JSON + r'entry 0 of "training" is .*; expected'),
    ),
    "that names files that are not there": (
        json.dumps({**whole(), "training": [*whole()["training"], entry(9)]}),
        Refused(3, JSON + r"2 of the 8 files it names are missing: .*v9\.nii\.gz.*; correct the paths"),
    ),
    "that names a case twice": (
        json.dumps({**whole(), "training": [entry(0), entry(1), entry(0)]}),
        Refused(3, r"v0\.nii\.gz is listed 2 times; expected every image once; keep one row"),
    ),
    "that names a path with a null byte": (
        json.dumps({**whole(), "training": [{"image": "images/\0.nii.gz", "label": "labels/v0.nii.gz"}]}),
        Refused(3, JSON + r"1 of the 2 files it names are missing"),
    ),
    "that names a path of ten thousand letters": (
        json.dumps({**whole(), "training": [{"image": "x" * 10_000, "label": "labels/v0.nii.gz"}]}),
        Refused(3, JSON + r"1 of the 2 files it names are missing"),
    ),
    "that names a folder for a label": (
        json.dumps({**whole(), "training": [{"image": "images/v0.nii.gz", "label": ""}, entry(1)]}),
        Refused(3, r"data: (no|.*) DICOM series found"),
    ),
    "that names itself": (
        json.dumps({**whole(), "training": [{"image": "dataset.json", "label": "dataset.json"}]}),
        Refused(3, JSON + "file type not known; expected NIfTI"),
    ),
}  # fmt: skip


def _enter(name: str, content: str | bytes, expected: Refused | Same | Works) -> None:
    @bad(f"dataset.json: {name}", expected)
    def make(bench: Bench) -> Commands:
        return _with(bench, content)


for _name, (_content, _expected) in CONTENTS.items():
    _enter(_name, _content, _expected)


def _elsewhere(title: str, path: Callable[[Bench], str]) -> None:
    @bad(f"dataset.json: paths {title}, which are read", Works())
    def make(bench: Bench) -> Commands:
        entries = [
            {part[:-1]: f"{path(bench)}/{part}/v{number}.nii.gz" for part in ("images", "labels")}
            for number in range(3)
        ]
        data = bench.folder / "data"
        data.mkdir()
        bench.copy_to("other")
        (data / "dataset.json").write_text(json.dumps({"training": entries}))
        return bench.use(data)


_elsewhere("outside of the folder", lambda bench: "../other")
_elsewhere("from the root", lambda bench: str(bench.clean.data(3)))
