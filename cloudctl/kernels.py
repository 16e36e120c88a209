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
import re
import shutil
import sys
import tempfile
import threading
import types
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, overload

import numba
import numpy as np
from numba import njit as numba_njit  # noqa: TID251
from numba.extending import is_jitted

F = TypeVar("F", bound=Callable[..., Any])

KEPT_VERSIONS = 2  # folders of one kernel: the present version, and the one to roll back to
MIN_UNUSED = 3600  # s before a folder is removed: a process of that version may still be starting
DIGEST_SIZE = 12  # bytes

# Code of these is known by its name and by VERSIONS; that of all other packages by what is in it.
FOREIGN = sys.stdlib_module_names | {"numpy", "numba", "llvmlite"}
VERSIONS = f"{sys.implementation.cache_tag} {sys.flags.optimize} {numba.__version__} {np.__version__}"
PLAIN = (type(None), bool, int, float, complex, str, bytes, range, type(Ellipsis))  # told apart by their `repr`

LOAD_GLOBAL = dis.opmap["LOAD_GLOBAL"]
EXTENDED_ARG = dis.EXTENDED_ARG

# A class of named fields in a file, and the lines within it that look like fields.
LAYOUT = re.compile(rb"^class \w+\([^)\n]*NamedTuple\b[^)\n]*\):.*\n(?:(?:[ \t].*)?\n)*", re.MULTILINE)
FIELD = re.compile(rb"^[ \t]+(\w+[ \t]*:[^#\n]*)", re.MULTILINE)

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
    if not options.get("cache") or numba.config.DISABLE_JIT:
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
            if os.path.dirname(kernel.stats.cache_path) == str(folder):
                return kernel

    return numba_njit(signature, **options | {"cache": False})(function)


@contextlib.contextmanager
def _numba_caching_in(folder: Path) -> Iterator[None]:
    """Functions that users compile in other ways keep the cache folder they have."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(folder)
    try:
        yield
    finally:
        numba.config.CACHE_DIR = before


def _folder(function: Any, signature: Any, options: dict[str, Any]) -> Path | None:
    """Return the folder of a kernel's cache, which may not be there yet, or None where nothing can be written."""
    package = _package_of(function)
    base = _base(numba.config.CACHE_DIR, package)
    if base is None:
        return None

    digest = hashlib.blake2b(VERSIONS.encode(), digest_size=DIGEST_SIZE)
    digest.update(
        _file_digest(Path(function.__code__.co_filename))
    )  # numba's own condition: an index of another file is overwritten
    digest.update(_layouts(package))
    digest.update(_code_digest(function))
    _count(digest, (signature, options), function)

    name = re.sub(r"[^\w.]", "", f"{function.__module__}.{function.__qualname__}")
    prefix = f"{name}-{sys.implementation.cache_tag}-"
    folder = base / f"{prefix}{digest.hexdigest()}"
    _remove_old(folder, [base / other for other in _versions(base).get(prefix, ()) if other != folder.name])
    return folder


# Where caches are.


def _package_of(function: Any) -> Path:
    """Return the folder of a function's outermost package; without one, the folder that it is in."""
    package = sys.modules.get(function.__module__.partition(".")[0])
    paths = list(getattr(package, "__path__", ()))
    return Path(paths[0]) if paths else Path(function.__code__.co_filename).parent


@functools.cache
def _base(configured: str, package: Path) -> Path | None:
    candidates = [Path(configured)] if configured else []
    candidates.append(package / "__pycache__" / "kernels")
    user_folder = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if os.path.isabs(user_folder):  # not where there is no home
        candidates.append(Path(user_folder) / "cloudctl" / "kernels")
    return next((folder for folder in candidates if _is_writable(folder)), None)


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


@functools.cache
def _versions(base: Path) -> dict[str, list[str]]:
    """Return the names of the folders that each kernel had when this process began, by all of the name but the
    digest."""
    found: dict[str, list[str]] = {}
    for name in os.listdir(base):
        kernel, dash, _ = name.rpartition("-")
        found.setdefault(kernel + dash, []).append(name)
    return found


def _remove_old(folder: Path, others: Iterable[Path]) -> None:
    """Mark a folder as used now, and remove those of other versions that have not been used for long. Other processes
    may be doing the same."""
    with contextlib.suppress(OSError):
        try:
            os.utime(folder)
        except FileNotFoundError:
            folder.mkdir(exist_ok=True)

    ages = []
    for other in others:
        with contextlib.suppress(OSError):
            ages.append((folder.stat().st_mtime - other.stat().st_mtime, other))
    for age, other in sorted(ages)[KEPT_VERSIONS - 1 :]:
        if age > MIN_UNUSED:
            shutil.rmtree(other, ignore_errors=True)


# What a kernel depends on.


@functools.cache
def _file_digest(file: Path) -> bytes:
    return hashlib.blake2b(file.read_bytes(), digest_size=DIGEST_SIZE).digest()


