"""MAP messages in one shape, whichever way they were written: values of ASN.1, JSON of any exchange, XML of XER.

    lists        bare, under their type's or their own name, or their only element by itself -> a list
    choices      (name, value), an object of one key, an object of all keys of which one is not null -> an object of one
    key
    bit strings  in any form that `bit_strings` reads -> an object of the flags that are set
    enumerations text, an object of one key -> text
    names        with or without hyphens, in any case -> those of the standard

Nothing is judged or left out here: what is not known keeps its name and value, for the reader to account for.
"""

import json
import xml.etree.ElementTree as ET
from typing import Any, NamedTuple

from ...findings import refuse
from .bit_strings import read_flags, squeezed
from .names import (
    BIT_STRING_FIELDS,
    CHOICE_FIELDS,
    ENUMERATED_FIELDS,
    ENVELOPE_KEYS,
    LANE_TYPES,
    LIST_FIELDS,
    LISTS_OF_CHOICES,
    LISTS_OF_WORDS,
    STANDARD_NAMES,
)

# What a tree of another shape raises
MALFORMED = (
    KeyError,
    OverflowError,
    TypeError,
    ValueError,
    IndexError,
    AttributeError,
    StopIteration,
)
MAX_NAME = 63  # characters of a DescriptiveName
MAX_DEPTH = 100  # of a message, far beyond any map
Tree = dict[str, Any]


def is_plain_name(text: str) -> bool:
    """Return whether a message can carry a name as it is: 1 to 63 printable ASCII characters."""
    return 1 <= len(text) <= MAX_NAME and text.isascii() and text.isprintable()


class UnwrappedMap(NamedTuple):
    """A MAP taken out of its envelopes, what stood beside it in each of them, and its standard: J2735, YD/T 3709, or ""
    for none of these."""

    tree: Tree
    beside: list[Tree]
    standard: str


def unwrapped(tree: Any) -> UnwrappedMap | None:
    """Return the MAP (an object with `intersections` or `nodes`) within the envelopes that carriers put about it; None
    without one."""
    beside: list[Tree] = []
    for _ in range(MAX_DEPTH):
        if not isinstance(tree, dict):
            return None

        names = {squeezed(str(key)): key for key in tree}
        if "nodes" in names:
            return UnwrappedMap(tree, beside, "YD/T 3709")
        if "intersections" in names:
            return UnwrappedMap(tree, beside, "J2735" if _has_lanes(tree[names["intersections"]]) else "")

        inner_key = next(
            (names[name] for name in ENVELOPE_KEYS if name in names and isinstance(tree[names[name]], dict)), None
        )
        if inner_key is None:
            return None

        beside.append({str(key): value for key, value in tree.items() if key != inner_key})
        tree = tree[inner_key]

    return None


def _has_lanes(value: Any) -> bool:
    """Return whether the first of a list of intersections has lanes, however the list is written."""
    for _ in range(4):
        if isinstance(value, list):
            value = value[0] if value else None

        if not isinstance(value, dict):
            return False
        if any(squeezed(str(key)) == "laneset" for key in value):
            return True

        value = next(iter(value.values()), None)

    return False


def plain_map(tree: Tree) -> Tree:
    """Return a MAP in one shape."""
    return _object(tree, depth=0, top=True)


def _name(key: object) -> str:
    return STANDARD_NAMES.get(squeezed(str(key)), str(key))


def _object(value: Tree, depth: int, *, top: bool = False) -> Tree:
    plain: Tree = {}
    for key, member in value.items():
        if member is None:
            continue

        name = _name(key)
        if name in plain:  # written twice, in two ways
            name = str(key)

        # Of a YD/T 3709 MAP, or of a lane of J2735
        if name != "nodes":
            item_type = LIST_FIELDS.get(name, "")
        elif top:
            item_type = "Node"
        else:
            item_type = "NodeXY"

        if item_type:
            plain[name], beside = _rows(name, member, item_type, depth + 1)
            # What stands in a list's own object beside its items
            plain |= {f"{name} {other}": remark for other, remark in beside.items()}
        else:
            plain[name] = _value(name, member, depth + 1)

    return _in_e7(plain) if "lat" in plain and "long" in plain else plain


def _value(field: str, value: Any, depth: int) -> Any:
    """Return the value of a field that is no list in one shape."""
    if depth > MAX_DEPTH:
        raise refuse(
            where="MAP",
            entity="MAP",
            field=field,
            value=f"{depth} levels",
            rule=f"is nested deeper than {MAX_DEPTH} levels",
            remedy="correct the sender",
        )

    if field in BIT_STRING_FIELDS:
        return read_flags(value, *BIT_STRING_FIELDS[field])
    if field in ENUMERATED_FIELDS:
        return _word(value)
    if field in CHOICE_FIELDS:
        return _choice(field, value, depth)
    if isinstance(value, dict):
        return _object(value, depth)

    if isinstance(value, list | tuple):
        return [_value("", element, depth + 1) for element in value]

    return value


