"""Output through links is written where they lead; devices, pipes and folders are refused; none is ever replaced."""

import os
import stat

import pytest

from llgnegf import resume, run
from llgnegf.cli import main
from llgnegf.errors import DeckError
from llgnegf.runfile import checkpoint, disk
from tests.test_simulation import CLASSICAL, assert_same, deck

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="links and pipes of POSIX")


@pytest.fixture
def far(tmp_path):
    """A folder elsewhere."""
    folder = tmp_path / "far"
    folder.mkdir()
    return folder


@pytest.fixture(params=["there", "dangling"])
def link(request, tmp_path, far):
    """A link a.h5 to far/b.h5, which is there already, or not yet."""
    if request.param == "there":
        (far / "b.h5").touch()
    (tmp_path / "a.h5").symlink_to(far / "b.h5")
    return tmp_path / "a.h5"


def test_a_run_file_is_written_through_a_link(link, far, tmp_path):
    """Created, resized at the end of a run that stopped early, extended: the link stays, the file is where it leads."""
    run(deck(CLASSICAL), link, until=0.6, overwrite=True).close()
    assert link.is_symlink()
    assert (far / "b.h5").is_file()
    resume(far / "b.h5", until=1.2).close()
    assert link.is_symlink()
    run(deck(CLASSICAL), tmp_path / "whole.h5").close()
    assert_same(tmp_path / "whole.h5", far / "b.h5")
    assert not list(tmp_path.glob("a.h5.*lock")) + list(far.glob("*.lock")) + list(far.glob("*.new"))


def test_a_file_reached_through_a_link_has_one_writer(link, far, tmp_path):
    from llgnegf.errors import FileError
    from llgnegf.runfile.lock import Lock

    lock = Lock(far / "b.h5")
    with pytest.raises(FileError, match="another process is writing this run"):
        Lock(link)
    lock.release()
    Lock(link).release()


@pytest.mark.parametrize("linked", ["", ".1", ".2"])
def test_checkpoints_are_written_through_links(tmp_path, far, linked):
    path, one = tmp_path / "a.h5", deck(CLASSICAL)
    (tmp_path / f"a.h5.ckpt{linked}").symlink_to(far / "kept.ckpt")
    run(one, path, until=1.2, overwrite=True).close()
    assert (tmp_path / f"a.h5.ckpt{linked}").is_symlink()
    assert (far / "kept.ckpt").is_file()
    state, header = checkpoint.load_newest(path)
    assert (state.step, header["notes"]) == (12, [])
    assert len([p for p in checkpoint.checkpoint_paths(path) if p.is_file()]) == 3
    resume(path, until=1.5).close()
    assert (tmp_path / f"a.h5.ckpt{linked}").is_symlink()


def test_checkpoints_move_to_another_disk(tmp_path, far, monkeypatch):
    """os.replace does not reach other file systems; a copy does."""
    real = os.replace

    def replace(source, target):
        if os.path.dirname(source) != os.path.dirname(target):
            raise OSError(18, "Invalid cross-device link")
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    (tmp_path / "a.h5.ckpt.1").symlink_to(far / "kept.ckpt")
    run(deck(CLASSICAL), tmp_path / "a.h5", overwrite=True).close()
    assert (tmp_path / "a.h5.ckpt.1").is_symlink()
    (tmp_path / "a.h5.ckpt").unlink()
    assert checkpoint.load_newest(tmp_path / "a.h5")[0].step in (5, 10)
    assert not list(far.glob("*.new"))


def special(folder, kind):
    """A pipe, a folder, a device or a link to a device (kind), by the name of `special` in `folder`."""
    path = folder / "special"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif os.geteuid():
        path.symlink_to("/dev/null")
    else:  # whoever may replace /dev/null gets a device of its own
        device = folder / "device"
        try:
            os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        except OSError as error:
            pytest.skip(f"no device can be made here: {error}")
        if kind == "device":
            return device.rename(path)
        path.symlink_to(device)
    return path


def identity(path):
    status = os.lstat(path)
    return status.st_ino, stat.S_IFMT(status.st_mode)


@pytest.mark.parametrize("kind", ["pipe", "device", "link to a device", "folder"])
@pytest.mark.parametrize("what", ["run", "plot", "new", "reproduce", "checkpoint"])
def test_what_cannot_hold_a_file_is_refused(tmp_path, monkeypatch, capsys, kind, what):
    monkeypatch.chdir(tmp_path)
    path = special(tmp_path, kind)
    if what == "plot":
        run(deck(CLASSICAL), tmp_path / "a.h5", until=0.6).close()
        path = path.rename(tmp_path / "special.png")
    if what == "reproduce":
        (tmp_path / "figures").mkdir()
        path = path.rename(tmp_path / "figures" / "fig2.csv")
    if what == "checkpoint":
        path = path.rename(tmp_path / "a.h5.ckpt.1")
    before = identity(path)
    words = {
        "run": ["run", "wall_classical", "--until", "5", "--overwrite", "-o", path],
        "plot": ["plot", "a.h5", "-o", path],
        "new": ["new", "wall_classical", path],
        "reproduce": ["reproduce", "fig2"],
        "checkpoint": ["run", "wall_classical", "--until", "5", "--overwrite", "-o", "a.h5"],
    }[what]
    code = main(list(map(str, words)))
    told = capsys.readouterr().err
    if (what, kind) == ("new", "folder"):
        assert code == 0  # written into the folder
        assert (path / "wall_classical.toml").is_file()
    else:
        assert code == 2
        assert path.name in told or "device: is a device" in told
    assert "a bug" not in told
    assert identity(path) == before
    assert kind == "folder" or not path.is_file()
    assert not list(tmp_path.glob("special.*lock"))


def test_pictures_and_tables_are_written_through_links(tmp_path, far, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(deck(CLASSICAL), tmp_path / "a.h5", until=0.6).close()
    (tmp_path / "a.png").symlink_to(far / "picture.png")
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "fig2.csv").symlink_to(far / "table.csv")
    (tmp_path / "figures" / "fig2.png").symlink_to(far / "fig2.png")
    assert main(["plot", "a.h5"]) == 0
    assert main(["reproduce", "fig2"]) == 0
    for name in ("a.png", "figures/fig2.csv", "figures/fig2.png"):
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / name).stat().st_size > 1000


def test_new_replaces_no_link(tmp_path, far, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").symlink_to(far / "deck.toml")
    assert main(["new", "wall_classical", "mine.toml"]) == 2
    assert "there already" in capsys.readouterr().err
    assert (tmp_path / "mine.toml").is_symlink()
    assert not (far / "deck.toml").exists()


def test_links_in_a_circle_are_told(tmp_path):
    (tmp_path / "a.h5").symlink_to(tmp_path / "b.h5")
    (tmp_path / "b.h5").symlink_to(tmp_path / "a.h5")
    with pytest.raises(disk.FileError, match=r"a\.h5: links that lead to each other"):
        run(deck(CLASSICAL), tmp_path / "a.h5", overwrite=True)
    assert (tmp_path / "a.h5").is_symlink()
    with pytest.raises(DeckError, match="is a device"):
        disk.refuse_special("/dev/null")
    disk.refuse_special(tmp_path / "none")
