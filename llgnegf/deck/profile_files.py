"""Profiles whose numbers are in a file: read once, when the deck is read, which then holds the numbers."""

from __future__ import annotations

from pathlib import Path

from llgnegf.deck.drive_conflicts import given_profiles
from llgnegf.deck.messages import show
from llgnegf.deck.profiles import File
from llgnegf.deck.rules import NUMBER
from llgnegf.deck.tables import Root
from llgnegf.errors import DeckError
from llgnegf.regular_files import refuse_no_file

# They travel in the deck of the run file, where every number takes some twenty bytes.
MOST_ROWS = 10_000
_MOST_BYTES = 2**22


def profiles_read(tables: Root, folder: Path) -> dict[str, object]:
    """{dotted key: profile with the numbers in place of the path of their file}; relative paths count from `folder`.

    DeckError for all files that do not fit.
    """
    read: dict[str, object] = {}
    problems = []
    for key, profile in given_profiles(tables):
        if not isinstance(profile, File) or profile.path is None:
            continue
        try:
            times, values = read_columns(folder / Path(profile.path).expanduser())
        except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: ~ of an unknown user
            told = (error.strerror if isinstance(error, OSError) else None) or str(error)
            problems.append(f"{key}.path = {show(profile.path)}: {told}")
            continue
        read[key] = {"kind": "file", "times": times, "values": values}
    if problems:
        raise DeckError(problems)
    return read


def read_columns(path: Path) -> tuple[list[float], list[float]]:
    """Times and values of a text file of two columns, parted by blanks or a comma; # begins a comment.

    Raises OSError where there is no such file or it cannot be read, ValueError for what is no table of two or more
    rows with increasing times.
    """
    refuse_no_file(path, path, "profile file")
    with open(path, "rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise ValueError(f"is larger than {_MOST_BYTES >> 20} MB; allowed: up to {MOST_ROWS} rows of two numbers")
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"is not text (byte {error.start}); allowed: two columns of numbers, time and value") from None
    times: list[float] = []
    values: list[float] = []
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].replace(",", " ").split()
        if not words:
            continue
        try:
            time, value = (NUMBER.parse(float(word)) for word in words)
        except ValueError:
            shown = line if len(line) <= 40 else line[:37] + "..."
            raise ValueError(f"line {number}, {shown!r}: allowed are two finite numbers, time and value") from None
        if times and not time > times[-1]:
            raise ValueError(f"line {number}: time {time:g} does not come after {times[-1]:g}; sort the rows by time")
        times.append(time)
        values.append(value)
        if len(times) > MOST_ROWS:
            raise ValueError(f"has more than {MOST_ROWS} rows; allowed: up to {MOST_ROWS}, a spline goes between them")
    if len(times) < 2:
        raise ValueError(f"has {len(times)} rows; allowed: two or more, time and value in each")
    return times, values
