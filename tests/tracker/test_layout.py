"""One definition of every size that C and Python share: dtypes are the structs, limits are the schema's, and no header
constant has a twin.
"""

import ctypes
import re
from collections import Counter
from pathlib import Path

import msgspec
import numpy as np
import pytest
from c_build import build, run
from paths import ROOT

from cloudctl import _core, fusion
from cloudctl.schema import COLUMNS, MAX_OBJECTS, OBJECT_BYTES, ObjectClass

CEXT = ROOT / "cext"
CTYPES = {
    "double": ctypes.c_double,
    "float": ctypes.c_float,
    "int64_t": ctypes.c_int64,
    "uint32_t": ctypes.c_uint32,
    "uint8_t": ctypes.c_uint8,
}


def struct_of(name: str) -> type[ctypes.Structure]:
    """Return a struct as the header writes it, laid out by ctypes: by the platform's rules, not by our tables."""
    body = re.search(r"typedef struct \{[^{}]*\} " + name + ";", (CEXT / "track.h").read_text())
    assert body
    text = re.sub(r"/\*.*?\*/", "", body.group(0), flags=re.DOTALL)
    fields = []
    for kind, members in re.findall(r"(\w+) ([\w, \[\]]+);", text.partition("{")[2].rpartition("}")[0]):
        for member in members.split(","):
            item = re.fullmatch(r"\s*(\w+)(?:\[(\d+)\])?", member)
            assert item
            base = CTYPES[kind]
            fields.append((item.group(1), base * int(item.group(2)) if item.group(2) else base))
    return type(name, (ctypes.Structure,), {"_fields_": fields})


@pytest.mark.parametrize(("name", "dtype"), [("detection_t", fusion.DETECTION), ("track_row_t", fusion.TRACK)])
def test_a_dtype_is_the_struct_of_the_header(name: str, dtype: np.dtype) -> None:
    struct = struct_of(name)
    members = {("class" if n == "cls" else n): getattr(struct, n) for n, _ in struct._fields_ if n != "pad"}
    assert list(dtype.names) == list(members), "every member is in the dtype, in order"
    assert dtype.itemsize == ctypes.sizeof(struct)
    assert {n: (dtype.fields[n][1], dtype.fields[n][0].itemsize) for n in dtype.names} == {
        n: (member.offset, member.size) for n, member in members.items()
    }


def test_the_limits_of_the_core_are_those_of_the_schema() -> None:
    assert {
        "classes": len(ObjectClass),
        "sources": fusion.MAX_SOURCES,
        "objects": MAX_OBJECTS,
        "object_bytes": OBJECT_BYTES,
    } == _core.LIMITS
    assert 4 * (len(COLUMNS) - 1) + 1 == OBJECT_BYTES
    assert len(fusion.Fusion().core.motion()) == len(ObjectClass)


@pytest.mark.parametrize("name", ["classes", "objects", "object_bytes"])
def test_a_core_built_for_another_wire_is_refused_at_import(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_core.LIMITS, name, _core.LIMITS[name] + 1)
    with pytest.raises(ImportError, match=rf"{name} = \d+, schema.py says \d+. Change both"):
        fusion.check_core()


def test_a_class_has_one_number_by_name_in_c_and_in_the_schema() -> None:
    objects = [{"x": 1.0, "y": 2.0, "class": kind.name.lower()} for kind in ObjectClass]
    rows, _, faults = _core.decode_batch([msgspec.msgpack.encode(objects)])
    assert faults == [None]
    assert rows.view(fusion.DETECTION)["class"].tolist() == [int(kind) for kind in ObjectClass]


def test_the_rule_a_sender_reads_names_the_limit_that_is_enforced() -> None:
    _, _, faults = _core.decode_batch(
        [msgspec.msgpack.encode([{}] * (MAX_OBJECTS + 1)), msgspec.msgpack.encode(b"x" * (OBJECT_BYTES + 1))]
    )
    assert str(MAX_OBJECTS) in faults[0][2][0][3]
    assert str(OBJECT_BYTES) in faults[1][2][0][3]


