"""Reader of OVF 2.0, the vector-field format of OOMMF and mumax3 (rectangular meshes; text, binary 4, binary 8).

Our own, because the library of the format (`ovf` on PyPI) has wheels for neither ARM Linux nor Apple silicon and fills
a caller's buffer from C without bounds, and the other one (`discretisedfield`) brings a whole analysis stack along.

Source: OOMMF User's Guide, "The OVF 2.0 format".
"""

import os
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

# Kind of data -> (little-endian type, the check value that must precede the data)
BINARY = {"binary 4": ("<f4", 1234567.0), "binary 8": ("<f8", 123456789012345.0)}


def read_ovf(path: str | os.PathLike[str]) -> list[NDArray[np.float64]]:
    """Every segment of the file, each (xnodes, ynodes, znodes, valuedim), float64.

    Raises ValueError, naming the path and what is wrong, for a file that is not OVF 2.0, is cut short or is damaged.
    """
    with open(path, "rb") as file:
        content = file.read()
    first = content[:200].split(b"\n", 1)[0].decode("latin-1").strip()
    if first.strip("# ").lower() != "oommf ovf 2.0":
        raise ValueError(f"{path}: only OVF 2.0 is read, whose first line is '# OOMMF OVF 2.0', got {first[:60]!r}")
    try:
        return list(_segments(content))
    except (KeyError, ValueError) as error:
        problem = f"the header lacks {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{path}: damaged OVF file: {problem}") from None


def _segments(content: bytes) -> Iterator[NDArray[np.float64]]:
    header: dict[str, str] = {}
    position = 0
    expected, found = 1, 0
    while position < len(content):
        line, position = _line(content, position)
        # "##" starts a comment, which may also follow a value
        key, _, value = line.removeprefix("#").partition("##")[0].partition(":")
        key, value = key.strip().lower(), value.strip()
        if key == "segment count":
            expected = int(value)
        elif key == "begin" and value.lower() == "header":
            header = {}
        elif key == "begin" and value.lower().startswith("data"):
            data, position = _data(content, position, value.lower().removeprefix("data").strip(), header)
            found += 1
            yield data
        elif value:
            header[key] = value
    if found < max(expected, 1):
        raise ValueError(f"it should hold {max(expected, 1)} segments of data but ends after {found}")


def _line(content: bytes, position: int) -> tuple[str, int]:
    end = content.find(b"\n", position)
    end = len(content) if end < 0 else end
    return content[position:end].decode("latin-1").strip(), end + 1


def _data(content: bytes, start: int, kind: str, header: dict[str, str]) -> tuple[NDArray[np.float64], int]:
    """The data block that starts at byte `start`, and the byte after it."""
    if header["meshtype"].lower() != "rectangular":
        raise ValueError(f"meshtype must be rectangular, got {header['meshtype']!r}")
    nodes = [int(header[f"{axis}nodes"]) for axis in "xyz"]
    components = int(header["valuedim"])
    if min(*nodes, components) < 1:
        raise ValueError(f"nodes and valuedim must be positive, got {nodes} and {components}")
    count = nodes[0] * nodes[1] * nodes[2] * components
    if kind == "text":
        end = content.find(b"#", start)
        end = len(content) if end < 0 else end
        values = np.array(content[start:end].split(), dtype=np.float64)
        if values.size != count:
            raise ValueError(f"the header promises {count} values, the data hold {values.size}")
    elif kind in BINARY:
        dtype, check = BINARY[kind]
        size = np.dtype(dtype).itemsize
        end = start + (count + 1) * size
        if end > len(content):
            raise ValueError(f"the header promises {count} values, the data hold {(len(content) - start) // size - 1}")
        block = np.frombuffer(content, dtype, count + 1, start)
        if block[0] != check:
            raise ValueError(f"the check value of {kind} data must be {check:.0f}, got {float(block[0])!r}")
        values = block[1:].astype(np.float64)
    else:
        raise ValueError(f"data must be text, binary 4 or binary 8, got {kind!r}")
    # x runs fastest in the file
    return values.reshape(nodes[2], nodes[1], nodes[0], components).transpose(2, 1, 0, 3), end
