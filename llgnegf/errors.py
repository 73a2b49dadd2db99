"""Errors that a user meets, each tied to the exit code of the command that raised it."""


class LLGNEGFError(Exception):
    """Base of every error with a message meant for the user; `exit_code` is what the command returns."""

    exit_code = 1


class RunError(LLGNEGFError):
    """A run went wrong: the message names what, where and what to change."""

    exit_code = 1


class DeckError(LLGNEGFError):
    """A wrong deck or argument.  `problems` holds one line per mistake."""

    exit_code = 2

    def __init__(self, problems: list[str] | str):
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


class FileError(LLGNEGFError):
    """Disk or file trouble."""

    exit_code = 74


class StoppedEarly(LLGNEGFError):
    """The run stopped at a checkpoint and can be resumed."""

    exit_code = 75


def missing_package(what: str, error: ImportError, extra: str) -> LLGNEGFError:
    """The error that tells which extra installs the package that `what` did not find."""
    return LLGNEGFError(f'{what} needs the package {error.name}: pip install "llgnegf[{extra}]" installs it')


class RunWarning(UserWarning):
    """Something about a run that its user should know but that does not stop it; the command prints it as a line."""
