"""Who is who, where two sources name the same people."""

from __future__ import annotations

from pathlib import Path

import pytest

from stampseg.data.cases import Case
from stampseg.data.splits.identity import unknown_people


@pytest.mark.parametrize(("named", "known"), [("01", "1"), ("P7", "p7"), ("3.0", "3")])
def test_persons_that_two_tables_write_in_two_ways(named: str, known: str) -> None:
    def case(name: str, group: str) -> Case:
        return Case(name, group, (Path(f"{name}.png"),), Path("m.png"))

    cases = [case("a", known), case("b", "other")]
    said = unknown_people([case("c", named)], cases)
    assert f"called nearly alike (1): {known} and {named}: write each in one way" in said
    assert unknown_people([case("c", "new")], cases) == unknown_people([case("c", known)], cases) == ""
