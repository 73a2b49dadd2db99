"""Textures from files: every format there and back, and what is said about a wrong file."""

import struct

import h5py
import numpy as np
import pytest

from textures import from_file, random
from textures.ovf import read_ovf

SHAPES = [(1,), (5,), (4, 3), (1, 3), (3, 1)]

# Written by OOMMF's rules: comments, capitals, x fastest.
OVF_TEXT = """# OOMMF OVF 2.0
# Segment count: 1
# Begin: Segment
# Begin: Header
# Title: two by three, the last site of the first row empty ## a comment
## a line of comment: with a colon
# meshtype: rectangular
# meshunit: m
# xmin: 0
# xnodes: 2
# ynodes: 3
# znodes: 1
# valuedim: 3
# valuelabels: m_x m_y m_z
# valueunits: 1 1 1
# End: Header
# Begin: Data Text
1 0 0
0 0 0
0 1 0
0 -1 0
0 0 1
0 0.6 -0.8
# End: Data Text
# End: Segment
"""


def ovf_header(nodes, valuedim=3, segments=1, meshtype="rectangular"):
    return (
        f"# OOMMF OVF 2.0\n# Segment count: {segments}\n# Begin: Segment\n# Begin: Header\n# meshtype: {meshtype}\n"
        f"# xnodes: {nodes[0]}\n# ynodes: {nodes[1]}\n# znodes: {nodes[2]}\n# valuedim: {valuedim}\n# End: Header\n"
    )


def ovf_bytes(m, kind, header=None):
    """`m` in OVF 2.0, written number by number."""
    nx, ny = m.shape[0], m.shape[1] if m.ndim == 3 else 1
    field = m.reshape(nx, ny, 3)
    values = [field[x, y, c] for y in range(ny) for x in range(nx) for c in range(3)]
    code, check = {"Binary 4": ("<f", 1234567.0), "Binary 8": ("<d", 123456789012345.0), "Text": (None, None)}[kind]
    if code is None:
        data = ("\n".join(repr(float(v)) for v in values) + "\n").encode()
    else:
        data = b"".join(struct.pack(code, v) for v in [check, *values]) + b"\n"
    header = header or ovf_header((nx, ny, 1))
    return f"{header}# Begin: Data {kind}\n".encode() + data + f"# End: Data {kind}\n# End: Segment\n".encode()


def write_run(path, time, moment):
    with h5py.File(path, "w") as run:
        run["time"], run["moment"] = time, moment


@pytest.mark.parametrize("shape", SHAPES)
def test_npy_round_trip_with_a_vacancy(tmp_path, shape):
    m = random(shape, seed=1)
    m[(0,) * len(shape)] = 0.0
    np.save(tmp_path / "m.npy", m)
    np.testing.assert_allclose(from_file(shape, tmp_path / "m.npy"), m, rtol=0, atol=1e-15)
    assert not from_file(shape, str(tmp_path / "m.npy"))[(0,) * len(shape)].any()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("kind", "tolerance"), [("Text", 1e-15), ("Binary 8", 1e-15), ("Binary 4", 1e-7)])
def test_ovf_round_trip(tmp_path, shape, kind, tolerance):
    m = random(shape, seed=2)
    (tmp_path / "m.ovf").write_bytes(ovf_bytes(m, kind))
    back = from_file(shape, tmp_path / "m.ovf")
    np.testing.assert_allclose(back, m, rtol=0, atol=tolerance)
    np.testing.assert_allclose(np.linalg.norm(back, axis=-1), 1.0, rtol=0, atol=1e-15)


@pytest.mark.parametrize("suffix", [".ovf", ".OVF", ".omf"])
def test_ovf_text_by_the_letter(tmp_path, suffix):
    (tmp_path / f"m{suffix}").write_text(OVF_TEXT)
    m = from_file((2, 3), tmp_path / f"m{suffix}")
    expected = [[[1, 0, 0], [0, 1, 0], [0, 0, 1]], [[0, 0, 0], [0, -1, 0], [0, 0.6, -0.8]]]
    np.testing.assert_allclose(m, expected, rtol=0, atol=1e-15)


