"""Textures in files that are not what they declare: refused with their name, in bounded memory, nothing else is read.

All of them are read in a process of its own, whose largest memory is asked for at the end, and which is ended where it
waits for a pipe.
"""

import json
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import numpy as np
import pytest

from llgnegf.deck import parse_deck
from llgnegf.errors import RunWarning
from llgnegf.parts.moments import initial_moments

ROOT = Path(__file__).parents[2]

PROGRAM = """
    import json, os, resource, struct, sys, zipfile
    import h5py
    import numpy as np
    from textures import from_file

    os.chdir(sys.argv[1])
    UP = np.array([[0.0, 0, 1], [0, 0, 1]])

    def npy(name, header, data=b"", version=(1, 0)):
        text = header.encode().ljust(len(header) + 64 - (len(header) + 11) % 64) + b"\\n"
        with open(f"{name}.npy", "wb") as file:
            file.write(b"\\x93NUMPY" + bytes(version) + struct.pack("<H", len(text)) + text + data)

    def described(shape, descr="'<f8'"):
        return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}"

    npy("huge", described("(1000000000000, 3)"))
    npy("beyond_all_integers", described("(" + "9" * 40 + ", 3)"))
    npy("negative", described("(-2, 3)"), UP.tobytes())
    npy("no_shape", described("None"), UP.tobytes())
    npy("shape_of_numbers", described("(2.0, 3.0)"), UP.tobytes())
    npy("brackets", "(" * 9000)
    npy("code", described("__import__('os').system('touch executed')"))
    npy("objects", described("(2, 3)", "'|O'"), b"cos\\nsystem\\n(S'touch executed'\\ntR.")
    npy("fields", described("(2, 3)", "[('a', '<f8')]"), UP.tobytes())
    npy("tables", described("(2,)", "('<f8', (3,))"), UP.tobytes())
    npy("dates", described("(2, 3)", "'<M8[s]'"), UP.tobytes())
    npy("truths", described("(2, 3)", "'|b1'"), bytes(6))
    npy("version", described("(2, 3)"), UP.tobytes(), (9, 9))
    npy("cut", described("(2, 3)"), UP.tobytes()[:-1])
    npy("nothing", described("(0, 3)"))
    np.savez("archive.npz", UP)
    os.rename("archive.npz", "archive.npy")
    npy("sparse", described("(40000000000, 3)"))
    os.truncate("sparse.npy", 960_000_000_128)

    def ovf(name, text, size=None):
        with open(f"{name}.ovf", "wb") as file:
            file.write(text.encode("latin-1"))
        if size is not None:
            os.truncate(f"{name}.ovf", size)

    def header(x, y=1, z=1, dim=3, kind="Text"):
        return (
            "# OOMMF OVF 2.0\\n# Segment count: 1\\n# Begin: Header\\n# meshtype: rectangular\\n"
            f"# xnodes: {x}\\n# ynodes: {y}\\n# znodes: {z}\\n# valuedim: {dim}\\n# End: Header\\n"
            f"# Begin: Data {kind}\\n"
        )

    ovf("huge_text", header(10**18) + "0 0 1\\n")
    ovf("huge_binary", header(10**18, kind="Binary 8") + "\\0" * 100)
    ovf("digits", header("9" * 5000) + "0 0 1\\n")
    check = struct.pack("<f", 1234567.0).decode("latin-1")
    ovf("sparse_binary", header(10**10, kind="Binary 4") + check, 120_000_001_000)
    ovf("sparse_text", header(2) + "0 0 1\\n0 0 1\\n", 1_000_000_000)
    ovf("sparse_header", "# OOMMF OVF 2.0\\n", 1_000_000_000)
    ovf("empty_lines", "# OOMMF OVF 2.0\\n" + "\\n" * 100_000_000)
    ovf("segments", header(2).replace("count: 1", "count: 1000000000") + "0 0 1 0 0 1\\n")
    ovf("many_numbers", header(2) + "0 0 1 " * 10_000_000)

    def hdf5(name, make):
        with h5py.File(f"{name}.h5", "w") as file:
            file["time"], file["moment"] = [0.0], UP[None]
            make(file)

    def instead(name, *arguments, **options):
        def make(file):
            del file[name]
            file.create_dataset(name, *arguments, **options)
        return make

    def linked(name, link):
        def make(file):
            del file[name]
            file[name] = link
        return make

    for name in ("time", "moment"):
        shape = {"time": (1,), "moment": (1, 2, 3)}[name]
        size = 8 * int(np.prod(shape))
        hdf5(f"{name}_texts", instead(name, data=np.full(shape, b"1.0")))
        hdf5(f"{name}_long_texts", instead(name, data=np.full(shape, "1.0", object), dtype=h5py.string_dtype()))
        hdf5(f"{name}_complex", instead(name, data=np.ones(shape) + 0j))
        hdf5(f"{name}_fields", instead(name, shape, np.dtype([("a", "<f8")])))
        hdf5(f"{name}_number", instead(name, data=1.0))
        hdf5(f"{name}_empty", instead(name, data=h5py.Empty("f8")))
        hdf5(f"{name}_flat", instead(name, data=np.ones((1, *shape, 1))))
        hdf5(f"{name}_huge", instead(name, (10**12, *shape[1:]), "<f8", chunks=(1, *shape[1:])))
        large = {"compression": "gzip", "chunks": (2**24, *shape[1:])}
        hdf5(f"{name}_huge_chunks", instead(name, (2**28, *shape[1:]), "<f8", **large))
        hdf5(f"{name}_group", lambda file, name=name: (file.pop(name), file.create_group(name)))
        hdf5(f"{name}_type", linked(name, np.dtype("<f8")))
        hdf5(f"{name}_itself", linked(name, h5py.SoftLink(f"/{name}")))
        hdf5(f"{name}_elsewhere", linked(name, h5py.ExternalLink("pipe.h5", name)))
        hdf5(f"{name}_device", instead(name, shape, "<f8", external=[("/dev/zero", 0, size)]))
        hdf5(f"{name}_pipe", instead(name, shape, "<f8", external=[("pipe.h5", 0, size)]))
        layout = h5py.VirtualLayout(shape, "<f8")
        layout[...] = h5py.VirtualSource("pipe.h5", "a", shape=shape)
        hdf5(f"{name}_virtual", lambda file, name=name: (file.pop(name), file.create_virtual_dataset(name, layout)))
    hdf5("packed", instead("moment", (2**20, 2, 3), "<f8", compression="gzip", chunks=(2**20, 2, 3)))
    with h5py.File("packed.h5", "r+") as file:
        del file["time"]
        file["time"] = np.zeros(2**20)
        file["moment"][...] = 0.0
    hdf5("run", lambda file: file.attrs.update({"format": "llgnegf run", "deck": "", "format_version": 1}))
    for suffix in ("npy", "ovf", "h5"):
        os.mkfifo(f"pipe.{suffix}")
        os.symlink("/dev/zero", f"device.{suffix}")
        os.symlink(f"loop.{suffix}", f"loop.{suffix}")
        os.symlink(f"pipe.{suffix}", f"to_pipe.{suffix}")
        os.mkdir(f"folder.{suffix}")
    np.save("good.npy", UP)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    told = {}
    for name in sorted(os.listdir(".")):
        try:
            from_file((2,), name)
            told[name] = "read"
        except (ValueError, OSError) as error:
            told[name] = f"{type(error).__name__}: {error}"
    print(json.dumps({"told": told, "MB": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024}))
"""


