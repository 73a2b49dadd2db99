"""The order of rooms: no import circle, no arrow against it; and that `docs/structure.py` finds both."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "docs" / "structure.py"


@pytest.fixture(scope="module")
def structure():
    spec = importlib.util.spec_from_file_location("structure", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["structure"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["structure"]


def project(folder, **files):
    """Modules of a project in `folder`: their sources by name, with __ for dots."""
    for name, source in files.items():
        path = folder.joinpath(*name.split("__")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)


def judged(structure, folder):
    known = structure.modules(folder)
    return structure.problems(known, structure.imports(known))


def test_no_circle_and_no_arrow_against_the_order():
    done = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "no circle, no arrow against the order" in done.stdout


@pytest.mark.parametrize(
    ("source", "how"),
    [
        ("from llgnegf.deck import tables\n", "top"),
        ("import llgnegf.deck.tables\n", "top"),
        ("from ..deck.tables import Magnet\n", "top"),
        ("def f():\n    if True:\n        from llgnegf.deck.tables import Magnet\n", "lazy"),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from llgnegf.deck.tables import Magnet\n", "types"),
        ("try:\n    pass\nexcept ImportError:\n    from llgnegf.deck import tables\n", "top"),
    ],
)
def test_an_arrow_against_the_order_is_named_however_it_is_written(structure, tmp_path, monkeypatch, source, how):
    monkeypatch.setattr(structure, "KNOWN_CIRCLES", ())
    project(tmp_path, llgnegf__deck__tables="", llgnegf__magnet__magnet=source)
    assert judged(structure, tmp_path) == [
        f"llgnegf.magnet.magnet imports llgnegf.deck.tables ({how}): magnet may import base, not deck"
    ]


@pytest.mark.parametrize(
    "source",
    ["import textures.frame\n", "from textures import frame\n", "def f():\n    from textures.frame import axes\n"],
)
def test_an_import_that_a_users_own_module_may_catch_is_named(structure, tmp_path, source):
    project(tmp_path, textures__frame="", llgnegf__build=source)
    (line,) = judged(structure, tmp_path)
    assert line.startswith("llgnegf.build imports textures.frame by its bare name")
    project(tmp_path, llgnegf__build=source.replace("textures", "llgnegf.beside.textures"))
    assert judged(structure, tmp_path) == []
    # The order of rooms holds for what is found beside, too.
    project(tmp_path, llgnegf__build="", llgnegf__magnet__grid="from llgnegf.beside.textures import frame\n")
    assert judged(structure, tmp_path) == [
        "llgnegf.magnet.grid imports textures.frame (top): magnet may import base, not textures"
    ]
    project(tmp_path, llgnegf__magnet__grid="", textures__walls="from .frame import axes\n")
    assert judged(structure, tmp_path) == []


def test_a_circle_is_named_even_where_a_lazy_import_hides_it(structure, tmp_path, monkeypatch):
    monkeypatch.setattr(structure, "KNOWN_CIRCLES", ())
    lazy = "def f():\n    from llgnegf.magnet import a\n"
    project(tmp_path, llgnegf__magnet__a="from llgnegf.magnet import b\n", llgnegf__magnet__b=lazy)
    circle = "import circle: llgnegf.magnet.a, llgnegf.magnet.b"
    assert judged(structure, tmp_path) == [circle]
    monkeypatch.setattr(structure, "KNOWN_CIRCLES", ("llgnegf.magnet",))
    assert judged(structure, tmp_path) == []
    monkeypatch.setattr(structure, "KNOWN_CIRCLES", ("llgnegf.magnet", "llgnegf.deck"))
    assert judged(structure, tmp_path) == ["KNOWN_CIRCLES: llgnegf.deck has none any more; remove it"]


def test_a_module_without_a_room_is_named(structure, tmp_path, monkeypatch):
    monkeypatch.setattr(structure, "KNOWN_CIRCLES", ())
    project(tmp_path, llgnegf__attic="")
    assert judged(structure, tmp_path) == ["llgnegf.attic: belongs to no room; add it to ROOMS"]


@pytest.mark.parametrize("suffix", [pytest.param(".svg", marks=pytest.mark.slow), ".png"])
def test_the_picture_is_drawn(structure, tmp_path, suffix):
    known = structure.modules()
    structure.draw(known, structure.imports(known), tmp_path / f"structure{suffix}")
    assert (tmp_path / f"structure{suffix}").stat().st_size > 10_000