def test_ovf_segments_are_counted_by_index(tmp_path):
    states = [random((3, 2), seed=s) for s in range(3)]
    header = ovf_header((3, 2, 1), segments=3)
    (tmp_path / "m.ovf").write_bytes(
        ovf_bytes(states[0], "Binary 4", header)
        + ovf_bytes(states[1], "Text", "# x\n")
        + ovf_bytes(states[2], "Binary 8", "#\n")
    )
    for index, expected in [(0, 0), (1, 1), (2, 2), (-1, 2), (-3, 0)]:
        m = from_file((3, 2), tmp_path / "m.ovf", index)
        np.testing.assert_allclose(m, states[expected], rtol=0, atol=1e-7)


@pytest.mark.parametrize("shape", [(5,), (3, 4)])
def test_run_frames_count_only_where_time_is_written(tmp_path, shape):
    states = np.array([random(shape, seed=s) for s in range(4)])
    states[3] = np.nan
    write_run(tmp_path / "run.h5", [0.0, np.nan, 2.0, np.nan], states)
    for index, frame in [(0, 0), (1, 2), (-1, 2), (-2, 0)]:
        np.testing.assert_allclose(from_file(shape, tmp_path / "run.h5", index), states[frame], rtol=0, atol=1e-15)
    with pytest.raises(ValueError, match=r"run\.h5: index 2 is out of range: 2 saved frames, so index is from -2 to 1"):
        from_file(shape, tmp_path / "run.h5", 2)


def test_run_without_a_frame(tmp_path):
    write_run(tmp_path / "run.h5", [np.nan], np.zeros((1, 2, 3)))
    with pytest.raises(ValueError, match="0 saved frames, so index is impossible"):
        from_file((2,), tmp_path / "run.h5")


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"texture file '.*gone\.npy' does not exist \(looked in "):
        from_file((2,), tmp_path / "gone.npy")
    (tmp_path / "folder.npy").mkdir()
    with pytest.raises(FileNotFoundError, match=r"folder\.npy' is a folder"):
        from_file((2,), tmp_path / "folder.npy")


UP = np.array([[0.0, 0, 1], [0, 0, 1]])


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 3)), r"m\.npy: expected moments of shape \(2, 3\), got \(3, 3\); set the lattice's shape"),
        (
            UP * [[1], [np.nan]],
            r"m\.npy: 1 of 2 moments .*site \(1,\): \[nan, nan, nan\] of length nan; such a vector has no direction",
        ),
        (np.array([[0.0, 0, 1], [0, 0, np.inf]]), r"site \(1,\): \[0\.0, 0\.0, inf\] of length inf"),
        (
            UP * [[1], [8e5]],
            r"site \(1,\): \[0\.0, 0\.0, 800000\.0\] of length 800000; set normalize = true \(texture\.normalize\)",
        ),
        (UP * (1 + 2e-6), r"2 of 2 moments are not unit vectors, first at site \(0,\)"),
        (UP * 1e-200, r"2 of 2 moments are not unit vectors"),
        (UP * (1 + 0j), r"moments must be real numbers, got an array of complex128"),
        (np.array([["a"]]), r"moments must be real numbers, got an array of <U1"),
        (np.array([None]), r"m\.npy: cannot be read as a \.npy array"),
    ],
)
def test_wrong_moments(tmp_path, array, message):
    np.save(tmp_path / "m.npy", array, allow_pickle=True)
    with pytest.raises(ValueError, match=message):
        from_file((2,), tmp_path / "m.npy")