def _sources(package: Path) -> Iterator[tuple[str, bytes]]:
    """Yield path and content of each Python file of a package."""
    for folder, inner, files in os.walk(package):
        inner[:] = sorted(name for name in inner if name != "__pycache__")
        for name in sorted(files):
            if name.endswith(".py"):
                path = os.path.join(folder, name)
                with open(path, "rb", buffering=0) as file:
                    yield path[len(str(package)) :], file.read()


@functools.cache
def _layouts(package: Path) -> bytes:
    """Return a digest of all named tuples of a package: where each stands, and its fields.

    Which of them a kernel is given shows only when it is called, and numba tells them apart by the name of the class
    and the types of its fields, not by their order. They are read from the files because most are imported later.
    """
    digest = hashlib.blake2b(digest_size=DIGEST_SIZE)
    for path, content in _sources(package):
        if b"namedtuple(" in content:
            digest.update(path.encode() + content)
        elif b"NamedTuple" in content:
            for layout in LAYOUT.findall(content):
                heading = layout.partition(b"\n")[0]
                digest.update(b"\n".join((path.encode(), heading, *FIELD.findall(layout), b"")))
    return digest.digest()


@functools.cache
def _everything(package: Path) -> bytes:
    """Return a digest of all files of a package, for what may depend on any of them."""
    digest = hashlib.blake2b(digest_size=DIGEST_SIZE)
    for path, content in _sources(package):
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
    for constant in code.co_consts:
        _count(digest, constant, function, code.co_names)

    for name in global_names(code):
        if name in function.__globals__:
            _count(digest, function.__globals__[name], function, code.co_names)
        elif name != function.__name__ and not hasattr(builtins, name):
            _count_file(digest, function)


def _count_file(digest: Any, function: Any) -> None:
    """Add what a function may call that is defined further down: its file, and all that the file has imported."""
    digest.update(_file_digest(Path(function.__code__.co_filename)))
    for name, value in sorted(function.__globals__.items()):
        if name.startswith("__"):
            continue
        if isinstance(value, types.ModuleType) and not _is_foreign(value.__name__):
            digest.update(_everything(_package_of(function)))
        elif isinstance(value, types.FunctionType) and not _is_foreign(value.__module__):
            digest.update(_file_digest(Path(value.__code__.co_filename)))
        else:
            _count(digest, value, function)


def global_names(code: types.CodeType) -> list[str]:
    """Return the names that code reads from its module. `dis` says the same, too slowly for an import."""
    names, high = [], 0
    for operation, argument in zip(code.co_code[::2], code.co_code[1::2], strict=True):
        if operation == LOAD_GLOBAL:
            names.append(code.co_names[(high | argument) >> 1])  # its lowest bit is about the stack
        high = (high | argument) << 8 if operation == EXTENDED_ARG else 0
    return sorted(set(names))


def _count(digest: Any, value: Any, function: Any, names: Iterable[str] = ()) -> None:
    """Add a value that a function names to a digest. Of a module, those of `names` that it has."""
    digest.update(f"{type(value).__qualname__} ".encode())

    if type(value) in PLAIN:
        digest.update(f"{value!r};".encode())
    elif isinstance(value, types.CodeType):
        _count_code(digest, value, function)
    elif isinstance(value, enum.Enum):
        digest.update(f"{_name(type(value))}.{value.name} = {value.value!r};".encode())
    elif isinstance(value, (tuple, list)):
        _count_items(digest, value, function, names)
    elif isinstance(value, (set, frozenset)):
        _count_items(digest, sorted(value, key=repr), function, names)
    elif isinstance(value, Mapping):
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

    if isinstance(value, (numba.types.Type, np.dtype)):
        digest.update(f"{value!r};".encode())
    elif _is_foreign(_module(wrapped)) and hasattr(wrapped, "__name__"):
        digest.update(f"{_name(wrapped)};".encode())
    elif isinstance(wrapped, types.FunctionType):
        digest.update(_code_digest(wrapped))
    elif isinstance(value, enum.EnumMeta):
        _count_items(digest, list(value.__members__.values()), function, ())
    elif isinstance(value, type) and issubclass(value, tuple):
        fields = getattr(value, "__annotations__", {})
        digest.update(f"{_name(value)} {fields!r};".encode())
        _count(digest, getattr(value, "_field_defaults", {}), function)
    elif isinstance(value, type) and not _module(type(value)).startswith("numba."):
        digest.update(f"{_name(value)};".encode())  # kernels can do nothing with it
    else:
        digest.update(_everything(_package_of(function)))


def _module(value: Any) -> str:
    return str(getattr(value, "__module__", None) or "builtins")


def _name(value: Any) -> str:
    return f"{_module(value)}.{getattr(value, '__qualname__', value.__name__)}"


def _is_foreign(module: str) -> bool:
    return module.partition(".")[0] in FOREIGN