def test_no_constant_of_the_core_is_defined_in_two_files() -> None:
    files = [*CEXT.glob("*.c"), *CEXT.glob("*.h")]
    local = {"D", "T", "END", "KIND", "FIELD"}  # of the table of layouts
    local |= {"SHUFFLE"}  # by compiler
    # the words of models.h, which mean one number in one_track.h and one for each lane in lanes.c
    local |= {"REAL", "MASK", "STATE", "TURNING", "IMM", "STEP", "TURN", "GATE", "LINK", "NAME", "INLINE", "SPLAT"}
    local |= {"CHOOSE", "ABSOLUTE", "ROOT", "EXPONENTIAL", "LOGARITHM"}
    names = Counter(
        name
        for file in files
        for name in re.findall(r"^#define (\w+)", file.read_text(), re.MULTILINE)
        if name not in local
    )
    assert {name for name, n in names.items() if n > 1} == set()
    pyx = "\n".join(path.read_text() for path in (CEXT / "_core.pyx", *sorted(CEXT.glob("*.pxi"))))
    assert not re.findall(r"\[\d{2,}\]|range\(\d+\)|:\d+, :\d+\]", pyx), "sizes come from track.h by name"


@pytest.mark.parametrize(
    ("name", "value"),
    [("MAX_EDGES", 3), ("MAX_EDGES", 40), ("MAX_POSTERIORS", 2), ("MAX_CONFLICTS", 3), ("SOURCES", 9)],
)
def test_a_changed_constant_changes_every_place_that_depends_on_it(name: str, value: int, tmp_path: Path) -> None:
    """The scratch is as large as what is written to it, whatever the constant: the core, built with another, runs clean
    under the sanitizers.
    """
    core = tmp_path / "cext"
    core.mkdir()
    for file in (*CEXT.glob("[a-z]*.c"), *CEXT.glob("*.h")):
        (core / file.name).write_text(file.read_text())
    header = core / "track.h"
    changed, n = re.subn(rf"^#define {name} \d+", f"#define {name} {value}", header.read_text(), flags=re.MULTILINE)
    assert n == 1
    header.write_text(changed)
    (tmp_path / "main.c").write_text(CROWD)
    flags = ["-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", f"-I{core}"]
    sources = [str(file) for file in sorted(core.glob("*.c"))]
    assert "clean" in run(build("gcc", tmp_path / "sane", str(tmp_path / "main.c"), flags, sources))


CROWD = """
#include "track.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CAPACITY = 40, SCAN = 120 };

/* Far more detections within everybody's gate than a track may keep; memory is exactly what was asked for. */
int main(void)
{
    fusion_t *f = malloc(fusion_size(CAPACITY));
    detection_t *z = calloc(SCAN, sizeof *z);
    track_row_t *rows = malloc(CAPACITY * sizeof *rows);
    fusion_init(f, CAPACITY);
    unsigned seed = 1;
    for (int k = 0; k < 60; k++) {
        int32_t n = k % 3 ? SCAN : k % 7;
        for (int32_t j = 0; j < n; j++) {
            detection_t d = {.vx = NAN, .vy = NAN, .heading = NAN, .length = NAN, .width = NAN, .height = NAN, .var_x = NAN, .var_y = NAN, .cov_xy = NAN, .confidence = 0.9f};
            seed = seed * 1664525u + 1013904223u;
            d.x = (double)(seed >> 16) / 65536.0 * 12.0;
            seed = seed * 1664525u + 1013904223u;
            d.y = (double)(seed >> 16) / 65536.0 * 12.0;
            d.cls = (uint8_t)(seed % CLASSES);
            d.vehicle = k % 5 ? 0 : 1 + seed % 50;
            z[j] = d;
        }
        void *scratch = malloc(fusion_scratch(CAPACITY, n));
        fusion_update(f, 100000000LL * k - (k % 4 ? 0 : 250000000LL), k % SOURCES, z, n, scratch);
        fusion_tracks(f, 100000000LL * k, rows);
        free(scratch);
    }
    free(rows);
    free(z);
    free(f);
    puts("clean");
    return 0;
}
"""  # noqa: E501
