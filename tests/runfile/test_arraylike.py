"""Variables of a run are compared with the NumPy array of the same values, whatever is asked of them."""

import copy
import os
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from llgnegf import deck_from, open_run, run
from llgnegf.runfile.arraylike import ReadOnlyArray

SHAPE = (6, 4, 3)
VALUES = np.random.default_rng(8).normal(size=SHAPE)
DECK = {
    "lattice": {"shape": [4]},
    "texture": {"kind": "random"},
    "magnet": {"field": [0, 0, 1.0], "exchange": 0.2},
    "integrator": {"step": 0.1},
    "run": {"duration": 0.5},
}


class InMemory(ReadOnlyArray):
    """VALUES as a variable; `read` lists the frames that were read."""

    def __init__(self, values=VALUES, per_frame=True):
        self.values, self.per_frame, self.read = values, per_frame, []
        self.shape, self.dtype = values.shape, values.dtype

    def _name(self):
        return "moment"

    def _read(self, first, last):
        self.read += range(first, last)
        return self.values[first:last].copy() if self.per_frame else self.values.copy()


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "a.h5"
    run(deck_from(DECK), path).close()
    return path


def same(ask, wanted):
    """What `ask` returns of the variable and of the array: the same value, type and shape, or the same error."""
    variable, array = wanted
    try:
        expected = ask(array)
    except Exception as error:
        with pytest.raises(type(error)):
            ask(variable)
        return
    found = ask(variable)
    assert type(found) is type(expected)
    if isinstance(expected, np.ndarray | np.generic):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected, strict=True)
    else:
        assert found == expected


LISTS = st.lists(st.integers(-7, 6), max_size=4)
MASKS = hnp.arrays(bool, st.integers(3, 6))
SINGLE = st.one_of(
    st.integers(-8, 7),
    st.integers(-7, 6).map(np.int64),
    st.slices(7),
    st.slices(3),
    st.just(Ellipsis),
    st.none(),
    st.booleans(),
    LISTS,
    LISTS.map(lambda values: np.array(values, dtype=int)),
    st.lists(LISTS.filter(lambda values: len(values) == 2), min_size=1, max_size=2),
    MASKS,
    st.sampled_from(
        [VALUES > 0.3, VALUES[..., 0] > 0, np.ones(6, bool), np.zeros(6, bool), np.array(2), 1.5, "x", [1.5]]
    ),
)
KEYS = st.one_of(SINGLE, st.lists(SINGLE, max_size=4).map(tuple))


@settings(max_examples=500, deadline=None)
@given(KEYS, st.booleans())
def test_every_index_gives_what_numpy_gives(key, per_frame):
    same(lambda array: array[key], (InMemory(per_frame=per_frame), VALUES))


@pytest.mark.parametrize(
    "key",
    [
        # Found wrong once: pairs of lists, and an integer apart from a list, which puts the list's axis first.
        ([0, 2], [1, 3]),
        ([0, 2], slice(None), [1, 2]),
        (0, slice(None), [0, 1]),
        (np.array([[0, 1], [2, 3]]), 1),
        VALUES > 0,
    ],
    ids=str,
)
def test_indices_that_numpy_pairs(key):
    same(lambda array: array[key], (InMemory(), VALUES))


@pytest.mark.parametrize(
    ("key", "frames"),
    [
        (3, {3}),
        (-1, {5}),
        ((2, Ellipsis, 0), {2}),
        (slice(1, 3), {1, 2}),
        (slice(None, None, 2), {0, 2, 4}),
        (slice(4, 1, -1), {2, 3, 4}),
        ([5, 0, 5], {0, 5}),
        (np.arange(6) > 3, {4, 5}),
        (slice(3, 3), set()),
    ],
    ids=str,
)
def test_only_the_frames_that_are_asked_for_are_read_and_once(key, frames):
    variable = InMemory()
    np.testing.assert_array_equal(variable[key], VALUES[key])
    assert sorted(variable.read) == sorted(frames)


