"""CSV lists of cases that are wrong."""

from __future__ import annotations

from .bench import Bench
from .entry import Refused, Same, Works, bad
from .volumes import Commands

ROWS = [f"images/v{number}.nii.gz,labels/v{number}.nii.gz" for number in range(3)]


def text(*rows: str, header: str = "image,label") -> str:
    return "\n".join([header, *rows]) + "\n"


CSV = r"cases\.csv: "
CONTENTS: dict[str, tuple[str | bytes, Refused | Same | Works]] = {
    "empty": ("", Refused(3, CSV + "expected a header line with the columns image,label and optionally group")),
    "a header alone": (text(), Refused(3, CSV + "no rows below the header; expected one image and label each")),
    "no column of labels": (text(header="image,mask"), Refused(3, CSV + "expected a header line with the columns")),
    "a row without an image": (text(",labels/v0.nii.gz"), Refused(3, CSV + "a row has no image .*; expected a path")),
    "a file that is not there": (
        text(*ROWS, "images/gone.nii.gz,labels/v0.nii.gz"),
        Refused(3, CSV + r"1 of the 8 files it names are missing: .*gone\.nii\.gz; correct the paths"),
    ),
    "a case twice": (text(*ROWS, ROWS[0]), Refused(3, r"v0\.nii\.gz is listed 2 times; expected every image once; keep one row")),
    "a group in some rows": (
        text(f"{ROWS[0]},a", ROWS[1], header="image,label,group"),
        Refused(3, CSV + "no group for v1; fill the column in every row or in none"),
    ),
    "a null byte": (text("images/v0\0.nii.gz,labels/v0.nii.gz"), Refused(3, CSV)),
    "a picture's bytes": (b"\x89PNG\r\n\x1a\n\0\0\xff\xfe", Refused(3, CSV + "cannot be read .*; expected text in UTF-8")),
    "a cell of 200,000 letters": (text("x" * 200_000 + ",labels/v0.nii.gz"), Refused(3, CSV + "cannot be read .*CSV")),
    "an open quote": (text('"images/v0.nii.gz,labels/v0.nii.gz', *ROWS[1:]), Refused(3, CSV)),
    "a bar between cells": (text("a|b", header="image|label"), Refused(3, CSV + "expected a header line with")),
    "a semicolon between cells": ("\n".join(text(*ROWS).replace(",", ";").splitlines()), Same()),
    "Excel's line about its semicolons": ("sep=;\r\n" + text(*ROWS).replace(",", ";"), Same()),
    "a tabulator between cells": (text(*ROWS).replace(",", "\t"), Same()),
    "quotes round every cell": (text(*('"' + row.replace(",", '","') + '"' for row in ROWS)), Same()),
    "a byte order mark and lines of Windows": (
        b"\xef\xbb\xbf" + text(*ROWS).replace("\n", "\r\n").encode(), Same(),
    ),
    "headers in capitals with blanks": (text(*ROWS, header=" Image , LABEL "), Same()),
    "empty lines and surplus cells": (text("", *(f"{row},,x" for row in ROWS), "", ",,"), Same()),
    "a label left empty": (text(*ROWS[:2], "images/v2.nii.gz,"), Works("1 without a label")),
}  # fmt: skip


def _enter(name: str, content: str | bytes, expected: Refused | Same | Works) -> None:
    @bad(f"CSV: {name}", expected)
    def make(bench: Bench) -> Commands:
        data = bench.copy(3)
        table = data / "cases.csv"
        table.write_bytes(content if isinstance(content, bytes) else content.encode())
        return bench.use(table)[: 1 if isinstance(expected, Works) else 2]


for _name, (_content, _expected) in CONTENTS.items():
    _enter(_name, _content, _expected)


@bad("CSV: images to predict, with labels that are not there", Same())
def to_predict(bench: Bench) -> Commands:
    data = bench.copy(3)
    (data / "cases.csv").write_text(text("images/v0.nii.gz,gone.nii.gz"))
    return bench.predict(data / "cases.csv")
