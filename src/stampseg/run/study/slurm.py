"""Cells in a queue of SLURM: arrays of them, and squeue to see which have ended. No accounting is needed."""

from __future__ import annotations

import getpass
import re
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ...core.errors import ConfigError, TrainingError
from ...core.files import write_text
from ...core.json_file import JsonFile
from ...core.options import FileRecord
from ...core.text import counted, some
from .command import LOG
from .plan import CELLS, STUDY_FILE, Study

FOLDER, SCRIPT, EXIT = "slurm", "cell.sh", "exit"
MOST = 1000  # cells of one array; MaxArraySize is 1001 where nobody changed it
ENDED = {
    "COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE",
    "PREEMPTED", "REVOKED",
}  # fmt: skip
_USUAL = {"None", "Priority", "Resources", "BeginTime", "(null)"}  # reasons to wait that pass by themselves
_SHORT, _LONG = 2.0, 30.0  # seconds between two looks at the queue
_TRIES, _PATIENCE = 5, 120.0  # of sbatch; seconds that a command may take

# The shell passes the signals of SLURM on, and leaves the exit code: without accounting nobody else knows it.
_CELL = f"""#!/bin/bash
# One cell of an array: python, folder of the study, file with a name a line.
name=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" "$3")
place="$2/{CELLS}/$name"
mkdir -p "$place"
export OMP_NUM_THREADS=${{OMP_NUM_THREADS:-1}} PYTHONUNBUFFERED=1
"$1" -m stampseg study "$2/{STUDY_FILE}" -o "$2" --cell "$name" </dev/null >>"$place/{LOG}" 2>&1 &
child=$!
trap 'kill -TERM $child 2>/dev/null' TERM USR1
code=1
while true; do
    wait $child
    code=$?
    kill -0 $child 2>/dev/null || break
done
echo $code >"$place/{EXIT}.new" && mv "$place/{EXIT}.new" "$place/{EXIT}"
"""


class Array(FileRecord):
    """A line of slurm/arrays.jsonl: the cells of a job, in the order of its tasks."""

    job: str
    cells: tuple[str, ...]


ARRAYS = JsonFile("arrays.jsonl", Array)


@dataclass(frozen=True)
class _Task:
    state: str
    reason: str


