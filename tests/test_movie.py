"""Pictures of single variables, and movies of them, as a reader of the files sees them."""

import re
import sys

import numpy as np
import pytest
from matplotlib.image import imread
from PIL import Image

from llgnegf import errors, load_deck, movie, open_run, plots, run
from llgnegf.cli import main
from llgnegf.plots import variable

SQUARE = {
    "lattice": {"shape": [6, 4]},
    "texture": {"kind": "random"},
    "magnet.field": [0.3, 0.0, 0.5],
    "integrator.step": 0.1,
    "run.duration": 3.0,
    "run.save_every": 0.1,
}


@pytest.fixture(scope="module")
def square(tmp_path_factory):
    path = tmp_path_factory.mktemp("square") / "sheet.h5"
    run(load_deck("wall_classical", SQUARE), path).close()
    return path


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    path = tmp_path_factory.mktemp("chain") / "wire.h5"
    run(load_deck("wall_in_wire", {"run.duration": 4.0, "electrons.tolerance": 1e-3}), path).close()
    return path


def colours_of(figure):
    """The numbers behind the map of a figure."""
    (image,) = [image for ax in figure.axes for image in ax.images]
    return np.asarray(image.get_array())


def test_a_lattice_at_a_frame(square):
    with open_run(square) as result:
        for frame in (0, 7, -1):
            figure = plots.plot(result, variable="moment", frame=frame)
            np.testing.assert_array_equal(colours_of(figure), result.moment[frame][..., 2].T)
            (arrows,) = [each for each in figure.axes[0].collections if hasattr(each, "U")]
            # One arrow a site; x runs fastest, and the longest of all frames has length 1.
            longest = np.hypot(result.moment[..., 0], result.moment[..., 1]).max()
            np.testing.assert_allclose(arrows.U, result.moment[frame][..., 0].T.ravel() / longest, rtol=1e-12)
            np.testing.assert_allclose(arrows.V, result.moment[frame][..., 1].T.ravel() / longest, rtol=1e-12)
        np.testing.assert_array_equal(colours_of(plots.plot(result, variable="moment")), result.moment[-1][..., 2].T)


def test_a_chain_as_maps_and_as_profile(chain):
    with open_run(chain) as result:
        figure = plots.plot(result, variable="torque")
        maps = [each for ax in figure.axes for each in ax.collections if hasattr(each, "get_coordinates")]
        assert len(maps) >= 3  # and the bars of colours
        for k in range(3):
            values = np.asarray(figure.axes[k].collections[0].get_array()).reshape(7, -1)
            np.testing.assert_array_equal(values, result.torque[..., k].T)
        figure = plots.plot(result, variable="torque", frame=2)
        for k, line in enumerate(figure.axes[0].get_lines()):
            np.testing.assert_array_equal(line.get_ydata(), result.torque[2, :, k])
        (line,) = plots.plot(result, variable="density", frame=2).axes[0].get_lines()
        np.testing.assert_array_equal(line.get_ydata(), result.density[2])


def test_numbers_against_time_are_named(chain):
    with open_run(chain) as result:
        lines = plots.plot(result, variable="current_spin").axes[0].get_lines()
        assert [line.get_label() for line in lines] == [f"{lead} {k}" for lead in ("left", "right") for k in "xyz"]
        np.testing.assert_array_equal(lines[4].get_ydata(), result.current_spin[:, 1, 1])
        assert plots.plot(result, variable="current_spin").axes[0].get_ylabel().endswith(r"eV/$\hbar$)")


def test_every_variable_has_a_picture(chain, square):
    for path in (chain, square):
        with open_run(path) as result:
            for name in result.names:
                assert plots.plot(result, variable=name).axes


