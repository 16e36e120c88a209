"""Compiled functions whose cache on disk is never that of another version.

Numba keeps machine code beside the file of a kernel and takes it for valid as long as that one file is unchanged. But
a kernel has more in it than its file: the kernels that it calls, the constants that it names and the layouts of the
tuples that it is given, whatever file they stand in. After an upgrade such a kernel goes on as in the version before,
or numba fails to load it at all, because a class has moved.

`njit` here is called like numba's. The cache of each kernel is a folder of its own that is named by a digest of all
that, so that a change leads to another folder:

    BASE/MODULE.NAME-PYTHON-DIGEST

BASE is the first of these that can be written: NUMBA_CACHE_DIR, `__pycache__/kernels` of the package, the user's cache
folder. Without any, kernels are compiled and not cached. The folders of the two versions used last stay, so that a
roll-back compiles nothing.
"""

import builtins
import contextlib
import dis
import enum
import functools
import hashlib
import os
import shutil
import sys
import tempfile
import threading
import types
import weakref
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar, overload

import numba
import numpy as np
from numba import njit as numba_njit  # noqa: TID251
from numba.core import config as numba_config
from numba.extending import is_jitted

from .python_sources import content_of, python_sources

F = TypeVar("F", bound=Callable[..., Any])

KEPT_VERSIONS = 2  # folders of one kernel: the present version, and the one to roll back to
MIN_UNUSED = 3600  # s before a folder is removed: a process of that version may still be starting
DIGEST_SIZE = 12  # bytes

# Code of these is known by its name and by VERSIONS; that of all other packages by what is in it.
FOREIGN = sys.stdlib_module_names | {"numpy", "numba", "llvmlite"}
VERSIONS = f"{sys.implementation.cache_tag} {sys.flags.optimize} {numba.__version__} {np.__version__}"
PLAIN = frozenset({type(None), bool, int, float, complex, str, bytes, range, type(Ellipsis)})  # `repr` is the value

LOAD_GLOBAL = dis.opmap["LOAD_GLOBAL"]
EXTENDED_ARG = dis.EXTENDED_ARG

config: Any = numba_config  # its settings are in no stub

_decorating = threading.RLock()  # numba's setting of its cache folder is one for all threads
_unfinished: set[Any] = set()  # functions whose digest is being made
_code_digests: "weakref.WeakKeyDictionary[Any, bytes]" = weakref.WeakKeyDictionary()


@overload
def njit(function: F, /) -> F: ...
@overload
def njit(signature: str | list[Any] | tuple[Any, ...], /, **options: Any) -> Callable[[F], F]: ...
@overload
def njit(**options: Any) -> Callable[[F], F]: ...
def njit(signature_or_function: Any = None, /, **options: Any) -> Any:
    """Compile a function as `numba.njit` does, with its options. With `cache=True` the machine code is kept on disk
    for as long as nothing that it was made of has changed."""
    if not options.get("cache") or config.DISABLE_JIT:
        return numba_njit(signature_or_function, **options)

    def decorate(function: Any) -> Any:
        return _cached(function, signature_or_function, options)

    return decorate


def _cached(function: Any, signature: Any, options: dict[str, Any]) -> Any:
    with _decorating:
        try:
            folder = _folder(function, signature, options)
        except OSError:  # of a package in a ZIP archive, say: its files cannot be looked at
            folder = None

        if folder is not None:
            with _numba_caching_in(folder):
                kernel = numba_njit(signature, **options)(function)

            # Numba falls back to folders of its own, which know no versions, where this one cannot be used.
            if os.path.dirname(kernel.stats.cache_path) == folder:
                return kernel

    return numba_njit(signature, **options | {"cache": False})(function)


@contextlib.contextmanager
def _numba_caching_in(folder: str) -> Iterator[None]:
    """Functions that users compile in other ways keep the cache folder they have."""
    before = config.CACHE_DIR
    config.CACHE_DIR = folder
    try:
        yield
    finally:
        config.CACHE_DIR = before


def _folder(function: Any, signature: Any, options: dict[str, Any]) -> str | None:
    """Return the folder of a kernel's cache, which may not be there yet, or None where nothing can be written."""
    package = _package_of(function)
    base = _base(config.CACHE_DIR, package)
    if base is None:
        return None

    digest = hashlib.blake2b(_layouts(package), digest_size=DIGEST_SIZE)
    digest.update(_file_digest(function.__code__.co_filename))  # numba overwrites the index of another file
    digest.update(_code_digest(function))
    _count(digest, (signature, options), function)

    kernel = f"{function.__module__}.{function.__qualname__}-{sys.implementation.cache_tag}-"
    kernel = kernel.replace("<", "").replace(">", "")
    name = kernel + digest.hexdigest()
    others = [other for other in _versions(base).get(kernel, ()) if other != name]
    if others:
        _remove_old(os.path.join(base, name), [os.path.join(base, other) for other in others])
    return os.path.join(base, name)


