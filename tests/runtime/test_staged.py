"""Files that are put into place together: what a killed process leaves is known for its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stampseg.core.errors import DataError
from stampseg.runtime.staged import Staged

NAMES = ("drafts/a.png", "drafts/b.png", "drafts/c.png", "list.csv")


@pytest.fixture
def staged(tmp_path: Path) -> Staged:
    made = Staged(tmp_path, ".making")
    for name in NAMES:
        (made.place / name).parent.mkdir(parents=True, exist_ok=True)
        (made.place / name).write_text(f"our {name}")
    return made


def there(folder: Path) -> dict[str, str]:
    """Text of every file, by name."""
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }  # fmt: skip


def test_all_is_put_into_place_beside_what_is_there(staged: Staged) -> None:
    (staged.folder / "drafts").mkdir()
    (staged.folder / "drafts" / "z.png").write_text("theirs")
    staged.put_into_place("list.csv")
    assert there(staged.folder) == {name: f"our {name}" for name in NAMES} | {"drafts/z.png": "theirs"}
    assert not staged.place.exists()
    staged.clear()
    assert len(there(staged.folder)) == 5


def test_nothing_is_put_in_place_of_another_file(staged: Staged) -> None:
    (staged.folder / "drafts").mkdir()
    (staged.folder / "drafts" / "b.png").write_text("theirs")
    with pytest.raises(DataError, match=r"b\.png: exists already"):
        staged.put_into_place("list.csv")
    staged.clear()
    assert there(staged.folder) == {"drafts/b.png": "theirs"}


@pytest.mark.parametrize("moved", range(4))
def test_killed_at_any_moment_it_leaves_only_what_can_be_told_for_its_own(
    moved: int, staged: Staged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What somebody has changed in the meantime stays."""
    replace = os.replace

    def killed(place: Path, path: Path) -> None:
        into_place = Path(path).parent != staged.place
        if into_place and sum((staged.folder / name).exists() for name in NAMES) == moved:
            raise KeyboardInterrupt
        replace(place, path)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            staged.put_into_place("list.csv")
    assert not (staged.folder / "list.csv").exists()
    if moved:
        (staged.folder / "drafts" / "a.png").write_text("corrected")
    Staged(staged.folder, ".making").clear()
    assert there(staged.folder) == ({"drafts/a.png": "corrected"} if moved else {})


def test_another_file_of_its_name_stays(tmp_path: Path) -> None:
    (tmp_path / ".making").write_text("theirs")
    with pytest.raises(DataError) as caught:
        Staged(tmp_path, ".making").clear()
    assert str(caught.value) == (
        f"{tmp_path / '.making'}: is not a folder; expected none, or what a stopped process left; "
        "move it away"
    )
    assert there(tmp_path) == {".making": "theirs"}
