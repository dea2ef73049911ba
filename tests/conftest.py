"""Shared by all tests: where the real data sets are."""

from __future__ import annotations

import os
import signal
from functools import cache
from pathlib import Path

import pytest
import typer.testing

from tests.data.scans import write_pictures, write_volumes

# The commands of the application are made once, and not at every call: a tenth of a second each.
typer.testing._get_command = cache(typer.testing._get_command)  # type: ignore[attr-defined]

# A shell that starts tests in the background has them ignore it, and so would all that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real data sets: STAMPSEG_DATA, else shared/data beside the repository; skips without it."""
    named = os.environ.get("STAMPSEG_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"real data not found at {folder}; set STAMPSEG_DATA to its folder")
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight PNG of four people."""
    names = [f"p{index // 2}-IM-{index}" for index in range(8)]
    return write_pictures(tmp_path_factory.mktemp("pictures"), names)


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five NIfTI volumes of two classes."""
    return write_volumes(tmp_path_factory.mktemp("volumes"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """`pytest tests/networks/test_zoo.py --write-network-table -m "slow or not slow"`."""
    parser.addoption(
        "--write-network-table",
        action="store_true",
        help="measure every network of tests/networks/zoo.py and write docs/reference/networks.md",
    )