# Where caches are.


def _package_of(function: Any) -> str:
    """Return the folder of a function's outermost package; without one, the folder that it is in."""
    package = sys.modules.get(function.__module__.partition(".")[0])
    paths = list(getattr(package, "__path__", ()))
    return str(paths[0]) if paths else os.path.dirname(os.path.abspath(function.__code__.co_filename))


@functools.cache
def _base(configured: str, package: str) -> str | None:
    candidates = [Path(configured)] if configured else []
    candidates.append(Path(package, "__pycache__", "kernels"))
    user_folder = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if os.path.isabs(user_folder):  # not where there is no home
        candidates.append(Path(user_folder, "cloudctl", "kernels"))
    return next((str(folder) for folder in candidates if _is_writable(folder)), None)


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


@functools.cache
def _versions(base: str) -> dict[str, list[str]]:
    """Return the names of the folders that each kernel had when this process began, by all of the name but the
    digest."""
    found: dict[str, list[str]] = {}
    for name in os.listdir(base):
        kernel, dash, _ = name.rpartition("-")
        found.setdefault(kernel + dash, []).append(name)
    return found


def _remove_old(folder: str, others: list[str]) -> None:
    """Mark a folder as used now, and remove those of other versions that have not been used for long. Other processes
    may be doing the same."""
    with contextlib.suppress(OSError):
        try:
            os.utime(folder)
        except FileNotFoundError:
            os.makedirs(folder, exist_ok=True)
    if len(others) < KEPT_VERSIONS:
        return

    unused = []
    for other in others:
        with contextlib.suppress(OSError):
            unused.append((os.stat(folder).st_mtime - os.stat(other).st_mtime, other))
    for seconds, other in sorted(unused)[KEPT_VERSIONS - 1 :]:
        if seconds > MIN_UNUSED:
            shutil.rmtree(other, ignore_errors=True)


# What a kernel depends on.


@functools.cache
def _file_digest(file: str) -> bytes:
    return hashlib.blake2b(content_of(file), digest_size=DIGEST_SIZE).digest()


@functools.cache
def _layouts(package: str) -> bytes:
    """Return a digest of all named tuples of a package: where each stands, and its fields.

    Which of them a kernel is given shows only when it is called, and numba tells them apart by the name of the class
    and the types of its fields, not by their order. They are read from the files because most are imported later.
    """
    digest = hashlib.blake2b(VERSIONS.encode(), digest_size=DIGEST_SIZE)
    for path, content in python_sources(package):
        if b"namedtuple(" in content:
            digest.update(path.encode() + content)
        elif b"NamedTuple" in content:
            for line in _layout_lines(content):
                digest.update(path.encode() + line)
    return digest.digest()


def _layout_lines(content: bytes) -> Iterator[bytes]:
    """Yield the heading of each named tuple in a file, and the lines within it that may be fields."""
    for block in (b"\n" + content).split(b"\nclass ")[1:]:
        heading, *lines = block.split(b"\n")
        if b"NamedTuple" in heading:
            yield heading
            for line in lines:
                if line and not line[:1].isspace():
                    break
                if b":" in line:
                    yield line.partition(b"#")[0].strip()


@functools.cache
def _everything(package: str) -> bytes:
    """Return a digest of all files of a package, for what may depend on any of them."""
    digest = hashlib.blake2b(digest_size=DIGEST_SIZE)
    for path, content in python_sources(package):
        digest.update(path.encode() + b"\0" + content + b"\0")
    return digest.digest()


def _code_digest(function: Any) -> bytes:
    """Return a digest of a function's code and of all that it names, wherever that stands."""
    if function in _code_digests:
        return _code_digests[function]
    if function in _unfinished:  # functions that call one another
        return _everything(_package_of(function))
    _unfinished.add(function)

    digest = hashlib.blake2b(digest_size=DIGEST_SIZE)
    _count(digest, (function.__defaults__, function.__kwdefaults__), function)
    _count_code(digest, function.__code__, function)
    for cell in function.__closure__ or ():
        try:
            _count(digest, cell.cell_contents, function)
        except ValueError:  # nothing in it yet
            _count_file(digest, function)

    _unfinished.remove(function)
    _code_digests[function] = digest.digest()
    return _code_digests[function]


def _count_code(digest: Any, code: types.CodeType, function: Any) -> None:
    digest.update(repr((code.co_code, code.co_names, code.co_varnames, code.co_argcount, code.co_flags)).encode())
    _count(digest, code.co_consts, function, code.co_names)

    for name in sorted(global_names(code)):
        if name in function.__globals__:
            _count(digest, function.__globals__[name], function, code.co_names)
        elif name != function.__name__ and not hasattr(builtins, name):
            _count_file(digest, function)


