"""Byte order marks: editors of some systems put one before any text, and no format read here counts it as content."""

import codecs
import re
from pathlib import Path

# The marks of UTF-32 begin with those of UTF-16, so they come first.
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (codecs.BOM_UTF8, "utf-8"),
)
XML_ENCODING = re.compile(r"""^(\s*<\?xml[^>]*?)\s+encoding\s*=\s*["'][^"']*["']""")
TEXT_BYTES = re.compile(rb"[\x09\x0a\x0d\x20-\x7e\x80-\xff]*")  # control characters are of no text


def without_mark(data: bytes) -> bytes:
    """Return a text without its byte order mark, in UTF-8; anything else as it is. Raises UnicodeDecodeError for a mark
    before other text."""
    for mark, encoding in MARKS:
        if not data.startswith(mark):
            continue

        # The text may declare what it likes: the mark decides
        if encoding == "utf-8":
            if TEXT_BYTES.fullmatch(data, len(mark), len(mark) + 4096):
                return data[len(mark) :]
            return data

        text = data[len(mark) :].decode(encoding)
        # It is no longer in the encoding that it declares
        return XML_ENCODING.sub(r"\1", text).encode()

    return data


def read_text(path: Path) -> str:
    """Return the text of a file, without its byte order mark. Raises OSError and UnicodeDecodeError."""
    return without_mark(path.read_bytes()).decode()
