"""What `llgnegf export` writes, read by what shares no code with it: byte by byte, and by other programs."""

import csv
import struct
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from llgnegf import errors, load_deck, open_run, run
from llgnegf.cli import main
from llgnegf.export import export
from llgnegf.units import metres

CHAIN = {
    "run.duration": 1.0,
    "electrons.gate": [{"columns": [1], "amplitude": 0.3, "frequency": 1.1}],
    "electrons.back_action": 0.0,
    "electrons.tolerance": 1e-3,
}
LATTICE = {
    "lattice": {"shape": [4, 3]},
    "texture": {"kind": "random"},
    "magnet.dmi": 0.2,
    "integrator.step": 0.1,
    "run.duration": 1.0,
    "run.save_every": 0.5,
}


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    path = tmp_path_factory.mktemp("chain") / "wire.h5"
    run(load_deck("wall_in_wire", CHAIN), path).close()
    return path


@pytest.fixture(scope="module")
def lattice(tmp_path_factory):
    path = tmp_path_factory.mktemp("lattice") / "sheet.h5"
    run(load_deck("wall_classical", LATTICE), path).close()
    return path


def by_the_letter(content):
    """Header and values (nodes in the order of the file, valuedim) of OVF 2.0, binary 8."""
    head, mark, data = content.partition(b"# Begin: Data Binary 8\n")
    assert mark
    assert head.startswith(b"# OOMMF OVF 2.0\n")
    header = dict(line[2:].split(": ", 1) for line in head.decode().splitlines() if ": " in line)
    count = int(header["valuedim"]) * int(np.prod([int(header[f"{axis}nodes"]) for axis in "xyz"]))
    numbers = struct.unpack_from(f"<{count + 1}d", data)
    assert numbers[0] == 123456789012345.0
    assert data[8 * (count + 1) :] == b"\n# End: Data Binary 8\n# End: Segment\n"
    return header, np.array(numbers[1:]).reshape(-1, int(header["valuedim"]))


def test_ovf_by_the_letter(lattice, tmp_path):
    with open_run(lattice) as result:
        files = export(result, tmp_path, lattice_constant=5e-10)
        assert [file.name for file in files] == [f"moment{i:06d}.ovf" for i in range(3)]
        header, values = by_the_letter(files[1].read_bytes())
        moment = result.moment[1]
    assert [values[x + 4 * y].tolist() for x in range(4) for y in range(3)] == moment.reshape(-1, 3).tolist()
    assert [header[f"{axis}nodes"] for axis in "xyz"] == ["4", "3", "1"]
    assert (header["meshunit"], float(header["xstepsize"])) == ("m", 5e-10)
    assert [float(header[key]) for key in ("xmin", "xbase", "ymax")] == pytest.approx([-2.5e-10, 0, 1.25e-9])
    # t = 0.5 hbar/eV
    seconds = header["Desc"].removeprefix("Total simulation time:").split()
    assert float(seconds[0]) == pytest.approx(0.5 * 6.582119569e-16)
    assert seconds[1] == "s"


def test_a_deck_begins_with_what_was_exported(lattice, tmp_path):
    with open_run(lattice) as result:
        *_, last = export(result, tmp_path)
        again = {**LATTICE, "texture": {"kind": "file", "path": str(last)}, "run.duration": 0.0}
        with run(load_deck("wall_classical", again), tmp_path / "again.h5") as more:
            np.testing.assert_allclose(more.moment[0], result.moment[-1], rtol=0, atol=5e-16)


@pytest.mark.parametrize("which", ["chain", "lattice"])
def test_discretisedfield_reads_it(which, request, tmp_path):
    discretisedfield = pytest.importorskip("discretisedfield", exc_type=ImportError)
    with open_run(request.getfixturevalue(which)) as result:
        name = "spin_adiabatic" if which == "chain" else "moment"
        path = export(result, tmp_path, variables=[name], frames="-1", lattice_constant=2e-9)[0]
        expected = result[name][-1]
    field = discretisedfield.Field.from_file(path)
    assert field.vdims == ["x", "y", "z"]
    for site in np.ndindex(expected.shape[:-1]):
        place = tuple(2e-9 * np.array([*site, *[0] * (3 - len(site))]))
        assert np.array(field(place)).tolist() == expected[site].tolist()


