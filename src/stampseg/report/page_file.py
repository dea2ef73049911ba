"""A page as one file: its template filled, style and scripts inside, closed against the network."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from ..core.packages import require
from ..core.version import __version__


def filled(template: str, scripts: Sequence[str], **values: Any) -> str:
    """A template of `page/` as HTML; whatever comes from files is escaped.

    Args:
        template: its name.
        scripts: JavaScript that stands in the page; nothing else may run there.
        values: what the template names.
    """
    inlined = [_inline(script) for script in scripts]
    environment = _environment()
    safe = environment.filters["safe"]
    return str(
        environment.get_template(template).render(
            version=__version__,
            policy=_policy(inlined),
            style=safe(_asset("page.css")),
            scripts=[safe(script) for script in inlined],
            **values,
        )
    )


def own_script(names: Sequence[str]) -> str:
    """Files of `page/` as one script; what they define is seen by one another alone."""
    parts = "\n".join(_asset(name) for name in names)
    return f'"use strict";\n(() => {{\n{parts}\n}})();\n'


@cache  # with it the compiled templates
def _environment() -> Any:
    jinja = require("jinja2", "the report's page")
    environment = jinja.Environment(
        loader=jinja.FunctionLoader(_asset),
        autoescape=True,
        undefined=jinja.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False}
    return environment


def _asset(name: str) -> str:
    return files(__package__).joinpath("page", name).read_text(encoding="utf-8")


def _inline(script: str) -> str:
    """A script that can stand between tags: nothing in its strings ends or comments them."""
    return script.replace("\r\n", "\n").replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _policy(scripts: list[str]) -> str:
    """What the browser may do: run these scripts and no others, show embedded pictures, fetch nothing."""
    digests = (hashlib.sha256(script.encode()).digest() for script in scripts)
    hashes = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {hashes} 'unsafe-eval'; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
