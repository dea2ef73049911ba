"""What libraries say of files: who is told, of which file, and what stays as it was."""

from __future__ import annotations

import logging
import threading
import warnings
from contextlib import nullcontext
from pathlib import Path

import pytest

from stampseg.core.remarks import LOGGERS, gathered, reading, unheard


def test_the_same_of_several_files_is_one_sentence() -> None:
    with gathered() as remarks:
        for name in ("a", "b", "b", "c"):
            with reading(Path(name)):
                warnings.warn("odd header.", stacklevel=1)
    assert remarks.sentences() == [("a and 2 more files: odd header", [Path("a"), Path("b"), Path("c")])]


@pytest.mark.parametrize("name", LOGGERS)
def test_what_a_reader_logs_is_gathered_and_not_printed(name: str, caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger(name)
    with gathered() as remarks, reading(Path("x.nii")):
        logger.warning("pixdim %d", 3)
        logger.debug("nothing of note")
    logger.warning("as before")
    assert remarks.sentences() == [("x.nii: pixdim 3", [Path("x.nii")])]
    assert [record.getMessage() for record in caplog.records] == ["as before"]
    assert not logger.filters


def test_a_thread_says_which_file_it_reads() -> None:
    def read(name: str) -> None:
        with reading(Path(name)):
            warnings.warn(f"of {name}", stacklevel=1)

    with gathered() as remarks, reading(Path("main")):
        threads = [threading.Thread(target=read, args=(name,)) for name in "ab"]
        for thread in threads:
            thread.start()
            thread.join()
    assert [text for text, _ in remarks.sentences()] == ["a: of a", "b: of b"]


def test_the_inner_one_is_told_and_the_outer_one_again_afterwards() -> None:
    with gathered() as outer, reading(Path("f")):
        with gathered() as inner:
            logging.getLogger("pydicom").warning("first")
        warnings.warn("second", stacklevel=1)
    assert (list(inner.files), list(outer.files)) == (["first"], ["second"])


def test_without_a_file_it_is_kept_apart_and_a_deprecation_is_nobodys() -> None:
    with gathered() as remarks:
        warnings.warn("somewhere", stacklevel=1)
        with reading(Path("f")):
            warnings.warn("old name", FutureWarning, stacklevel=1)
    assert (remarks.others, remarks.files) == (["somewhere"], {})


@pytest.mark.parametrize("someone_gathers", [True, False])
def test_threads_that_are_unheard_change_nothing_for_others(someone_gathers: bool) -> None:
    first, second = threading.Event(), threading.Event()

    def one() -> None:  # comes first and goes first: what it puts back must not undo, or keep, the other's
        with unheard():
            first.set()
            assert second.wait(20)
            warnings.warn("of one", stacklevel=1)

    def other() -> None:
        assert first.wait(20)
        with unheard():
            second.set()
            threads[0].join(20)
            warnings.warn("of the other", stacklevel=1)

    before = list(warnings.filters)
    threads = [threading.Thread(target=work) for work in (one, other)]
    with gathered() if someone_gathers else nullcontext() as remarks:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        if remarks is not None:
            warnings.warn("heard", stacklevel=1)
            assert remarks.others == ["heard"]
    assert list(warnings.filters) == before
