"""The seam to the C core: memory in, arrays out. No arithmetic here; each part of it is a file of its own."""

import mmap
import os
from weakref import WeakSet

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Malloc
from cpython.pythread cimport (
    NOWAIT_LOCK, PyThread_acquire_lock, PyThread_allocate_lock, PyThread_free_lock, PyThread_release_lock, PyThread_type_lock, WAIT_LOCK)
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t, uintptr_t
from libc.stddef cimport size_t
from libc.string cimport memcpy

import numpy as np

include "core_types.pxi"
include "core_memory.pxi"
include "core_tracker.pxi"
include "core_batch.pxi"
include "core_frames.pxi"

DETECTION_SIZE = sizeof(detection_t)
TRACK_SIZE = sizeof(track_row_t)
TRACK_STATE_BYTES = sizeof(track_t)
SEEN_LATELY = CONFIRMED  # status of a track
KINDS = {"detections": FROM_DETECTIONS, "tracks": FROM_TRACKS, "cooperative": COOPERATIVE}
KIND_NAMES = {number: name for name, number in KINDS.items()}
VERDICTS = {0: "unproven", VELOCITY_TRUSTED: "trusted", VELOCITY_REJECTED: "rejected"}  # on a source's velocities
FEATURES = {"turns": NO_TURNS, "noise": NO_NOISE, "bias": NO_BIAS, "lag": NO_LAG, "life": NO_LIFE, "late": NO_LATE, "merge": NO_MERGE,
            "class": NO_CLASS, "global": NO_GLOBAL, "clock": NO_CLOCK, "resume": NO_RESUME}
LIMITS = {"classes": CLASSES, "sources": SOURCES, "objects": MAX_OBJECTS, "object_bytes": BLOCK_BYTES}
BOUNDS = {"capacity": MAX_CAPACITY, "scan": MAX_SCAN, "time": MAX_TIME}  # tracks of one tracker, detections of one scan, ns from the epoch
STATE_SIZES = (sizeof(fusion_t), sizeof(track_t))


cdef list members(const column_layout_t *field):
    cdef list fields = []
    while field.name != NULL:
        fields.append((field.name.decode(), chr(field.kind), field.size, field.offset))
        field += 1
    return fields


DETECTION_LAYOUT, TRACK_LAYOUT = members(DETECTION_FIELDS), members(TRACK_FIELDS)