def test_what_is_the_same_in_all_frames(tmp_path):
    np.save(tmp_path / "v.npy", np.arange(7) / 10)
    deck = load_deck("wall_in_wire", {"electrons.potential": str(tmp_path / "v.npy"), "run.duration": 0.0})
    with run(deck, tmp_path / "a.h5") as result:
        (line,) = plots.plot(result, variable="static_potential").axes[0].get_lines()
        np.testing.assert_array_equal(line.get_ydata(), np.arange(7) / 10)
        with pytest.raises(errors.DeckError, match="--frame 0: static_potential is the same in all frames"):
            plots.plot(result, variable="static_potential", frame=0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("plot", "--variable", "momet"), r"--variable momet: not in .*; did you mean moment\? it has time, step, mo"),
        (("plot", "--variable", "moment", "--frame", "99"), r"--frame 99: there are 31 frames, from 0 to 30"),
        (("plot", "--variable", "energy_dmi", "--frame", "1"), r"--frame 1: energy_dmi is drawn against the time"),
        (("plot", "--frame", "1"), r"--frame 1: belongs to --variable"),
        (("movie", "--variable", "momet"), r"--variable momet: not in .*; did you mean moment\? it has time, step, mo"),
        (("movie", "--variable", "energy_dmi"), r"--variable energy_dmi: not on sites; .* A movie shows moment, veloc"),
        (("movie", "--frames", "31"), r"--frames 31: there are 31 frames, from 0 to 30"),
        (("movie", "--fps", "0"), r"--fps 0: must be above 0"),
        (("movie", "--fps", "nan"), r"--fps nan: must be above 0"),
        (("movie", "-o", "a.avi"), r"-o a\.avi: a movie ends in \.mp4 or \.gif"),
    ],
)
def test_wrong_wishes(square, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    assert main([words[0], str(square), *words[1:]]) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert re.search(message, error), error
    assert not list(tmp_path.iterdir())


def test_a_gif_has_every_frame_in_order(square, tmp_path):
    with open_run(square) as result:
        assert movie.movie(result, tmp_path / "a.gif", frames="::10", fps=10) == 4
        for i, picture in enumerate(gif(tmp_path / "a.gif")):
            figure = plots.plot(result, variable="moment", frame=10 * i)
            figure.set(dpi=150, size_inches=(6.4, 4.8))
            figure.savefig(tmp_path / "one.png", dpi=150)
            alone = imread(tmp_path / "one.png")[..., :3] * 255
            # 255 colours, and nothing else, are between them.
            assert abs(picture - alone).mean() < 4
            others = [each for k, each in enumerate(gif(tmp_path / "a.gif")) if k != i]
            assert all(abs(picture - alone).mean() < abs(other - alone).mean() for other in others)
    with Image.open(tmp_path / "a.gif") as image:
        assert (image.n_frames, image.info["duration"], image.info["loop"]) == (4, 100, 0)


def gif(path):
    with Image.open(path) as image:
        for i in range(image.n_frames):
            image.seek(i)
            yield np.asarray(image.convert("RGB"), float)


@pytest.mark.slow  # processes are started, each of which imports matplotlib
def test_mp4_is_the_same_from_several_processes(square, tmp_path, monkeypatch):
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    monkeypatch.setattr("loky.cpu_count", lambda: 2)
    with open_run(square) as result:
        assert movie.movie(result, tmp_path / "many.mp4", fps=20) == 31
        monkeypatch.setattr("loky.cpu_count", lambda: 1)
        assert movie.movie(result, tmp_path / "one.mp4", fps=20) == 31
    assert (tmp_path / "many.mp4").read_bytes() == (tmp_path / "one.mp4").read_bytes()
    n, seconds = ffmpeg.count_frames_and_secs(str(tmp_path / "many.mp4"))  # `read_frames` leaves its pipes open
    assert (n, seconds) == (31, pytest.approx(31 / 20, abs=0.02))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["many.mp4", "one.mp4"]


def test_what_fails_leaves_the_old_movie(square, tmp_path, monkeypatch):
    (tmp_path / "a.gif").write_text("old")

    def fails(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(variable, "at_frame", fails)
    with (
        open_run(square) as result,
        pytest.raises(errors.FileError, match=r"a\.gif: cannot write the movie: the disk is"),
    ):
        movie.movie(result, tmp_path / "a.gif", frames="0")
    assert [path.name for path in tmp_path.iterdir()] == ["a.gif"]
    assert (tmp_path / "a.gif").read_text() == "old"


def test_the_run_file_is_not_replaced(square):
    with open_run(square) as result, pytest.raises(errors.DeckError, match=r"sheet\.h5|ends in"):
        movie.movie(result, square)


def test_a_gif_is_not_longer_than_memory(square, tmp_path, monkeypatch):
    monkeypatch.setattr(movie, "_MOST_IN_GIF", 30)
    with open_run(square) as result, pytest.raises(errors.DeckError, match=r"31 pictures are too many .* --frames ::1"):
        movie.movie(result, tmp_path / "a.gif")


def test_mp4_without_its_package(square, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with open_run(square) as result, pytest.raises(errors.LLGNEGFError, match=r'pip install "llgnegf\[movie\]"'):
        movie.movie(result, tmp_path / "a.mp4", frames="0")
    assert not list(tmp_path.iterdir())