def test_ovf_of_discretisedfield_is_a_texture(tmp_path):
    discretisedfield = pytest.importorskip("discretisedfield", exc_type=ImportError)
    from textures import from_file

    m = np.random.default_rng(3).normal(size=(4, 3, 1, 3)) * 8e5
    mesh = discretisedfield.Mesh(p1=(0, 0, 0), p2=(4e-9, 3e-9, 1e-9), n=(4, 3, 1))
    for kind, tolerance in (("bin8", 1e-15), ("bin4", 1e-7), ("txt", 1e-15)):
        discretisedfield.Field(mesh, nvdim=3, value=m).to_file(tmp_path / "m.ovf", representation=kind)
        unit = m[:, :, 0] / np.linalg.norm(m[:, :, 0], axis=-1, keepdims=True)
        np.testing.assert_allclose(from_file((4, 3), tmp_path / "m.ovf", normalize=True), unit, rtol=0, atol=tolerance)


def points_of(path):
    """Attributes and arrays (components first, then x, y, z) of a .vti file with raw appended data."""
    content = path.read_bytes()
    head, _, data = content.partition(b'<AppendedData encoding="raw">')
    data = data[data.index(b"_") + 1 :]
    image = ElementTree.fromstring(head + b"</VTKFile>").find("ImageData")
    size = [int(n) + 1 for n in image.get("WholeExtent").split()[1::2]]
    found = {}
    for array in image.iter("DataArray"):
        offset, components = int(array.get("offset")), int(array.get("NumberOfComponents"))
        (length,) = struct.unpack_from("<Q", data, offset)
        values = np.frombuffer(data[offset + 8 : offset + 8 + length], "<f8")
        # The first index runs fastest, the components of a point stand together.
        found[array.get("Name")] = values.reshape(*size[::-1], components).transpose(3, 2, 1, 0)
    return image, found


def test_vtk_by_the_letter(lattice, tmp_path):
    pytest.importorskip("pyevtk")
    with open_run(lattice) as result:
        files = export(result, tmp_path, ("vtk",), lattice_constant=5e-10)
        for i in range(3):
            image, arrays = points_of(files[i])
            assert [float(n) for n in image.get("Spacing").split()] == [0.5] * 3
            assert set(arrays) == {"moment", "velocity"}
            for name, values in arrays.items():
                np.testing.assert_array_equal(values[..., 0].transpose(1, 2, 0), result[name][i])
        sets = ElementTree.parse(files[-1]).getroot().findall("Collection/DataSet")
        assert [(float(each.get("timestep")), each.get("file")) for each in sets] == [
            (t, file.name) for t, file in zip(result.times, files, strict=False)
        ]


def test_vtk_is_read_by_vtk(chain, tmp_path):
    pytest.importorskip("pyevtk")
    xml = pytest.importorskip("vtkmodules.vtkIOXML", exc_type=ImportError)
    support = pytest.importorskip("vtkmodules.util.numpy_support", exc_type=ImportError)
    with open_run(chain) as result:
        files = export(result, tmp_path, ("vtk",), ["torque", "density"], "-1")
        reader = xml.vtkXMLImageDataReader()
        reader.SetFileName(str(files[0]))
        reader.Update()
        points = reader.GetOutput().GetPointData()
        for name in ("torque", "density"):
            values = support.vtk_to_numpy(points.GetArray(name))
            np.testing.assert_array_equal(values.reshape(result[name].shape[1:]), result[name][-1])


def test_time_series_read_back_exactly(chain, tmp_path):
    with open_run(chain) as result:
        (path,) = export(result, tmp_path, ("csv",), frames="::-1")
        with open(path, newline="") as file:
            names, *rows = csv.reader(file)
        table = dict(zip(names, np.array(rows, dtype=float).T, strict=True))
        assert table["time"].tolist() == result.times[::-1].tolist()
        assert table["current_charge_right"].tolist() == result.current_charge[::-1, 1].tolist()
        assert table["current_spin_left_y"].tolist() == result.current_spin[::-1, 0, 1].tolist()
        assert not any(name.startswith("moment") for name in names)
        series = {name for name in result.names if "x" not in result[name].dims}
    assert all(any(name == column or column.startswith(f"{name}_") for column in names) for name in series)


