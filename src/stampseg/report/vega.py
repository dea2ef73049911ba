"""Vega, which draws charts, and charts as its specifications; all of it lies inside the page.

Written in Vega-Lite, which describes what is shown, and compiled here, so that the page carries Vega's
drawing part alone. Colours of ink and paper are signals, set by the page for light and dark.
"""

from __future__ import annotations

import functools
from typing import Any

from ..core.packages import require
from ..evaluation.overlay import PALETTE

COLOURS = tuple("#{:02x}{:02x}{:02x}".format(*colour) for colour in PALETTE)
_PARAMS = [
    {"name": "current", "value": 0},
    {"name": "ink", "value": "#1d2430"},
    {"name": "accent", "value": "#2f6fde"},
]


@functools.cache
def library() -> str:
    """Vega's JavaScript; it sets `window.vega`.

    Raises:
        MissingPackageError: vl-convert-python is not installed.
    """
    converter = _converter()
    # The address is a name in the package's own store; nothing is fetched. Vega has no default export.
    module = f"https://cdn.jsdelivr.net/npm/vega@{converter.get_vega_version()}/+esm"
    bundle = converter.javascript_bundle(f'import * as whole from "{module}";window.vega=whole;')
    return f"(() => {{\n{bundle}\n}})();\n"


def _converter() -> Any:
    return require("vl_convert", "drawing the report's charts")


def compiled(chart: dict[str, Any]) -> dict[str, Any]:
    """A Vega-Lite chart as the Vega that the page draws, as wide as its place.

    Raises:
        MissingPackageError: vl-convert-python is not installed.
    """
    whole = {
        "params": _PARAMS,
        "background": None,
        "width": "container",
        "autosize": {"type": "fit-x", "contains": "padding"},
        **chart,
    }
    return dict(_converter().vegalite_to_vega(whole))
