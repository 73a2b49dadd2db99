"""OVF, the vector-field format of OOMMF and mumax3: a reader of OVF 1.0 and 2.0, a writer of OVF 2.0.

Rectangular meshes; text, binary 4, binary 8.  Our own, because the library of the format (`ovf` on PyPI) has wheels for
neither ARM Linux nor Apple silicon and fills a caller's buffer from C without bounds, and the other one
(`discretisedfield`) brings a whole analysis stack along.

Source: OOMMF User's Guide, "The OVF 2.0 format" and "The OVF 1.0 format", whose numbers are big-endian, always three
to a node, and to be multiplied by `valuemultiplier`.
"""

import mmap
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Kind of data -> (type, the check value that must precede the data)
BINARY = {"binary 4": ("f4", 1234567.0), "binary 8": ("f8", 123456789012345.0)}
_BYTE_ORDERS = {"oommf ovf 2.0": "<", "oommf: rectangular mesh v1.0": ">"}  # by the first line of the file
_LONGEST_HEADER = 1 << 22  # bytes of all headers together
_LONGEST_NUMBER = 64  # characters of a number in text, the space beside it included


def read_ovf(path: str | os.PathLike[str]) -> list[NDArray[np.float64]]:
    """Every segment of the file, each (xnodes, ynodes, znodes, valuedim), float64.

    Raises ValueError, naming the path and what is wrong, for a file that is not OVF 1.0 or 2.0 with a rectangular mesh,
    is cut short or is damaged.
    """
    with segments(path) as found:
        return [segment.values() for segment in found]


@dataclass(frozen=True)
class Segment:
    """A segment of an open file, whose numbers are not read yet.

    shape: (xnodes, ynodes, znodes, valuedim).  byte_order: "<" or ">".  multiplier: of every number.
    """

    path: str | os.PathLike[str]
    content: mmap.mmap | bytes
    shape: tuple[int, int, int, int]
    kind: str
    start: int
    end: int
    byte_order: str
    multiplier: float

    def values(self) -> NDArray[np.float64]:
        """Its numbers, of its shape.  Raises ValueError as `read_ovf` does."""
        nx, ny, nz, components = self.shape
        count = nx * ny * nz * components
        if self.kind == "text":
            try:
                values = np.array(self.content[self.start : self.end].split(), dtype=np.float64)
            except ValueError as error:
                raise _damaged(self.path, error) from None
            if values.size != count:
                raise _damaged(self.path, f"the header promises {count} values, the data hold {values.size}")
        else:
            dtype = self.byte_order + BINARY[self.kind][0]
            values = np.frombuffer(self.content, dtype, count + 1, self.start)[1:].astype(np.float64)
        values *= self.multiplier
        # x runs fastest in the file
        return values.reshape(nz, ny, nx, components).transpose(2, 1, 0, 3)


def _count(content: mmap.mmap, start: int, room: int) -> str:
    """How many values of text there are, at least."""
    held = len(content[start : start + min(room, _LONGEST_HEADER)].partition(b"#")[0].split())
    return f"{held}" if room <= _LONGEST_HEADER else f"{held} or more"


@contextmanager
def segments(path: str | os.PathLike[str]) -> Iterator[list[Segment]]:
    """The segments of the file while it is open; only headers are read.  Raises ValueError as `read_ovf` does."""
    with open(path, "rb") as file:
        first = file.read(200).split(b"\n", 1)[0].decode("latin-1").strip()
        byte_order = _BYTE_ORDERS.get(" ".join(first.strip("# ").lower().split()))
        if byte_order is None:
            raise ValueError(
                f"{path}: only OVF 2.0 and 1.0 are read, whose first lines are '# OOMMF OVF 2.0' and "
                f"'# OOMMF: rectangular mesh v1.0', got {first[:60]!r}"
            )
        # Not read into memory: a file may be larger than that.
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            try:
                found = list(_segments(path, content, byte_order))
            except (KeyError, ValueError) as error:
                problem = f"the header lacks {error}" if isinstance(error, KeyError) else str(error)
                raise _damaged(path, problem) from None
            yield found


def _damaged(path: str | os.PathLike[str], problem: object) -> ValueError:
    return ValueError(f"{path}: damaged OVF file: {problem}")


def _segments(path: str | os.PathLike[str], content: mmap.mmap, byte_order: str) -> Iterator[Segment]:
    header: dict[str, str] = {}
    position, of_data = 0, 0
    expected, found = 1, 0
    while position < len(content):
        line, position = _line(content, position)
        if position - of_data > _LONGEST_HEADER:
            raise ValueError(f"its headers are longer than {_LONGEST_HEADER} bytes")
        # "##" starts a comment, which may also follow a value
        key, _, value = line.removeprefix("#").partition("##")[0].partition(":")
        key, value = key.strip().lower(), value.strip()
        if key == "segment count":
            expected = int(value)
        elif key == "begin" and value.lower() == "header":
            header = {}
        elif key == "begin" and value.lower().startswith("data"):
            segment = _segment(path, content, position, value.lower().removeprefix("data").strip(), header, byte_order)
            of_data += segment.end - position
            position = segment.end
            found += 1
            yield segment
        elif value:
            header[key] = value
    if found < max(expected, 1):
        raise ValueError(f"it should hold {max(expected, 1)} segments of data but ends after {found}")


