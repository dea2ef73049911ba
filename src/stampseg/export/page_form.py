"""One HTML page that segments what is dropped into it: the network and an engine for browsers in one file."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import re
from collections.abc import Mapping
from pathlib import Path

from ..core.errors import ExportError, MissingPackageError, ModelFileError, one_line
from ..core.text import some
from ..core.version import __version__
from ..data.plan import Plan
from ..runtime.details import Details
from ..runtime.engines import onnx_run
from ..runtime.sliding import Scorer
from ..runtime.trust import source_of
from .onnx_form import OnnxForm
from .web_script import asset, script_of

VENDOR = "vendor"  # folder of what others wrote, made by `make web`
_BLOCK = re.compile(rb'<script type="application/octet-stream" id="network">([^<]*)</script>')
_FIELD = re.compile(r"\{\{ (\w+) \}\}")
_HIDDEN = "hidden"
KEYS = (
    "Keys: Tab to a plane, then the arrow keys and Page Up or Down go through its slices; a click puts the "
    "crosshair there. Planes are shown as radiologists look at them: the person's right is on the left. "
    "Letters at the edges are the person's sides: left and right, A and P front and back, S and I head and "
    "foot. The crosshair's millimetres are from the scan's origin, towards these sides."
)


class PageForm:
    """A network as a page, in memory."""

    def __init__(self, form: OnnxForm) -> None:
        """Args:
            form: in f32.

        Raises:
            MissingPackageError: this installation has no scripts for browsers.
        """
        self._network = form.proto.SerializeToString()
        self._vendor = {name: _vendor(name) for name in ("engine.wasm.gz", "vendor.js.gz", "licences.txt")}

    def write(self, path: Path, details: Details) -> None:
        """The whole page; nothing of the training but the plan goes into it."""
        script = script_of("page")
        text = asset("page.html").read_text(encoding="utf-8")
        words = {name: html.escape(value) for name, value in _words(details).items()}
        values = {
            **words,
            "policy": _policy(script),
            "style": asset("page.css").read_text(encoding="utf-8"),
            "licences": html.escape(self._vendor["licences.txt"].decode("utf-8")),
            "about": json.dumps(_about(details)).replace("<", "\\u003c"),
            "network": _base64(gzip.compress(self._network, 9, mtime=0)),
            "wasm": _base64(self._vendor["engine.wasm.gz"]),
            "vendor": _base64(self._vendor["vendor.js.gz"]),
            "worker": script_of("worker"),
            "script": script,
        }
        path.write_text(_FIELD.sub(lambda field: values[field[1]], text), encoding="utf-8", newline="\n")


def check_page(plan: Plan) -> None:
    """See that the page can do what the plan asks for.

    Raises:
        ExportError: it cannot.
    """
    if plan.convention != "stampseg":
        raise ExportError(
            f"a page cannot prepare images by the convention {plan.convention} (splines, logits averaged), "
            "and would give other masks than the network; use `format` onnx"
        )


def open_page(path: Path) -> Scorer:
    """The network that lies in a page, by ONNX Runtime.

    Raises:
        ModelFileError: it is no page of ours.
    """
    found = _BLOCK.search(path.read_bytes())
    if found is None:
        raise ModelFileError(f"{path}: holds no network; expected a page that `stampseg export` wrote")
    return onnx_run(gzip.decompress(base64.b64decode(found[1])), path, None)[0]


def _vendor(name: str) -> bytes:
    try:
        return asset(VENDOR).joinpath(name).read_bytes()
    except FileNotFoundError:
        raise MissingPackageError(
            "a page needs ONNX Runtime for browsers, which a source checkout does not hold; run `make web` "
            "in it (it needs Node.js with npm, and the network once), or install stampseg from a wheel"
        ) from None


def _about(details: Details) -> dict[str, object]:
    """What the scripts need: no paths, people or digests of the training."""
    plan = details.plan.model_copy(update={"notes": ()})
    return {
        "plan": plan.model_dump(mode="json", exclude={"relabel", "notes"}),
        "postprocess": [step.model_dump(mode="json") for step in details.postprocess],
    }


def _words(details: Details) -> Mapping[str, str]:
    plan = details.plan
    picture = plan.spatial_dims == 2
    names = [one_line(name) for name, _ in plan.structures]
    found = some(names)
    kinds = "a picture (PNG, JPEG)" if picture else "a scan (NIfTI, NRRD, or the slices of a DICOM series)"
    return {
        "title": f"Segment {some(names, 3)}",
        "summary": f"Finds {found} in {'pictures' if picture else 'scans'} like those it was trained on.",
        "invitation": f"Drop {kinds} anywhere on this page.",
        "amount": "Pixels" if picture else "Volume",
        "keys": "Keys: Tab leads to every control." if picture else KEYS,
        "parameters": f"{details.network.parameters:,}",
        "version": __version__,
        "expected": source_of(plan),
        "hide_folder": _HIDDEN if picture else "",
        "hide_regions": "" if plan.regions else _HIDDEN,
        "hide_confidence": "" if plan.is_calibrated else _HIDDEN,
    }


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _policy(script: str) -> str:
    """What the browser may do: run this script and its worker, and reach nothing outside the page."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}' 'wasm-unsafe-eval'; worker-src blob:; "
        "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
