"""The command line; commands appear in the help in the order in which they are imported here."""

from . import commands as commands
from .commands import main as main

from . import models as models  # isort: skip
from . import study as study  # isort: skip
from . import compare as compare  # isort: skip
