"""When the teacher begins to teach."""

import pytest

from stampseg.core.config import parse_config
from stampseg.core.errors import ConfigError
from stampseg.core.teacher_options import TeacherOptions


@pytest.mark.parametrize(
    ("steps", "ramp"),
    [(800, (0.1, 0.4)), (500, (0.1, 0.4)), (400, (0.3, 0.6)), (300, (0.5, 0.8)), (12, (0.5, 0.8))],
)
def test_it_begins_later_in_short_runs(steps: int, ramp: tuple[float, float]) -> None:
    assert TeacherOptions().ramp_of(steps) == ramp


def test_what_is_said_holds() -> None:
    assert TeacherOptions(start=0.2).ramp_of(100) == (0.2, 0.4)
    assert TeacherOptions(full=0.9).ramp_of(100) == (0.1, 0.9)
    with pytest.raises(ConfigError, match="start must lie below full; they are 0.5 and 0.4"):
        parse_config({"teacher": {"start": 0.5}}, "test")