def _count_file(digest: Any, function: Any) -> None:
    """Add what a function may call that is defined further down: its file, and all that the file has imported."""
    digest.update(_file_digest(function.__code__.co_filename))
    for name, value in sorted(function.__globals__.items()):
        if name.startswith("__"):
            continue
        if isinstance(value, types.ModuleType) and not _is_foreign(value.__name__):
            digest.update(_everything(_package_of(function)))
        elif isinstance(value, types.FunctionType) and not _is_foreign(value.__module__):
            digest.update(_file_digest(value.__code__.co_filename))
        else:
            _count(digest, value, function)


def global_names(code: types.CodeType) -> set[str]:
    """Return the names that code reads from its module. `dis` says the same, too slowly for an import."""
    operations, arguments = code.co_code[::2], code.co_code[1::2]
    names, place = set(), operations.find(LOAD_GLOBAL)
    while place >= 0:
        argument = arguments[place]
        for before in range(1, 4):  # an argument of more than a byte: its higher bytes come before it
            if place < before or operations[place - before] != EXTENDED_ARG:
                break
            argument |= arguments[place - before] << 8 * before
        names.add(code.co_names[argument >> 1])  # the lowest bit is about the stack
        place = operations.find(LOAD_GLOBAL, place + 1)
    return names


def _count(digest: Any, value: Any, function: Any, names: Iterable[str] = ()) -> None:
    """Add a value that a function names to a digest. Of a module, those of `names` that it has."""
    kind = type(value)
    items = value if kind is tuple else value.values() if kind is dict else ()
    if kind in PLAIN or (kind in (tuple, dict) and PLAIN.issuperset(map(type, items))):
        digest.update(f"{value!r};".encode())
        return

    digest.update(f"{kind.__qualname__} ".encode())
    if isinstance(value, types.CodeType):
        _count_code(digest, value, function)
    elif isinstance(value, enum.Enum):
        digest.update(f"{_name(type(value))}.{value.name} = {value.value!r};".encode())
    elif isinstance(value, (tuple, list)):
        _count_items(digest, value, function, names)
    elif isinstance(value, (set, frozenset)):
        _count_items(digest, sorted(value, key=repr), function, names)
    elif isinstance(value, (dict, types.MappingProxyType)):
        _count_items(digest, [*value.keys(), *value.values()], function, names)
    elif isinstance(value, (np.ndarray, np.generic)):
        array = np.asarray(value)
        digest.update(f"{array.dtype!r} {array.shape} {array.flags.c_contiguous};".encode() + array.tobytes())
    elif isinstance(value, types.ModuleType):
        _count_module(digest, value, function, names)
    elif is_jitted(value):
        digest.update(_code_digest(value.py_func))
        _count(digest, value.targetoptions, function)
    else:
        _count_object(digest, value, function)


def _count_items(digest: Any, items: Iterable[Any], function: Any, names: Iterable[str]) -> None:
    for item in items:
        _count(digest, item, function, names)
    digest.update(b";")


def _count_module(digest: Any, module: types.ModuleType, function: Any, names: Iterable[str]) -> None:
    digest.update(f"{module.__name__};".encode())
    if not _is_foreign(module.__name__):
        for name in names:
            if hasattr(module, name):
                _count(digest, getattr(module, name), function, names)


def _count_object(digest: Any, value: Any, function: Any) -> None:
    """Add a function, a class, or something of numba or numpy. What is none of these may be made of anything."""
    wrapped = getattr(value, "__wrapped__", value)  # of an intrinsic: the function that compiles it

    if _is_foreign(_module(wrapped)) and hasattr(wrapped, "__name__"):
        digest.update(f"{_name(wrapped)};".encode())
    elif isinstance(wrapped, types.FunctionType):
        digest.update(_code_digest(wrapped))
    elif isinstance(value, enum.EnumMeta):
        digest.update(_members(value))
    elif isinstance(value, type) and issubclass(value, tuple):
        fields = getattr(value, "__annotations__", {})
        digest.update(f"{_name(value)} {fields!r};".encode())
        _count(digest, getattr(value, "_field_defaults", {}), function)
    elif isinstance(value, type) and not _module(type(value)).startswith("numba."):
        digest.update(f"{_name(value)};".encode())  # kernels can do nothing with it
    elif isinstance(value, (np.dtype, numba.types.Type)):
        digest.update(f"{value!r};".encode())
    else:
        digest.update(_everything(_package_of(function)))


@functools.cache
def _members(enumeration: enum.EnumMeta) -> bytes:
    members: Any = enumeration.__members__
    values = {name: member.value for name, member in members.items()}
    return f"{_name(enumeration)} {values!r};".encode()


def _module(value: Any) -> str:
    return str(getattr(value, "__module__", None) or "builtins")


def _name(value: Any) -> str:
    return f"{_module(value)}.{getattr(value, '__qualname__', value.__name__)}"


def _is_foreign(module: str) -> bool:
    return module.partition(".")[0] in FOREIGN
