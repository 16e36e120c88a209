"""A test of any importer: what it does not know, on each element that it reads, must show up in its report, its
refusal, or its codes.

Plug an importer in with one `Sample` in tests/codes/test_accounting.py; its file should have every element that the
importer reads.
"""

import copy
import json
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from cloudctl import codes
from cloudctl.codes import CodeError
from cloudctl.codes.formats.importing.accounting import IGNORED_IN_ANY_XML
from cloudctl.codes.report import Imported

ODD = "zzvalue"


class Sample(NamedTuple):
    """One importer and a file for it. `ignored` is the importer's own table; `free` are values of which any text is
    right: path@name -> why.
    """

    name: str
    read: Callable[[bytes], Imported]
    data: bytes
    ignored: Mapping[str, str]
    free: Mapping[str, str] = {}


class Outcome(NamedTuple):
    """What came of one import, as text: the report (with the refusal, if it was one), and the codes."""

    report: str
    codes: str
    refused: bool = False

    def tells(self, word: str) -> bool:
        return word in self.report or word in self.codes


def outcome(sample: Sample, data: bytes) -> Outcome:
    """Return what an importer makes of a file; anything but codes or a CodeError is a failure of its own."""
    try:
        found = sample.read(data)
    except CodeError as error:
        return Outcome("\n".join([str(error), *map(str, error.losses)]), "", refused=True)
    return Outcome("\n".join(map(str, found.losses)), "\n".join(codes.dump(code).decode() for code in found))


def silent_names(sample: Sample) -> list[str]:
    """Return the places where an unknown attribute (or key), and those where an unknown element (or object), goes in
    silence.
    """
    odd = _with_odd_names(sample)
    told = outcome(sample, odd.data)
    return [
        f"{kind} in {path}"
        for word, kind, path in odd.words
        if not told.tells(word) and not _covered(sample, told, path)
    ]


def silent_values(sample: Sample) -> list[str]:
    """Return the values that can be anything in silence: neither reported, nor refused, nor carried into the codes."""
    plain = outcome(sample, sample.data)
    silent = []
    for path, name, first, every in _with_odd_values(sample):
        key = f"{path}@{name}"
        if (
            _ignored(sample, key)
            or key in sample.free
            or f"{_short(path)}@{name}" in sample.free
            or _covered(sample, plain, path)
        ):
            continue
        if f"{_short(path)}@{name}: " in plain.report:  # nothing reads it, and the report says so
            continue
        # The first of its kind may be one that is left out; what is silent there must be loud on all of them.
        # An id that is odd leaves what names it without it: a refusal may name that instead.
        if not any(found.refused or found.tells(ODD) for found in (outcome(sample, file) for file in (first, every))):
            silent.append(key)
    return silent


def _short(path: str) -> str:
    return "/".join(path.split("/")[-2:])


def _ignored(sample: Sample, key: str) -> bool:
    path, _, name = key.rpartition("@")
    table = {**IGNORED_IN_ANY_XML, **sample.ignored}
    return any(form in table for form in (f"@{name}", f"{path.rpartition('/')[2]}@{name}", f"{_short(path)}@{name}"))


def _covered(sample: Sample, told: Outcome, path: str) -> bool:
    """Return whether an element, or one about it, is ignored for a reason, or reported as a whole."""
    parts = path.split("/")
    for k in range(1, len(parts) + 1):
        tag, short = parts[k - 1], "/".join(parts[max(k - 2, 0) : k])
        if tag in sample.ignored or short in sample.ignored:
            return True
        if (
            f"dropped: {short}: element {tag} is not read" in told.report
            or f"dropped: {short}: key {tag} is not read" in told.report
        ):
            return True
    return False


class _Odd(NamedTuple):
    data: bytes
    words: list[tuple[str, str, str]]  # the word to look for, what it is, where


def _with_odd_names(sample: Sample) -> _Odd:
    if sample.data.lstrip()[:1] == b"{":
        return _json_with_odd_names(json.loads(sample.data))
    root = ET.fromstring(sample.data)
    words: dict[str, int] = {}
    for path, element in list(_elements(root)):
        number = words.setdefault(path, len(words))
        element.set(f"zzattribute{number}x", "1")
        ET.SubElement(element, f"zzelement{number}x")
    found = [(f"zzattribute{n}x", "attribute", path) for path, n in words.items()] + [
        (f"zzelement{n}x", "element", path) for path, n in words.items()
    ]
    return _Odd(ET.tostring(root), found)


def _elements(root: ET.Element, path: str = "") -> Iterator[tuple[str, ET.Element]]:
    tag = root.tag.rpartition("}")[2]
    here = f"{path}/{tag}" if path else tag
    yield here, root
    for child in root:
        yield from _elements(child, here)


def _with_odd_values(sample: Sample) -> Iterator[tuple[str, str, bytes, bytes]]:
    """Yield each kind of value as (path, name, file with the first of them odd, file with all of them odd)."""
    if sample.data.lstrip()[:1] == b"{":
        yield from _json_with_odd_values(json.loads(sample.data))
        return
    root = ET.fromstring(sample.data)
    kinds: dict[tuple[str, str], list[ET.Element]] = {}
    for path, element in _elements(root):
        for name in element.attrib:
            kinds.setdefault((path, name), []).append(element)
    for (path, name), elements in kinds.items():
        kept = [element.get(name, "") for element in elements]
        elements[0].set(name, ODD)
        first = ET.tostring(root)
        for element in elements:
            element.set(name, ODD)
        every = ET.tostring(root)
        for element, value in zip(elements, kept, strict=True):
            element.set(name, value)
        yield path, name.rpartition("}")[2], first, every


def _objects(tree: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(tree, dict):
        yield path, tree
        for key, value in list(tree.items()):
            yield from _objects(value, f"{path}/{key}")
    elif isinstance(tree, list):
        for item in tree:
            yield from _objects(item, path)


def _json_with_odd_names(tree: dict[str, Any]) -> _Odd:
    words: dict[str, int] = {}
    for path, item in list(_objects(tree, "message")):
        number = words.setdefault(path, len(words))
        item[f"zzkey{number}x"] = 1
        item[f"zzobject{number}x"] = {"zz": 1}
    found = [(f"zzkey{n}x", "key", path) for path, n in words.items()] + [
        (f"zzobject{n}x", "object", path) for path, n in words.items()
    ]
    return _Odd(json.dumps(tree).encode(), found)


def _json_with_odd_values(tree: dict[str, Any]) -> Iterator[tuple[str, str, bytes, bytes]]:
    kinds: dict[tuple[str, str], None] = {}
    for path, item in _objects(tree, "message"):
        kinds.update(
            dict.fromkeys(
                (path, key) for key, value in item.items() if value is not None and not isinstance(value, dict | list)
            )
        )
    for path, name in kinds:
        files = []
        for every in (False, True):
            changed = copy.deepcopy(tree)
            found = [item for where, item in _objects(changed, "message") if where == path and name in item]
            for item in found if every else found[:1]:
                item[name] = ODD
            files.append(json.dumps(changed).encode())
        yield path, name, files[0], files[1]