class SlurmEngine:
    """Cells as tasks of job arrays.

    Args:
        study: whose cells.
        partition: that takes them; everything else is said to sbatch by its own variables, SBATCH_TIMELIMIT
            and the like.
        echo: is told why cells wait.
        grace: seconds until a task that is gone from the queue counts as ended, where it left no exit code:
            files of other machines come late.

    Raises:
        ConfigError: there is no SLURM here, or no such partition.
    """

    room = None

    def __init__(self, study: Study, partition: str, echo: Callable[[str], None], grace: float = 60) -> None:
        self.study, self.partition, self.echo, self.grace = study, partition, echo, grace
        self.folder = study.folder.absolute()
        self._tasks: dict[str, str] = {}  # the name of the cell of every task that has not ended
        self._gone: dict[str, float] = {}  # when a task was first not in the queue
        self._pause, self._silent, self._told = _SHORT, 0, set[str]()
        _check(partition)
        write_text(self.folder / FOLDER / SCRIPT, _CELL)

    def begun(self) -> list[str]:
        """Cells of this study that are in the queue already."""
        path = self.folder / FOLDER / ARRAYS.name
        arrays = ARRAYS.read_lines(path.parent) if path.is_file() else []
        if not arrays:
            return []
        queue = self._queue()
        while queue is None:
            self._say_silence()
            time.sleep(_SHORT)
            queue = self._queue()
        for array in arrays:
            for place, name in enumerate(array.cells):
                if (task := f"{array.job}_{place}") in queue:
                    self._tasks[task] = name
        return list(dict.fromkeys(self._tasks.values()))

    def submit(self, names: Sequence[str]) -> None:
        """Take cells.

        Raises:
            TrainingError: sbatch refuses them.
        """
        for start in range(0, len(names), MOST):
            piece = names[start : start + MOST]
            for name in piece:
                (self.folder / CELLS / name / EXIT).unlink(missing_ok=True)
            job = self._sbatch(piece)
            path = self.folder / FOLDER / ARRAYS.name
            with path.open("a", encoding="utf-8") as file:
                file.write(ARRAYS.line(Array(job=job, cells=tuple(piece))) + "\n")
            self._tasks |= {f"{job}_{place}": name for place, name in enumerate(piece)}
        self._pause = _SHORT

    def ended(self) -> list[tuple[str, int | None]]:
        """Cells whose tasks are no longer in the queue."""
        time.sleep(self._pause)
        self._pause = min(self._pause * 1.5, _LONG)
        queue = self._queue()
        if queue is None:
            self._say_silence()
            return []
        self._say_reasons(queue)
        found = []
        for task, name in list(self._tasks.items()):
            if task in queue:
                self._gone.pop(task, None)
            elif (code := self._code(task, name)) is not None:
                found.append((name, None if code < 0 else code))
                del self._tasks[task]
        if found:
            self._pause = _SHORT
        return found

    def stop(self) -> str:
        """The cells stay in the queue."""
        jobs = sorted({task.partition("_")[0] for task in self._tasks})
        if not jobs:
            return "no cell is in the queue"
        return (
            f"left in the queue of SLURM: {counted(len(self._tasks), 'cell')}; scancel {' '.join(jobs)} "
            "takes them out"
        )

    def _code(self, task: str, name: str) -> int | None:
        """The exit code of a task that is gone, -1 where it left none; None: wait a little more."""
        place = self.folder / CELLS / name
        with suppress(OSError, ValueError):
            return int((place / EXIT).read_text(encoding="utf-8"))
        since = self._gone.setdefault(task, time.monotonic())
        done = self.study.done(self.study.cell(name))
        return -1 if done or time.monotonic() - since >= self.grace else None

    def _sbatch(self, names: Sequence[str]) -> str:
        """Submit an array; the number of its job."""
        mark = f"stampseg-{uuid.uuid4().hex[:8]}"
        table = self.folder / FOLDER / f"{mark}.txt"
        write_text(table, "".join(f"{name}\n" for name in names))
        command = [
            "sbatch", "--parsable", f"--partition={self.partition}", f"--array=0-{len(names) - 1}",
            f"--job-name={mark}", "--ntasks=1", "--cpus-per-task=1", "--no-requeue",
            f"--output={self.folder / FOLDER / mark}.log", "--open-mode=append",
            *(["--gres=gpu:1"] if self.study.on_gpu else []),
            str(self.folder / FOLDER / SCRIPT), sys.executable, str(self.folder), str(table),
        ]  # fmt: skip
        said = ""
        for attempt in range(_TRIES):
            answer = _ask(command)
            if answer is not None and answer.returncode == 0:
                return answer.stdout.strip().partition(";")[0]
            said = answer.stderr.strip() if answer is not None else "no answer"
            if answer is not None and not re.search(r"(?i)timed out|unable to contact|temporar", said):
                break
            time.sleep(_SHORT * (attempt + 1))
            if (job := _job_named(mark)) is not None:  # it was taken, and the answer was lost
                return job
        raise TrainingError(
            f"sbatch takes no cells: {' '.join(said.split())[:300]}; options of sbatch are given by its "
            "variables, such as SBATCH_TIMELIMIT or SBATCH_ACCOUNT"
        )

    def _queue(self) -> dict[str, _Task] | None:
        """Tasks of this user that have not ended, by "job_task"; None where squeue does not answer."""
        command = [
            "squeue", "--noheader", "--array", f"--user={getpass.getuser()}", "--states=all",
            "--format=%i|%T|%r",
        ]  # fmt: skip
        answer = _ask(command)
        if answer is None or answer.returncode:
            self._silent += 1
            return None
        self._silent = 0
        lines = [line.strip().split("|", 2) for line in answer.stdout.splitlines() if line.count("|") >= 2]
        return {task: _Task(state, reason) for task, state, reason in lines if state not in ENDED}

    def _say_silence(self) -> None:
        if self._silent == 10:
            self.echo("squeue has not answered ten times in a row; it is asked again until it does")

    def _say_reasons(self, queue: dict[str, _Task]) -> None:
        """Why cells wait, where that may not pass by itself; each reason once."""
        waiting = [
            queue[task].reason for task in self._tasks if task in queue and queue[task].state == "PENDING"
        ]
        for reason in dict.fromkeys(waiting):
            if reason not in _USUAL | self._told:
                self._told.add(reason)
                number = counted(waiting.count(reason), "cell")
                self.echo(
                    f"SLURM lets {number} wait: {reason}; if that does not pass, see its administrators"
                )


def _ask(command: Sequence[str]) -> subprocess.CompletedProcess[str] | None:
    """What a command of SLURM answers; None where it does not."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None


def _job_named(mark: str) -> str | None:
    answer = _ask(["squeue", "--noheader", f"--name={mark}", "--states=all", "--format=%F"])
    jobs = answer.stdout.split() if answer is not None and answer.returncode == 0 else []
    return jobs[0] if jobs else None


def _check(partition: str) -> None:
    missing = [name for name in ("sbatch", "squeue", "sinfo") if shutil.which(name) is None]
    if missing:
        raise ConfigError(
            f"`slurm` {partition!r}: {missing[0]} is not on the PATH; start the study on a machine from "
            "which jobs are submitted, or load SLURM's module"
        )
    answer = _ask(["sinfo", "--noheader", "--format=%R"])
    known = sorted(set(answer.stdout.split())) if answer is not None and answer.returncode == 0 else []
    if known and partition not in known:
        raise ConfigError(f"`slurm` {partition!r}: no such partition; partitions are {some(known, 12)}")