FUNCTIONS = [
    lambda a: a + 1,
    lambda a: 1 - a,
    lambda a: a * a,
    lambda a: 2.0 / a,
    lambda a: a**2,
    lambda a: -a,
    lambda a: abs(a),
    lambda a: a @ np.ones(3),
    lambda a: np.ones((4, 4)) @ a,
    lambda a: a // 0.3,
    lambda a: a % 0.3,
    lambda a: divmod(a, 0.3)[0],
    lambda a: a > 0,
    lambda a: a <= a[0],
    lambda a: a == a,
    lambda a: a != VALUES,
    lambda a: VALUES + a,
    lambda a: np.float64(2) * a,
    lambda a: [1, 2, 3] * a,
    lambda a: (a > 0) & (a < 1),
    np.sin,
    np.mean,
    np.sum,
    np.max,
    np.transpose,
    np.sort,
    np.argmax,
    np.shape,
    np.ndim,
    np.size,
    np.diff,
    np.copy,
    np.isnan,
    np.asarray,
    np.array,
    np.atleast_1d,
    np.zeros_like,
    np.add.reduce,
    lambda a: np.add.reduce(a, axis=0, where=a > 0),
    lambda a: np.multiply.outer(a[0], a)[0],
    lambda a: np.maximum.accumulate(a, axis=1),
    lambda a: np.linalg.norm(a, axis=-1),
    lambda a: np.cross(a, a[0]),
    lambda a: np.einsum("tic,tic->t", a, a),
    lambda a: np.stack([a, a]),
    lambda a: np.concatenate([a, VALUES]),
    lambda a: np.where(a > 0, a, 0),
    lambda a: np.clip(a, -1, 1),
    lambda a: np.mean(a, axis=(0, 1)),
    lambda a: np.asarray(a, dtype=np.float32),
    lambda a: np.add(a, 1, out=np.empty(SHAPE)),
    lambda a: np.allclose(a, VALUES),
    lambda a: np.array_equal(a, VALUES),
    lambda a: a.mean(axis=0),
    lambda a: a.std(),
    lambda a: a.max(axis=1),
    lambda a: a.T,
    lambda a: a.reshape(6, -1),
    lambda a: a.ravel(),
    lambda a: a.astype(int),
    lambda a: a.tolist(),
    lambda a: a.copy(),
    lambda a: a.nbytes,
    lambda a: a.itemsize,
    lambda a: (a.shape, a.dtype, a.ndim, a.size, len(a)),
    lambda a: list(a)[2],
    lambda a: [row[0, 0] for row in a],
    lambda a: VALUES[0, 0, 0] in a,
    lambda a: 99.0 in a,
    lambda a: max(a[:, 0, 0]),
    lambda a: sum(a),
    bool,
    float,
    int,
    complex,
    hash,
    lambda a: a.no_such_thing,
    lambda a: a + np.ones(5),
]


@pytest.mark.parametrize("per_frame", [True, False])
@pytest.mark.parametrize("ask", FUNCTIONS, ids=range(len(FUNCTIONS)))
def test_functions_operators_and_methods_are_those_of_the_array(ask, per_frame):
    same(ask, (InMemory(per_frame=per_frame), VALUES))


@pytest.mark.parametrize(
    "ask", [bool, float, int, complex, len, list, lambda a: a + 1, lambda a: a[()], lambda a: a[0]]
)
@pytest.mark.parametrize("value", [np.array(2.0), np.array([2.0]), np.array([[0.0]]), np.empty((0, 3))])
@pytest.mark.filterwarnings("ignore:Conversion of an array", "ignore:The truth value of an empty array")
def test_single_values_and_none(ask, value):
    same(ask, (InMemory(value, per_frame=False), value))


def test_a_variable_cannot_be_changed_and_says_what_can():
    variable = InMemory()
    told = r"cannot be changed; np\.array\(run\['moment'\]\) is a copy that can"
    with pytest.raises(TypeError, match=told):
        variable[0] = 1.0
    with pytest.raises(TypeError, match=told):
        variable += 1.0
    with pytest.raises(TypeError, match=told):
        np.add(VALUES, 1, out=variable)
    with pytest.raises(TypeError, match=told):
        np.add.at(variable, 0, 1.0)
    for name in ("sort", "fill", "resize", "put"):
        assert name not in dir(variable)
        with pytest.raises(AttributeError, match=told):
            getattr(variable, name)
    with pytest.raises(ValueError, match="copy=False"):
        np.asarray(variable, copy=False)
    assert "mean" in dir(variable)


# --- of a file --------------------------------------------------------------------------------------------------------


def test_variables_of_a_file_are_used_like_arrays(file):
    with open_run(file) as result:
        moment = np.array(result.moment)
        assert moment.shape == (6, 4, 3)
        np.testing.assert_array_equal(result.moment[[0, 2], [1, 3]], moment[[0, 2], [1, 3]])
        np.testing.assert_array_equal(2 * result.moment - result["velocity"], 2 * moment - np.array(result.velocity))
        np.testing.assert_array_equal(result.moment[result.time > 0.25], moment[3:])
        np.testing.assert_array_equal(result.moment.mean(axis=1)[..., 2], moment.mean(axis=1)[..., 2])
        np.testing.assert_array_equal(result.energy_zeeman - result.energy_zeeman[0], np.subtract(
            result["energy_zeeman"][:], result["energy_zeeman"][0]))  # fmt: skip
        for again in (
            copy.copy(result.moment),
            copy.deepcopy(result.moment),
            pickle.loads(pickle.dumps(result.moment)),
        ):
            np.testing.assert_array_equal(again, moment, strict=True)
        with pytest.raises(IndexError, match="moment: index 6 is out of bounds for axis 0 with size 6"):
            result.moment[6]


def test_a_run_and_its_dataset_can_be_pickled(file, tmp_path, monkeypatch):
    """As dask and multiprocessing do it: what arrives opens the file again, from another folder too."""
    monkeypatch.chdir(file.parent)
    with open_run(file.name) as result:
        moment = np.array(result.moment)
        data = result.to_xarray()
        sent = pickle.dumps((result, data, data["moment"][2]))
        data.close()
    monkeypatch.chdir(tmp_path)
    again, data, single = pickle.loads(sent)
    with again, data:
        assert again.names == result.names
        np.testing.assert_array_equal(again.moment, moment)
        np.testing.assert_array_equal(data["moment"], moment)
        np.testing.assert_array_equal(single, moment[2])
        assert data["moment"].dims == ("time", "x", "component")
        assert list(data["component"].values) == ["x", "y", "z"]
        twice = pickle.loads(pickle.dumps(data))
        with twice:
            assert twice.identical(data)
    assert os.listdir(tmp_path) == []
