"""`python -m stampseg.cli`."""

from .commands import main

main()