def test_nearly_unit_moments_are_renormalised(tmp_path):
    np.save(tmp_path / "m.npy", (UP * (1 - 9e-7)).astype(np.float32))
    np.testing.assert_array_equal(from_file((2,), tmp_path / "m.npy"), UP)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (1, r"index 1 is out of range: 1 array, so index is from -1 to 0"),
        (True, r"index must be an integer, got True"),
        (0.5, r"index must be an integer, got 0\.5"),
    ],
)
def test_wrong_index(tmp_path, index, message):
    np.save(tmp_path / "m.npy", UP)
    with pytest.raises(ValueError, match=message):
        from_file((2,), tmp_path / "m.npy", index)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.txt", b"1", r"path must end in one of \.npy, \.ovf, \.omf, \.h5, got '.*m\.txt'"),
        ("m.npy", b"", r"m\.npy: cannot be read as a \.npy array"),
        ("m.npy", b"no array", r"m\.npy: cannot be read as a \.npy array"),
        ("m.h5", b"no HDF5", r"m\.h5: is not an HDF5 file"),
        ("m.ovf", b"", r"m\.ovf: only OVF 2\.0 and 1\.0 are read, whose first lines are .*, got ''"),
        ("m.ovf", b"# OOMMF: rectangular mesh v1.0\n", r"damaged OVF file: it should hold 1 segments"),
        ("m.ovf", b"# OOMMF: irregular mesh v1.0\n", r"only OVF 2\.0 and 1\.0 .* got '# OOMMF: irregular mesh v1\.0'"),
        ("m.ovf", b"# OOMMF OVF 2.0\n# Segment count: 1\n", r"should hold 1 segments of data but ends after 0"),
        ("m.ovf", OVF_TEXT.replace("# xnodes: 2\n", "").encode(), r"the header lacks 'xnodes'"),
        ("m.ovf", OVF_TEXT.replace("xnodes: 2", "xnodes: two").encode(), r"invalid literal .*'two'"),
        ("m.ovf", OVF_TEXT.replace("xnodes: 2", "xnodes: -2").encode(), r"must be positive, got \[-2, 3, 1\] and 3"),
        ("m.ovf", OVF_TEXT.replace("rectangular", "irregular").encode(), r"meshtype must be rectangular, got 'irreg"),
        ("m.ovf", OVF_TEXT.replace("0 0.6 -0.8\n", "").encode(), r"promises 18 values, the data hold 15"),
        ("m.ovf", OVF_TEXT.replace("Data Text", "Data Binary 16").encode(), r"or binary 8, got 'binary 16'"),
        ("m.ovf", ovf_bytes(UP, "Binary 8")[:-60], r"promises 6 values, the data hold 3"),
        (
            "m.ovf",
            ovf_bytes(UP, "Binary 4").replace(struct.pack("<f", 1234567.0), struct.pack(">f", 1234567.0)),
            r"check value of binary 4 data must be 1234567, got",
        ),
        ("m.ovf", OVF_TEXT.encode(), r"expected moments of shape \(2, 3\), got \(2, 3, 3\)"),
        (
            "m.ovf",
            OVF_TEXT.replace("ynodes: 3", "ynodes: 1").replace("znodes: 1", "znodes: 3").encode(),
            r"expected moments of shape \(2, 3\), got \(2, 3, 3\)",
        ),
    ],
)
def test_wrong_files(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        from_file((2,), tmp_path / name)


def first_version(m, kind, multiplier):
    """`m` (nx, ny, 3) in OVF 1.0, whose numbers are big-endian and still to be multiplied."""
    nx, ny = m.shape[:2]
    header = (
        "# OOMMF: rectangular mesh v1.0\n## of a test\n# Segment count: 1\n# Begin: Segment\n# Begin: Header\n"
        f"# Title: m\n# meshtype: rectangular\n# meshunit: nm\n# xnodes: {nx}\n# ynodes: {ny}\n# znodes: 1\n"
        "# xstepsize: 5\n# ystepsize: 5\n# zstepsize: 5\n# valueunit: A/m\n"
        f"# valuemultiplier: {multiplier!r}\n# ValueRangeMinMag: 0.1\n# End: Header\n"
    )
    values = [m[x, y, c] / multiplier for y in range(ny) for x in range(nx) for c in range(3)]
    code, check = {"Binary 4": (">f", 1234567.0), "Binary 8": (">d", 123456789012345.0), "Text": ("", 0)}[kind]
    data = (
        b"".join(struct.pack(code, v) for v in [check, *values])
        if code
        else " ".join(repr(float(v)) for v in values).encode()
    )
    return f"{header}# Begin: Data {kind}\n".encode() + data + f"\n# End: Data {kind}\n# End: Segment\n".encode()


@pytest.mark.parametrize(("kind", "tolerance"), [("Text", 1e-14), ("Binary 4", 1e-6), ("Binary 8", 1e-14)])
def test_first_version_of_ovf(tmp_path, kind, tolerance):
    m = random((4, 3), seed=7) * np.linspace(0.5, 2.0, 12).reshape(4, 3, 1) * 8e5
    (tmp_path / "m.omf").write_bytes(first_version(m.astype(float), kind, 1257.3))
    (field,) = read_ovf(tmp_path / "m.omf")
    np.testing.assert_allclose(field[:, :, 0], m, rtol=10 * tolerance)
    unit = m / np.linalg.norm(m, axis=-1, keepdims=True)
    np.testing.assert_allclose(from_file((4, 3), tmp_path / "m.omf", normalize=True), unit, rtol=0, atol=tolerance)
    with pytest.raises(ValueError, match="12 of 12 moments are not unit vectors"):
        from_file((4, 3), tmp_path / "m.omf")


def test_byte_order_belongs_to_the_version(tmp_path):
    content = first_version(random((2, 2), seed=1), "Binary 8", 1.0).replace(b"valueunit: A/m", b"valuedim: 3")
    (tmp_path / "m.ovf").write_bytes(content.replace(b"OOMMF: rectangular mesh v1.0", b"OOMMF OVF 2.0"))
    with pytest.raises(ValueError, match="the check value of binary 8 data must be 123456789012345"):
        read_ovf(tmp_path / "m.ovf")


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        ([3.0, 0.0, np.nan], r"1 of 3 moments are neither zero nor finite .* site \(2,\)"),
        ([8e5, 0.0, 1e-3], r"1 of 3 moments are neither .* 1e-06 times as long as the longest, first at site \(2,\)"),
        ([8e5, 0.0, np.inf], r"moments are neither zero nor finite"),
    ],
)
def test_what_has_no_direction_is_not_normalized(tmp_path, factors, message):
    np.save(tmp_path / "m.npy", [[0.0, 0.0, factor] for factor in factors])
    with pytest.raises(ValueError, match=message):
        from_file((3,), tmp_path / "m.npy", normalize=True)