def _in_e7(position: Tree) -> Tree:
    """Return a place in 1e-7 degree; numbers that can only be degrees are taken as such (1e-7 degree of them lie in the
    sea off Africa)."""
    lat, lon = position["lat"], position["long"]
    try:
        north, east = float(lat), float(lon)
    except (TypeError, ValueError):
        return position

    if abs(north) <= 90 and abs(east) <= 180 and any("." in str(value) for value in (lat, lon)):
        return position | {"lat": round(north * 1e7), "long": round(east * 1e7)}

    return position


def _rows(field: str, value: Any, kind: str, depth: int) -> tuple[list[Any], Tree]:
    """Return the items of a list however it is written, and what stands beside them in its object."""
    beside: Tree = {}
    if isinstance(value, dict):
        list_names = {squeezed(kind), squeezed(field), squeezed(kind) + "list"}
        list_keys = [key for key in value if squeezed(str(key)) in list_names]
        # Converters from XER put a list under the name of its field, of its type, or of its type with List
        if len(list_keys) == 1 and not (
            field in LISTS_OF_CHOICES and len(value) > 1 and not isinstance(value[list_keys[0]], list)
        ):
            beside = {
                str(key): element for key, element in value.items() if key != list_keys[0] and element is not None
            }
            items = value[list_keys[0]]
            if isinstance(items, list):
                value = items
            elif items in (None, ""):
                value = []
            else:
                value = [items]
        elif field in LISTS_OF_WORDS:  # XER: an empty element a word
            value = list(value)
        elif field in LISTS_OF_CHOICES:  # XER: an element a choice
            value = [
                {key: choice}
                for key, element in value.items()
                for choice in (element if isinstance(element, list) and key in ENUMERATED_FIELDS else [element])
            ]
        else:
            value = [value] if value else []
    elif not isinstance(value, list | tuple):
        value = [] if value in (None, "") else [value]

    if field in LISTS_OF_WORDS:
        return [_word(element) for element in value], beside
    if field in LISTS_OF_CHOICES:
        return [_choice(field, element, depth + 1) for element in value], beside

    return [_object(element, depth + 1) if isinstance(element, dict) else element for element in value], beside


def _choice(field: str, value: Any, depth: int) -> Any:
    """Return a choice as an object of one key; more than one where the writer made more than one."""
    if isinstance(value, list | tuple) and len(value) == 2 and isinstance(value[0], str):
        value = {value[0]: value[1]}

    # Of XER converters that drop the choice's name
    if field == "nodeList" and isinstance(value, list):
        value = {"nodes": value}

    if not isinstance(value, dict):
        return value
    if field != "laneType":
        return _object(value, depth)

    return {
        _name(key): read_flags(member, *LANE_TYPES[_name(key)]) if _name(key) in LANE_TYPES else member
        for key, member in value.items()
        if member is not None
    }


def _word(value: Any) -> Any:
    """Return the word of an enumeration; XER writes it as an empty element."""
    if isinstance(value, dict):
        return next(iter(value), "")
    if isinstance(value, list | tuple) and value:
        return value[0]
    return value


def xml_tree(data: bytes, where: str) -> Tree:
    """Return an XML document as JSON: elements as objects, repeated ones as lists, the rest as text. Raises
    CodeError."""
    try:
        if b"<!DOCTYPE" in data[:65536] or b"<!ENTITY" in data:
            raise ValueError("a message defines no document type and no entities")
        root = ET.fromstring(data)
    except (ET.ParseError, ValueError, LookupError, RecursionError) as error:
        raise refuse(
            where=where,
            entity="file",
            field="XML",
            value=f"{len(data)} bytes",
            rule=f"cannot be read ({error})",
            remedy="send the message whole",
        ) from None

    return {_tag(root): _element(root, depth=0)}


def _tag(node: ET.Element) -> str:
    return str(node.tag).rpartition("}")[2]


def _element(node: ET.Element, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise refuse(
            where="MAP",
            entity="file",
            field="XML",
            value=f"{depth} levels",
            rule=f"is nested deeper than {MAX_DEPTH} levels",
            remedy="correct the sender",
        )

    children: Tree = {f"@{key.rpartition('}')[2]}": value for key, value in node.attrib.items()}
    for child in node:
        if not isinstance(child.tag, str):
            continue

        name, value = _tag(child), _element(child, depth + 1)
        if name in children:
            children[name] = [*(children[name] if isinstance(children[name], list) else [children[name]]), value]
        else:
            children[name] = value

    text = (node.text or "").strip()
    if not children:
        return text

    return children | {"text": text} if text else children


def load_tree(data: bytes, where: str) -> Tree:
    """Return the tree of a message in JSON or XML. Raises CodeError."""
    text = data.removeprefix(b"\xef\xbb\xbf").strip()
    if text[:1] == b"<":
        return xml_tree(text, where)

    try:
        tree = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise refuse(
            where=where,
            entity="file",
            field="JSON",
            value=f"{len(data)} bytes",
            rule=f"cannot be read ({error})",
            remedy="give whole JSON",
        ) from None

    if not isinstance(tree, dict):
        raise refuse(
            where=where,
            entity="file",
            field="JSON",
            value=type(tree).__name__,
            rule="must be one object",
            remedy="give one message",
        )

    return tree
