"""Denormals are flushed while a network runs, in every thread, and nowhere else."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import torch
torch.set_num_threads(2)
from stampseg.denormals import flushing_denormals, start_flushing_workers
tiny = 1e-39
start_flushing_workers()
assert float(torch.tensor(tiny) * 1) > 0, "outside, this thread keeps denormals"
x = torch.full((1 << 20,), tiny)
with flushing_denormals():
    assert float((x * 1).count_nonzero()) == 0, "inside, all threads flush them"
assert float(torch.tensor(tiny) * 1) > 0
"""


def test_all_threads_flush_only_while_asked() -> None:
    subprocess.run([sys.executable, "-c", CODE], check=True)  # a process whose threads have not started
