"""Detections and tracks as arrays, and what is taken for detections: by the names of its columns, or refused with the
reason and the remedy.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _core

Rows = NDArray[Any]

CLASS = "class"  # what C calls cls
MAX_SCAN: int = _core.BOUNDS["scan"]  # detections of one scan
RULES = {  # of what is measured of a road user, as cext/check.c holds them: most, unit, remedy
    **dict.fromkeys(("vx", "vy"), (150.0, "m/s", "Divide km/h by 3.6; leave a velocity out that was not measured")),
    **dict.fromkeys(
        ("length", "width", "height"),
        (100.0, "m, and at least 0.001", "Divide centimetres by 100; leave a size out that was not measured"),
    ),
    **dict.fromkeys(
        ("var_x", "var_y"), (1e6, "m^2", "Square metres, not millimetres; leave a variance out that is not known")
    ),
}
HOW = "Make rows with cloudctl.fusion.detections(xy, vx=..., length=...)"


def _dtype(layout: Sequence[tuple[str, str, int, int]], size: int) -> np.dtype[Any]:
    """Return the dtype of a C struct from the layout the compiler gave it."""
    names, kinds, sizes, offsets = zip(*layout, strict=True)
    return np.dtype(
        {
            "names": [CLASS if name == "cls" else name for name in names],
            "formats": [f"{kind}{bytes_}" for kind, bytes_ in zip(kinds, sizes, strict=True)],
            "offsets": list(offsets),
            "itemsize": size,
        }
    )


DETECTION = _dtype(_core.DETECTION_LAYOUT, _core.DETECTION_SIZE)
TRACK = _dtype(_core.TRACK_LAYOUT, _core.TRACK_SIZE)
COLUMNS: tuple[str, ...] = DETECTION.names or ()
MEASURED = tuple(name for name in COLUMNS if DETECTION[name].kind == "f")  # NaN where not measured
HIGHEST = {name: int(np.iinfo(DETECTION[name]).max) for name in COLUMNS if name not in MEASURED} | {
    CLASS: _core.LIMITS["classes"] - 1
}


def detections(xy: ArrayLike, **columns: ArrayLike | None) -> Rows:
    """Return rows for `Fusion.update`, one per position: NaN, "not measured", in every column that is not given.

    xy: [n, 2], metres east and north. Each column is one value for all rows, or one value per row: vx, vy (m/s);
    heading (rad, counter-clockwise from east);
    length, width, height (m, over 0); var_x, var_y (m^2, over 0), cov_xy (m^2); confidence (0..1); class_ (ObjectClass,
    0 is unknown);
    id, which a source of tracks gives; vehicle, the number (over 0) under which a connected vehicle reports. Raises
    TypeError for what is no array of numbers and
    for an unknown column, ValueError for a wrong shape and for a whole number out of range.
    """
    places = _numbers("xy", xy)
    if places.size == 0:
        places = np.empty((0, 2))

    if places.ndim != 2 or places.shape[1] != 2:
        raise ValueError(
            f"xy has the shape {places.shape}: must be (n, 2), a row per detection. Use np.column_stack([x, y])"
        )

    rows = np.zeros(len(places), DETECTION)
    for name in MEASURED:
        rows[name] = np.nan

    rows["x"], rows["y"] = places[:, 0], places[:, 1]
    for given, values in columns.items():
        name = CLASS if given in ("class_", "cls") else given
        if name not in COLUMNS or name in "xy":
            others = ", ".join("class_" if one == CLASS else one for one in COLUMNS if one not in "xy")
            raise TypeError(f"there is no column {given!r}: there are {others}")
        if values is not None:
            _put(rows, name, _numbers(given, values))

    return rows


def as_rows(given: object) -> Rows:
    """Return what was given as detections as a contiguous ndarray[DETECTION]: columns go by their names, in any order,
    type and byte order.

    An array of numbers of the shape (n, 2) is taken for positions. Raises TypeError for anything that could be taken
    wrong.
    """
    if type(given) is np.ndarray and given.dtype is DETECTION and given.ndim == 1:
        return np.ascontiguousarray(given)
    if not isinstance(given, np.ndarray):
        raise TypeError(f"detections is {type(given).__name__}: must be an array. {HOW}")

    names = given.dtype.names
    if isinstance(given, np.ma.MaskedArray):
        raise TypeError(f"detections is a masked array, whose mask would be lost. {HOW}, with NaN where not measured")

    if names is None:
        if given.size == 0 or (given.ndim == 2 and given.shape[1] == 2):
            return detections(given)
        raise TypeError(
            f"detections is an array of {given.dtype} of the shape {given.shape}: without columns it must be positions,"
            f" (n, 2). {HOW}"
        )

    if given.ndim != 1:
        raise TypeError(
            f"detections has the shape {given.shape}: must be (n,), a row per detection. Use rows.reshape(-1)"
        )

    if given.dtype == DETECTION:
        return np.ascontiguousarray(given)

    unknown = [name for name in names if name not in COLUMNS and (name != "cls" or CLASS in names)]
    if unknown or "x" not in names or "y" not in names:
        raise TypeError(
            f"detections has the columns {', '.join(names)}: must be x, y and others of {', '.join(COLUMNS)}. {HOW}"
        )

    if (
        len(names) == len(COLUMNS)
        and all(given.dtype[name] == DETECTION[name] for name in COLUMNS if name in names)
        and "cls" not in names
    ):
        rows = np.zeros(len(given), DETECTION)  # the same columns in another layout, as np.concatenate makes it
        for name in COLUMNS:
            rows[name] = given[name]
        return rows

    plain = {name: _numbers(name, given[name]) for name in names}
    return detections(np.column_stack([plain.pop("x"), plain.pop("y")]), **plain)


def explain(rows: Rows, row: int, name: str) -> str:
    """Return why a value of a row cannot be used, and what to do."""
    value = rows[name][row]
    if name in "xy":
        return f"{name} = {value}: a position must be finite and within 1,000 km. Leave the row out"
    if name == CLASS:
        return f"class = {value}: must be 0..{HIGHEST[CLASS]}, an ObjectClass. 0 is unknown"
    if not np.isfinite(value):
        return f"{name} = {value}: must be finite, or NaN when not measured. Leave the row out"
    if name == "confidence":
        return f"confidence = {value}: must be within 0..1, or NaN when not measured. Divide percent by 100"

    if name in RULES and (abs(value) > RULES[name][0] or value > 0):
        most, unit, remedy = RULES[name]
        return f"{name} = {value}: must be at most {most:g} {unit}, or NaN when not measured. {remedy}"

    zeros = (
        f". Rows of np.zeros say that everything was measured as 0, the velocity too: {HOW[0].lower()}{HOW[1:]}"
        if value == 0
        else f". {HOW}"
    )
    return f"{name} = {value}: must be over 0, or NaN when not measured{zeros}"


def whole_numbers(name: str, given: object, dtype: type[np.integer[Any]]) -> NDArray[Any]:
    """Return a fresh array of whole numbers, which nobody else can change meanwhile; TypeError for others, ValueError
    for one that `dtype` cannot hold.
    """
    if type(given) is np.ndarray and given.dtype == dtype and given.ndim == 1:
        return given.copy()

    values = _numbers(name, given)
    if values.size == 0:
        values = values.astype(np.int64)

    if values.dtype.kind not in "iu" or values.ndim != 1:
        raise TypeError(
            f"{name} is an array of {values.dtype} of the shape {values.shape}: must be whole numbers, (n,). Use"
            f" np.array(values, np.{dtype.__name__})"
        )

    bounds = np.iinfo(dtype)
    wrong = np.flatnonzero((values < bounds.min) | (values > bounds.max))
    if len(wrong):
        raise ValueError(
            f"{name}[{wrong[0]}] = {values[wrong[0]]}: must be within {bounds.min}..{bounds.max}. Leave the frame out"
        )

    return np.array(values, dtype)


def _numbers(name: str, given: object) -> NDArray[Any]:
    """Return an array of numbers as it is; TypeError for masks, texts, objects and columns."""
    if isinstance(given, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array, whose mask would be lost. Use {name}.filled(np.nan)")

    try:
        values = np.asarray(given)
    except ValueError as error:
        raise TypeError(f"{name} is not an array of numbers: {error}. Make its rows alike") from error

    if values.size and values.dtype.kind not in "iuf":
        raise TypeError(
            f"{name} is of {values.dtype}: must be numbers. Use NaN for what was not measured, and an array with one"
            " value per row"
        )

    return values


def _put(rows: Rows, name: str, values: NDArray[Any]) -> None:
    if values.shape not in ((), rows.shape):
        raise ValueError(
            f"{name} has the shape {values.shape}: must be one value, or {rows.shape} as there are rows. Give it for"
            " every row, NaN where not measured"
        )

    if name in MEASURED:
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused as that
            rows[name] = values
        return

    wrong = np.flatnonzero(~((values >= 0) & (values <= HIGHEST[name]) & (values == np.floor(values))))
    if len(wrong):
        value = values.reshape(-1)[wrong[0]]
        raise ValueError(
            f"{name}[{wrong[0]}] = {value}: must be a whole number within 0..{HIGHEST[name]}. Leave the column out"
            " where it is not known"
        )

    rows[name] = values