def test_hostile_files(tmp_path):
    words = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(tmp_path)]
    done = subprocess.run(words, cwd=ROOT, check=False, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    told = found["told"]
    assert len(told) > 70
    # Of those that are read, one has an unusual but sound description, one a chunk of 50 MB that is stored in 50 kB.
    good = {name for name, text in told.items() if text == "read"}
    assert good == {"good.npy", "packed.h5", "tables.npy"}
    for name, text in told.items():
        assert name in good or name in text, (name, text)
        assert len(text) < 500, name
    assert not (tmp_path / "executed").exists()
    # All of them together; a single frame of the largest of them would be a gigabyte.
    assert found["MB"] < 300, found["MB"]
    for name in ("pipe.h5", "device.npy", "to_pipe.ovf"):
        assert "is a device, a pipe or a socket" in told[name]
    for name in ("time_elsewhere.h5", "moment_itself.h5"):
        assert "links are not followed" in told[name]
    for name in ("time_device.h5", "moment_pipe.h5", "moment_virtual.h5"):
        assert "lie in other files, which are not opened" in told[name]
    for name in ("time_huge.h5", "moment_huge.h5", "moment_huge_chunks.h5"):
        assert "declares" in told[name]
    assert "(40000000000, 3)" in told["sparse.npy"]
    assert "(10000000000, 1, 1, 3)" in told["sparse_binary.ovf"] or "(10000000000, 3)" in told["sparse_binary.ovf"]


@pytest.mark.parametrize("zeros", [1, 2, 3])
def test_zeros_in_a_file_are_told(tmp_path, zeros):
    m = np.array([[0.0, 0, 1]] * 3)
    m[:zeros] = 0.0
    np.save(tmp_path / "m.npy", m)
    deck = parse_deck(
        'lattice.shape = [3]\ntexture = {kind = "file", path = "m.npy"}\nintegrator.step = 0.1\nrun.duration = 1.0\n',
        folder=tmp_path,
    )
    with pytest.warns(
        RunWarning, match=rf'texture.path = "m.npy": {zeros} of 3 moments are zero, first at site \(0,\)'
    ):
        np.testing.assert_array_equal(initial_moments(deck), m)


def test_a_file_without_zeros_tells_nothing(tmp_path):
    np.save(tmp_path / "m.npy", [[0.0, 0, 1]] * 3)
    deck = parse_deck(
        'lattice.shape = [3]\ntexture = {kind = "file", path = "m.npy"}\nintegrator.step = 0.1\nrun.duration = 1.0\n',
        folder=tmp_path,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        initial_moments(deck)
