"""`njit` for the kernels of this project: numba's own, with a cache that cannot take a run down.

numba keeps compiled kernels on the disk, beside the source or in NUMBA_CACHE_DIR.  That only saves time, so nothing
about it may stop a run: without a place for it, on a full disk or with a damaged file a kernel is compiled again, and a
RunWarning says so once.  Index and code are guarded by a SHA-256, since damaged machine code would crash or, worse,
compute something else.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import pickle
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numba
from llvmlite import ir
from numba.core import event, types
from numba.core.caching import CompileResultCacheImpl, FunctionCache, IndexDataCacheFile, NullCache
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.runtime import rtsys
from numba.extending import intrinsic, overload

from llgnegf.compiling import watch
from llgnegf.errors import RunWarning

_SHA = hashlib.sha256().digest_size
_told: set[str] = set()


class _Listener(event.Listener):
    """Hands on to `watch` what numba tells of its work."""

    def on_start(self, event: Any) -> None:
        watch.begins()

    def on_end(self, event: Any) -> None:
        watch.ends()


event.register("numba:compile", _Listener())


@functools.cache
def _few_words() -> Any:
    """What takes the place of numba's function that raises where an array does not fit a slice."""

    def differ(source: Any, target: Any) -> Any:
        raise NotImplementedError

    @overload(differ)
    def _(source: Any, target: Any) -> Any:
        def words(source: Any, target: Any) -> Any:
            raise ValueError("cannot assign slice from input of different size")

        return words

    return differ


@contextlib.contextmanager
def _short_shape_errors() -> Iterator[None]:
    """An array that does not fit the slice which it is assigned to raises the same error, in fewer words.

    numba's own words name both shapes; to make strings of them costs seconds of compiling for each number of axes, and
    is put into every kernel with such an assignment.  numba has them in a function so that others can take its place;
    kernels of others keep it.  One thread compiles at a time.
    """
    from numba.np import arrayobj  # here, because only few processes compile

    own = getattr(arrayobj, "raise_with_shape_context", None)
    if own is None:
        yield
        return
    arrayobj.raise_with_shape_context = _few_words()
    try:
        yield
    finally:
        arrayobj.raise_with_shape_context = own


class _Kernel(CompilerBase):
    """numba's compiler for the kernels of this project."""

    def define_pipelines(self) -> list[Any]:
        return [DefaultPassBuilder.define_nopython_pipeline(self.state)]

    def compile_extra(self, func: Callable) -> Any:
        with _short_shape_errors():
            return super().compile_extra(func)


class _Apart(_Kernel):
    """The same for functions that are promised to get arrays without common memory."""

    def define_pipelines(self) -> list[Any]:
        # Without the promise the code is slower and otherwise the same.
        if hasattr(self.state.flags, "noalias"):
            self.state.flags.noalias = True
        return super().define_pipelines()


def njit(
    signature: Any = None, *, cache: Any = True, noalias: Any = False, inline: Any = "never", **options: Any
) -> Any:
    """numba.njit, whose compiled code is kept if that is possible.

    signature: compile at once for these types, and for no others.  cache: keep the code on the disk.  noalias: a
    promise that arrays which the function writes to share no memory with its other arguments: loops over many arrays
    otherwise check that first, or stay scalar.  inline: "always" puts the function into those that call it, by LLVM;
    numba's own way, before types are inferred, gives the same code in twice the time.  The other options are numba's.
    """
    options["forceinline"] = inline == "always"
    options.setdefault("no_cfunc_wrapper", True)  # an entry for programs in C, which costs a tenth of the compiling
    options["pipeline_class"] = _Apart if noalias else _Kernel

    def compiled(function: Callable) -> Any:
        dispatcher = numba.njit(**options)(function)
        if dispatcher is function:  # NUMBA_DISABLE_JIT
            return function
        if cache:
            dispatcher._cache = _cache_of(function)
        if signature is not None:
            dispatcher.compile(signature)
            dispatcher.disable_compile()
        return dispatcher

    return compiled


def fetch(array: Any, index: Any) -> None:
    """In a kernel: have the line of the cache with number `index` of a contiguous array brought, and do not wait.

    It changes how long the next loads take, nothing else; the index must be one of the array.
    """


