"""The figure of a molecule's response tensors, read from its CSV data."""

import numpy as np

from llgnegf.reproduce import TARGETS, choose, molecule
from tests.test_reproduce_real_time import made


def test_tensors_of_a_molecule(monkeypatch, tmp_path, capsys):
    for name, value in [
        ("COUPLINGS", (0.2, 1.0, 5.0)), ("BIASES", (-3.0, 0.0, 3.0)), ("FREQUENCIES", (0.02, 0.1, 0.2, 1.0, 40.0))
    ]:  # fmt: skip
        monkeypatch.setattr(molecule, name, value)
    assert choose(["molecule"]) == ["molecule_tensors"]
    assert TARGETS["molecule_tensors"].make is molecule.tensors
    data, told = made("molecule_tensors", tmp_path, capsys)
    for curve in ("damping", "field-like"):
        np.testing.assert_allclose(data["a", curve][1], data["a", f"{curve}, closed form"][1], atol=1e-10)
    assert 0 < min(data["a", "damping"][1]) < max(data["a", "damping"][1]) < 1 / (2 * np.pi)
    smallest, largest = data["c", "smaller one"][1], data["c", "larger one"][1]
    assert (smallest <= largest).all()
    assert smallest[1] > 0
    assert min(smallest) < -0.01
    w, real = data["e", "real part"]
    assert abs(real[0] - data["e", "adiabatic limit"][1][0]) < 0.01 * abs(real[0])
    imaginary, inertial = data["f", "imaginary part"][1], data["f", "inertial limit"][1]
    np.testing.assert_allclose(imaginary[:2], inertial[:2], rtol=2e-2)
    assert abs(imaginary[-1] - data["f", "free spins"][1][-1]) < 0.1 * abs(imaginary[-1])
    assert "scattering matrix" in told
    assert len(w) == 5
