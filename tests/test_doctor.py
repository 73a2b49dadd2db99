"""`llgnegf doctor`: its checks hold here, and none of them holds where the package computes something else."""

import configparser
import json
import re
import types
from pathlib import Path

import numpy as np
import pytest

from llgnegf import simulation
from llgnegf.cli import main
from llgnegf.deck import deck_from, with_changes
from llgnegf.doctor import checks, facts, rates
from llgnegf.electrons import Device


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(rates, "_SECONDS", 0.0)


def test_all_is_well_here(capsys):
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    assert f"all {len(checks.CHECKS)} checks hold" in lines
    assert sum(line.startswith("ok ") for line in lines) == len(checks.CHECKS) > 5
    assert f"numpy {np.__version__}" in out
    assert "GFlop/s" in out


def test_numbers_for_programs(capsys):
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ok"]
    assert [check["what"] for check in found["self_test"]] == list(checks.CHECKS)
    for check in found["self_test"]:
        assert abs(check["got"] - check["expected"]) <= check["allowed"] <= 1e-6
    assert all(rate["value"] > 0 for rate in found["rates"])
    assert {"llgnegf", "libraries", "threads", "BLAS", "GPU"} <= found["facts"].keys()


def other_device(shape, **arguments):
    """With another exchange, and levels and contacts that are a little off."""
    arguments["sd_exchange"] *= 1.001
    if arguments["sd_exchange"] == 0:
        arguments["onsite"] = arguments.get("onsite", 0.0) + 0.35
    return Device(shape, **arguments)


def other_deck(tables):
    """Moments that precess and electrons that follow a little faster."""
    tables["magnet"] = {key: [1.001 * x for x in v] if key == "field" else v for key, v in tables["magnet"].items()}
    if "motion" in tables:
        tables["motion"] = {**tables["motion"], "frequency": 1.001 * tables["motion"]["frequency"]}
    return deck_from(tables)


def not_resumed(deck, path, until=None):
    """A run that would go on otherwise: what is stopped early began with another damping."""
    return simulation.run(deck if until is None else with_changes(deck, {"magnet.damping": 0.1001}), path, until=until)


@pytest.mark.parametrize("what", checks.CHECKS)
def test_every_check_sees_another_result(what, monkeypatch):
    assert checks._checked(what, checks.CHECKS[what]).ok
    monkeypatch.setattr(checks, "Device", other_device)
    if what == "stopped and resumed run":
        others = types.SimpleNamespace(run=not_resumed, resume=simulation.resume)
        monkeypatch.setattr(checks, "simulation", others)
    else:
        monkeypatch.setattr(checks, "deck_from", other_deck)
    found = checks._checked(what, checks.CHECKS[what])
    assert found.trouble is None
    assert not found.ok
    assert abs(found.got - found.expected) > 1e-6


def test_a_check_that_fails_or_raises_is_told_and_the_exit_code_is_1(monkeypatch, capsys):
    def broken():
        raise ValueError("no such kernel")

    wrong = {"one": lambda: (1.0, 2.0, 0.5), "two": broken, "three": lambda: (np.nan, 1.0, 1.0)}
    monkeypatch.setattr(checks, "CHECKS", {**wrong, "four": lambda: (1.0, 1.0, 0.0)})
    assert main(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines if line.startswith("FAILED")] == [["FAILED", one] for one in wrong]
    assert "        ValueError: no such kernel" in lines
    assert "3 of 4 checks failed" in lines
    assert main(["doctor", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [check["ok"] for check in found["self_test"]] == [False, False, False, True]
    assert found["self_test"][1]["trouble"] == "ValueError: no such kernel"


def test_rates_count_operations(monkeypatch):
    """8 for a complex multiply-add: n^3 of them in a product, 3 n^3 a slice in a sweep; bytes read and written."""
    monkeypatch.setattr(rates, "_fastest", lambda act, clock=None: 1e-3)
    found = {rate.what: rate.value for rate in rates.measured_rates()}
    assert found["matrix products (zgemm) of that lattice, 80 x 80"] == pytest.approx(8 * 80**3 * 1e-6)
    assert found["matrix products at their best, 640 x 640"] == pytest.approx(8 * 640**3 * 1e-6)
    assert found["Green's function of a lattice 40 wide"] == pytest.approx(24 * 80**3 * 40 * 1e-6)
    assert found["Green's function, share of products of its size"] == pytest.approx(3 * 40)
    assert found["memory, copied (read and written)"] == pytest.approx(2 * 2**27 * 1e-6)
    assert found[f"products of 80 x 80: {words_for_threads()} over one"] == pytest.approx(rates.worker_count())


def words_for_threads():
    return "1 thread" if rates.worker_count() == 1 else f"{rates.worker_count()} threads"


def test_what_is_not_there_is_told(monkeypatch):
    monkeypatch.setattr(facts, "_version", lambda name: None)
    found = dict(facts.all_facts())
    assert 'no cupy (pip install "llgnegf[gpu]")' in found["optional"]
    assert "numpy not installed" in found["libraries"]


def test_every_extra_is_looked_for():
    """But for those of the tests."""
    setup = configparser.ConfigParser()
    setup.read(Path(__file__).parent.parent / "setup.cfg", encoding="utf-8")
    extras = {
        name: [re.match(r"[a-z0-9-]+", line)[0] for line in lines.split("\n") if line]
        for name, lines in setup.items("options.extras_require", raw=True)
        if name not in ("test", "others")
    }
    extras["gpu"] = [name.removesuffix("-cuda13x") for name in extras["gpu"]]
    assert {name: list(packages) for name, packages in facts._OPTIONAL.items()} == extras


def test_a_gpu_is_told_by_its_name_and_memory(monkeypatch):
    def memory():
        return 3e9, 80e9

    def silent():
        raise RuntimeError("out of memory")

    runtime = types.SimpleNamespace(getDeviceProperties=lambda i: {"name": b"Some GPU"}, memGetInfo=memory)
    cupy = types.SimpleNamespace(cuda=types.SimpleNamespace(runtime=runtime))
    monkeypatch.setattr(facts, "cupy_with_gpu", lambda: cupy)
    assert facts._gpu() == "Some GPU, 3.0 of 80.0 GB free"
    runtime.memGetInfo = silent
    assert facts._gpu() == "there is one, but it does not answer: out of memory"


def test_a_wrong_number_of_threads_is_told_in_the_usual_words(monkeypatch, capsys):
    monkeypatch.setenv("LLGNEGF_NUM_THREADS", "all")
    assert main(["doctor"]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("llgnegf: LLGNEGF_NUM_THREADS = 'all' (environment): allowed are whole numbers >= 1")
