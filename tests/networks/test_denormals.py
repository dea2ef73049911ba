"""Denormals are flushed while a network runs, in every thread, and nowhere else."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import torch
torch.set_num_threads(2)
from stampseg.networks.denormals import flushing_denormals, start_flushing_workers
tiny = 1e-39
start_flushing_workers()
assert float(torch.tensor(tiny) * 1) > 0, "outside, this thread keeps denormals"
x = torch.full((1 << 20,), tiny)
with flushing_denormals():
    assert float((x * 1).count_nonzero()) == 0, "inside, all threads flush them"
assert float(torch.tensor(tiny) * 1) > 0
"""

NESTED = """
import torch
from stampseg.networks.denormals import flushing_denormals
def flushed():
    return not float(torch.tensor(1e-39) * 1) > 0
with flushing_denormals():
    try:
        with flushing_denormals():
            assert flushed()
            raise KeyError
    except KeyError:
        pass
    assert flushed(), "the inner use ends nothing that it did not begin"
assert not flushed()
torch.set_flush_denormal(True)
with flushing_denormals():
    pass
assert flushed(), "nor does it end the user's own setting"
"""


def test_all_threads_flush_only_while_asked() -> None:
    subprocess.run([sys.executable, "-c", CODE], check=True)  # a process whose threads have not started


def test_the_setting_is_left_as_it_was_found() -> None:
    subprocess.run([sys.executable, "-c", NESTED], check=True)