def test_sites_as_a_table(lattice, tmp_path):
    with open_run(lattice) as result:
        (path,) = export(result, tmp_path, ("csv",), ["moment"], "1:")
        table = np.genfromtxt(path, delimiter=",", names=True)
        assert table.dtype.names == ("time", "x", "y", "moment_x", "moment_y", "moment_z")
        assert len(table) == 2 * 4 * 3
        frame = {result.times[1]: 1, result.times[2]: 2}
        for row in table:
            expected = result.moment[frame[row["time"]]][int(row["x"]), int(row["y"])]
            assert [row["moment_x"], row["moment_y"], row["moment_z"]] == expected.tolist()


def test_zarr_by_one_line_of_xarray(lattice, tmp_path):
    pytest.importorskip("zarr")
    xarray = pytest.importorskip("xarray")
    with open_run(lattice) as result:
        result.to_xarray().to_zarr(tmp_path / "sheet.zarr", zarr_format=2)
        with xarray.open_zarr(tmp_path / "sheet.zarr") as back:
            np.testing.assert_array_equal(back["moment"], result.moment[:])


def test_nothing_is_replaced_unasked(lattice, tmp_path, capsys):
    path = tmp_path / "moment000002.ovf"
    path.write_text("mine")
    words = ["export", str(lattice), "-o", str(tmp_path)]
    assert main(words) == 2
    assert "moment000002.ovf: there already: give another folder with -o, or --overwrite" in capsys.readouterr().err
    assert path.read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 1
    assert main([*words, "--overwrite"]) == 0
    assert capsys.readouterr().out.startswith("wrote 3 files in ")
    assert path.read_bytes().startswith(b"# OOMMF OVF 2.0")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"formats": ["ovff"]}, r"--format ovff: must be ovf, vtk, csv"),
        ({"variables": ["momet"]}, r"--variable momet: not in .*; did you mean moment\? it has time, step, moment"),
        ({"variables": ["energy_dmi"]}, r"--variable energy_dmi: not a number or vector on each site, as --format ovf"),
        ({"frames": "3"}, r"--frames 3: there are 3 frames, from 0 to 2"),
        ({"frames": "3:"}, r"--frames 3:: names none of the 3 frames"),
        ({"frames": "a"}, r"--frames a: must be an index such as 0"),
        ({"frames": ""}, r"--frames : must be an index such as 0"),
        ({"frames": "::0"}, r"--frames ::0: must be an index such as 0"),
        ({"lattice_constant": -1.0}, r"lattice_constant must be a length in metres above 0, got -1\.0"),
    ],
)
def test_wrong_wishes(lattice, tmp_path, options, message):
    with open_run(lattice) as result, pytest.raises(errors.DeckError, match=message):
        export(result, tmp_path / "there", **options)
    assert not (tmp_path / "there").exists()


def test_many_files_only_where_frames_are_named(lattice, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["llgnegf.export.export"], "_MANY", 2)
    with open_run(lattice) as result:
        with pytest.raises(errors.DeckError, match=r"3 frames make 3 files: choose some .* --frames ::1, or all"):
            export(result, tmp_path)
        assert len(export(result, tmp_path, frames=":")) == 3


@pytest.mark.parametrize(("text", "length"), [("0.5nm", 5e-10), ("2 Å", 2e-10), ("3e-10m", 3e-10), ("250pm", 2.5e-10)])
def test_lengths(text, length):
    assert metres(text) == pytest.approx(length, rel=1e-15)


@pytest.mark.parametrize("text", ["", "nm", "3", "0nm", "-1nm", "infm", "1e999nm", "nanm", "3 km", "3nm2"])
def test_no_lengths(text):
    with pytest.raises(ValueError, match="must be a length above 0 with its unit"):
        metres(text)
