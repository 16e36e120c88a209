"""The summary at the end of an MCAP file: whether it is there and whole, by its CRC, and the counts it gives."""

import zlib
from enum import StrEnum
from io import BufferedReader
from typing import Final, NamedTuple

from mcap.reader import SeekingReader
from mcap.summary import Summary

from .container import FOOTER, MAGIC, RECORD_HEAD_BYTES
from .parts import UNREADABLE, bounded

FOOTER_BYTES: Final = 20  # its summary's start, its offsets' start, its CRC
CRC_BYTES: Final = 4
END_BYTES: Final = RECORD_HEAD_BYTES + FOOTER_BYTES + len(MAGIC)


class SummaryState(StrEnum):
    """Whether a file has a summary that can be relied upon."""

    WHOLE = "whole"
    ABSENT = "absent"  # the file was cut off, or is still written
    DAMAGED = "damaged"


class CheckedSummary(NamedTuple):
    """What a file's end says; `summary` only where it is whole."""

    state: SummaryState
    summary: Summary | None


def read_summary(file: BufferedReader) -> CheckedSummary:
    """Return the summary of a file, checked against its CRC where it has one. Raises OSError."""
    size = file.seek(0, 2)
    if size < len(MAGIC) + END_BYTES:
        return CheckedSummary(SummaryState.ABSENT, None)

    file.seek(size - END_BYTES)
    end = file.read(END_BYTES)
    is_footer = end[0] == FOOTER and int.from_bytes(end[1:RECORD_HEAD_BYTES], "little") == FOOTER_BYTES

    if not end.endswith(MAGIC) or not is_footer:
        return CheckedSummary(SummaryState.ABSENT, None)

    start = int.from_bytes(end[RECORD_HEAD_BYTES : RECORD_HEAD_BYTES + 8], "little")
    crc_place = size - len(MAGIC) - CRC_BYTES
    crc = int.from_bytes(end[-len(MAGIC) - CRC_BYTES : -len(MAGIC)], "little")

    if start == 0:
        return CheckedSummary(SummaryState.ABSENT, None)
    if not len(MAGIC) <= start <= crc_place:
        return CheckedSummary(SummaryState.DAMAGED, None)

    file.seek(start)
    if crc and zlib.crc32(file.read(crc_place - start)) != crc:
        return CheckedSummary(SummaryState.DAMAGED, None)

    file.seek(0)  # the reader begins where the file stands
    try:
        summary = SeekingReader(bounded(file)).get_summary()
    except UNREADABLE:
        return CheckedSummary(SummaryState.DAMAGED, None)

    return CheckedSummary(SummaryState.DAMAGED if summary is None else SummaryState.WHOLE, summary)
