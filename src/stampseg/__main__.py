"""`python -m stampseg`: the command line where the `stampseg` script is not on the path."""

from __future__ import annotations

from .cli.commands import main

if __name__ == "__main__":
    main()
