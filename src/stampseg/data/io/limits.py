"""How much a file may ask for, checked before memory is taken."""

from __future__ import annotations

import os
from pathlib import Path

from ...core.errors import ConfigError, DataError

VARIABLE = "STAMPSEG_MAX_VALUES"
MOST_VALUES = 2**30  # of one image, all channels: 4 GiB as float32
HIGHEST_LABEL = 2**32 - 1  # what four bytes without a sign hold
MOST_TEXT = 2**26  # bytes of a JSON or CSV file
MOST_BEFORE_VOXELS = 2**26  # bytes of a header with all that precedes the voxels
MAX_DEFLATE_RATIO = 1032  # a deflate stream cannot shrink its content by more than this factor


SPREADSHEETS = (".xlsx", ".xlsm", ".xls", ".ods", ".numbers")
SPREADSHEET_STARTS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # a zip file; what Office wrote before


def most_values() -> int:
    """Values of one image that are read at most; more where STAMPSEG_MAX_VALUES says so.

    Raises:
        ConfigError: the variable is no number above 0.
    """
    text = os.environ.get(VARIABLE)
    if not text:
        return MOST_VALUES
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 20 and int(text) > 0):
        raise ConfigError(f"{VARIABLE}={text[:40]}: expected a number above 0, such as {MOST_VALUES}")
    return int(text)


def check_promise(path: Path, promised: int, held: int, *, packed: bool) -> None:
    """Compare the bytes that a header promises with those that the file has.

    Args:
        path: named in the error.
        promised: bytes of the decoded values.
        held: bytes of the file.
        packed: whether the values are deflated.

    Raises:
        DataError: the file cannot hold them.
    """
    if promised > held * (MAX_DEFLATE_RATIO if packed else 1):
        raise DataError(
            f"{path}: the header promises {promised:,} bytes of voxels, the file has {held:,}; "
            "it is cut short or its header is broken; copy it again"
        )


def check_kind(path: Path) -> None:
    """Refuse what is neither a file nor a folder: a pipe would be waited for without end.

    Raises:
        DataError: there is nothing, or it is a pipe, a socket or a device.
    """
    try:
        if path.is_file() or path.is_dir():
            return
        there = path.exists()
    except (OSError, ValueError) as error:  # a name that no file system takes
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: cannot be opened ({reason}); check the path") from None
    if there:
        raise DataError(
            f"{path}: is a pipe, a socket or a device; expected a file or a folder; save it as a file"
        )
    raise DataError(f"{path}: file not found; check the path")


def read_text_file(path: Path) -> str:
    """Text in UTF-8, with or without a byte order mark, of a file of at most 64 MiB.

    Raises:
        DataError: it is larger, missing, not UTF-8, a spreadsheet, or no regular file.
    """
    check_kind(path)
    try:
        size = path.stat().st_size
        if size > MOST_TEXT:
            raise DataError(
                f"{path}: {size:,} bytes; expected a list of files of at most {MOST_TEXT:,}; "
                "check that it is what its name says"
            )
        with path.open("rb") as file:
            packed = file.read(4).startswith(SPREADSHEET_STARTS)
        if packed:
            remedy = "save the sheet as CSV" if path.suffix.lower() == ".csv" else "save it again"
            raise DataError(
                f"{path}: begins as a spreadsheet or another packed file; expected text in UTF-8; {remedy}"
            )
        text = path.read_text(encoding="utf-8-sig")
        if "\0" in text:  # which a terminal would be shown as its header
            raise DataError(f"{path}: holds null bytes; expected text in UTF-8; save it again")
        return text
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); expected text in UTF-8; save it again") from None