def test_normalized_moments_of_a_deck(tmp_path):
    np.save(tmp_path / "m.npy", [[3.0, 4.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, -1e-3]])
    m = from_file((3,), tmp_path / "m.npy", normalize=True)
    np.testing.assert_allclose(m, [[0.6, 0.8, 0.0], [0, 0, 0], [0, 0, -1]], rtol=0, atol=1e-16)


def test_letters_among_the_numbers_of_an_ovf_file(tmp_path):
    (tmp_path / "m.ovf").write_text(OVF_TEXT.replace("0.6", "a"))
    with pytest.raises(ValueError, match=r"m\.ovf: damaged OVF file: could not convert"):
        from_file((2, 3), tmp_path / "m.ovf")


@pytest.mark.parametrize("missing", ["time", "moment"])
def test_hdf5_that_is_no_run(tmp_path, missing):
    write_run(tmp_path / "m.h5", [0.0], UP[None])
    with h5py.File(tmp_path / "m.h5", "a") as run:
        del run[missing]
    with pytest.raises(ValueError, match=rf"m\.h5: holds no dataset '{missing}'; is it the file of a run\?"):
        from_file((2,), tmp_path / "m.h5")


def test_hdf5_cut_short(tmp_path):
    write_run(tmp_path / "whole.h5", [0.0], UP[None])
    (tmp_path / "m.h5").write_bytes((tmp_path / "whole.h5").read_bytes()[:-100])
    with pytest.raises(OSError, match=r"m\.h5: cannot be opened: damaged, or a run is writing it \("):
        from_file((2,), tmp_path / "m.h5")


def test_read_ovf_of_several_layers_and_components(tmp_path):
    values = " ".join(str(n) for n in range(2 * 3 * 2 * 1))
    text = f"{ovf_header((2, 3, 2), valuedim=1)}# Begin: Data Text\n{values}\n# End: Data Text\n"
    (tmp_path / "s.ovf").write_text(text)
    (field,) = read_ovf(tmp_path / "s.ovf")
    assert field.shape == (2, 3, 2, 1)
    assert [field[1, 0, 0, 0], field[0, 1, 0, 0], field[0, 0, 1, 0]] == [1, 2, 6]