@intrinsic
def _prefetch(typing_context: Any, array: Any, index: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        held = context.make_array(signature.args[0])(context, builder, arguments[0])
        pointer = builder.bitcast(builder.gep(held.data, [arguments[1]]), ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, number, number, number])
        function = builder.module.declare_intrinsic("llvm.prefetch", [pointer.type], kind)
        # For reading, into all levels, of data.
        builder.call(function, [pointer, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(array, index), generate


@overload(fetch)
def _fetch(array: Any, index: Any) -> Any:
    def in_kernel(array: Any, index: Any) -> Any:
        return _prefetch(array, index)

    return in_kernel


def _cache_of(function: Callable) -> Any:
    try:
        return _Cache(function)
    except Exception as error:  # numba's RuntimeError for no folder that can be written to, or the system's own errors
        _tell("nowhere", f"there is no folder in which compiled kernels could be kept ({_reason(error)})")
        return NullCache()


class _Damaged(Exception):
    """A file of the cache does not hold the bytes that were written."""


class _Cache(FunctionCache):
    """numba's cache of one kernel, whose errors end in compiling again."""

    def __init__(self, function: Callable) -> None:
        # By the whole name of the module: code remembers its module, and one file may be loaded under two names.
        module = function.__module__

        class Impl(CompileResultCacheImpl):
            def get_filename_base(self, fullname: str, abiflags: str) -> str:
                return f"{module.rpartition('.')[0]}.{super().get_filename_base(fullname, abiflags)}"

        self._impl_class = Impl
        super().__init__(function)
        self._cache_file = _SealedFile(
            self._cache_path, self._impl.filename_base, self._impl.locator.get_source_stamp()
        )

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            # numba's own `load_overload` first loads all that compiling takes, half as long as the start of a run takes
            # without it; who compiles loads it anyway.  Kept code needs the counting of references alone.
            rtsys.initialize(target_context)
            return self._load_overload(sig, target_context)
        except Exception as error:
            _tell("read", f"{self._cache_path}: what is kept of compiled kernels cannot be used ({_reason(error)})")
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except Exception as error:
            _tell("write", f"{self._cache_path}: compiled kernels cannot be kept there ({_reason(error)})")


class _SealedFile(IndexDataCacheFile):
    """Index and code of one kernel on the disk, each behind its SHA-256."""

    def save(self, key: Any, data: Any) -> None:
        try:
            super().save(key, data)
        except (_Damaged, pickle.PickleError, EOFError):  # of the index, which is begun anew
            self._save_index({})
            super().save(key, data)

    def _load_index(self) -> dict[Any, str]:
        try:
            version, stamp, overloads = pickle.loads(_unsealed(self._index_path))
        except FileNotFoundError:
            return {}
        # Pickled apart, since another version of numba need not have the types in it.
        return pickle.loads(overloads) if (version, stamp) == (self._version, self._source_stamp) else {}

    def _save_index(self, overloads: dict[Any, str]) -> None:
        self._write(self._index_path, self._dump((self._version, self._source_stamp, self._dump(overloads))))

    def _load_data(self, name: str) -> Any:
        return pickle.loads(_unsealed(self._data_path(name)))

    def _save_data(self, name: str, data: Any) -> None:
        self._write(self._data_path(name), self._dump(data))

    def _write(self, path: str, data: bytes) -> None:
        with self._open_for_write(path) as file:
            file.write(hashlib.sha256(data).digest() + data)


def _unsealed(path: str) -> bytes:
    content = Path(path).read_bytes()
    if hashlib.sha256(content[_SHA:]).digest() != content[:_SHA]:
        raise _Damaged(f"{Path(path).name} is damaged")
    return content[_SHA:]


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _tell(kind: str, what: str) -> None:
    """Warns once a process of each kind: a kernel here is one of some fifty."""
    if kind not in _told:
        _told.add(kind)
        warnings.warn(
            f"{what}: they are compiled again, which takes a minute or two; results are the same. To keep them, set "
            "NUMBA_CACHE_DIR to a folder that you may write to, with some 50 MB of room",
            RunWarning,
            stacklevel=2,
        )