def _line(content: mmap.mmap, position: int) -> tuple[str, int]:
    end = content.find(b"\n", position, position + _LONGEST_HEADER)
    end = min(len(content), position + _LONGEST_HEADER) if end < 0 else end
    return content[position:end].decode("latin-1").strip(), end + 1


def _segment(
    path: str | os.PathLike[str], content: mmap.mmap, start: int, kind: str, header: dict[str, str], byte_order: str
) -> Segment:
    """The block of data that starts at byte `start`, as far as its header and its length tell."""
    if header["meshtype"].lower() != "rectangular":
        raise ValueError(f"meshtype must be rectangular, got {header['meshtype']!r}")
    nx, ny, nz = (int(header[f"{axis}nodes"]) for axis in "xyz")
    first_version = byte_order == ">"
    components = 3 if first_version else int(header["valuedim"])
    multiplier = float(header.get("valuemultiplier", 1.0)) if first_version else 1.0
    if min(nx, ny, nz, components) < 1:
        raise ValueError(f"nodes and valuedim must be positive, got {[nx, ny, nz]} and {components}")
    count = nx * ny * nz * components
    if kind == "text":
        room = len(content) - start
        most = min(room, _LONGEST_NUMBER * (count + 1)) if 2 * count - 1 <= room else 0
        end = content.find(b"#", start, start + most)
        if end < 0 and 0 < most < room:
            raise ValueError(f"the header promises {count} values, the data are longer than {most} bytes")
        end = start + most if end < 0 else end
        if end - start < 2 * count - 1:
            raise ValueError(f"the header promises {count} values, the data hold {_count(content, start, room)}")
    elif kind in BINARY:
        dtype, check = byte_order + BINARY[kind][0], BINARY[kind][1]
        size = np.dtype(dtype).itemsize
        end = start + (count + 1) * size
        if end > len(content):
            raise ValueError(f"the header promises {count} values, the data hold {(len(content) - start) // size - 1}")
        found = float(np.frombuffer(content[start : start + size], dtype)[0])
        if found != check:
            raise ValueError(f"the check value of {kind} data must be {check:.0f}, got {found!r}")
    else:
        raise ValueError(f"data must be text, binary 4 or binary 8, got {kind!r}")
    return Segment(path, content, (nx, ny, nz, components), kind, start, end, byte_order, multiplier)


def ovf_bytes(
    values: NDArray[np.float64],
    *,
    title: str,
    labels: Sequence[str],
    unit: str = "1",
    spacing: float = 1.0,
    length_unit: str = "m",
    about: Sequence[str] = (),
) -> bytes:
    """A field on a rectangular mesh as an OVF 2.0 file of one segment, binary 8.

    values: (xnodes, ynodes, znodes, valuedim).  title, about: free text, `about` a line of `Desc` each.  labels: a name
    for each component.  unit: of the values.  spacing: distance of neighbouring nodes in `length_unit`.  The first node
    lies at the origin, so the cells begin at -spacing/2.
    """
    nodes, components = values.shape[:3], values.shape[3]
    low = -spacing / 2
    header = [
        "OOMMF OVF 2.0",
        "Segment count: 1",
        "Begin: Segment",
        "Begin: Header",
        f"Title: {_one_line(title)}",
        *(f"Desc: {_one_line(line)}" for line in about),
        f"meshunit: {length_unit}",
        "meshtype: rectangular",
        *(f"{axis}base: 0.0" for axis in "xyz"),
        *(f"{axis}nodes: {n}" for axis, n in zip("xyz", nodes, strict=True)),
        *(f"{axis}stepsize: {spacing!r}" for axis in "xyz"),
        *(f"{axis}min: {low!r}" for axis in "xyz"),
        *(f"{axis}max: {low + n * spacing!r}" for axis, n in zip("xyz", nodes, strict=True)),
        f"valuedim: {components}",
        f"valuelabels: {' '.join(labels)}",
        f"valueunits: {' '.join([unit] * components)}",
        "End: Header",
        "Begin: Data Binary 8",
    ]
    order, check = "<" + BINARY["binary 8"][0], BINARY["binary 8"][1]
    data = np.ascontiguousarray(values.transpose(2, 1, 0, 3), dtype=order)  # x runs fastest
    head = "".join(f"# {line}\n" for line in header).encode()
    return head + np.array(check, order).tobytes() + data.tobytes() + b"\n# End: Data Binary 8\n# End: Segment\n"


def _one_line(text: str) -> str:
    return " ".join(text.split())
