"""The family of errors a user can meet. Each carries the exit code of the command line.

A message says which file or option, what was found, what was expected and what to do. It calls options and
functions by their names in the library, in backquotes (`train.validation`, `overwrite`): the command line
puts its flags and commands there (`cli/flags.py`), so no message outside `cli` names a flag.
"""


def one_line(text: str) -> str:
    """Text that a terminal shows as one line, whatever a file's name or content put into it."""
    shown = (char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return "".join(shown)


class StampsegError(Exception):
    """Any error that stampseg raises on purpose; shown without a traceback, in one line."""

    exit_code = 4

    def __str__(self) -> str:
        return one_line(super().__str__())


class ConfigError(StampsegError):
    """An option or a configuration file that cannot be used."""

    exit_code = 2


class MissingPackageError(ConfigError):
    """A package that is not installed, and is needed for what was asked."""


class DataError(StampsegError):
    """A data file or folder that is missing, broken or contradicts another."""

    exit_code = 3


class ModelFileError(StampsegError):
    """A model file that is missing, broken or written by something else."""

    exit_code = 3


class WiringError(StampsegError):
    """A network, or a request to cut it, that the channel engine refuses."""

    exit_code = 4


class TrainingError(StampsegError):
    """Training that cannot continue, as when the loss is not a number."""

    exit_code = 4


class StoppedError(BaseException):
    """Work that a signal has ended, and that can go on.

    As KeyboardInterrupt it is no `Exception`: it comes anywhere, and nobody who expects errors of a file or a
    network may take it for one.
    """

    exit_code = 143  # of a process that SIGTERM has ended


class ExportError(StampsegError):
    """A network that cannot be exported, or an exported file that does not do what the network does."""

    exit_code = 4
