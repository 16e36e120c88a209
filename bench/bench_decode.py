"""Decode one perception frame of 60 objects, both forms, beside msgpack into Python objects."""

import msgpack
import msgspec
import numpy as np

from bench.scene import Scene, corridor
from bench.timing import interleaved, ratios
from cloudctl.fusion import decode_batch
from cloudctl.schema import Perception


def run() -> str:
    """Return the table: one frame and many, decoded as bytes and as maps."""
    scene = Scene(corridor()[0], n=60)
    columns = scene.columns(0)
    maps = [{name: float(values[index]) for name, values in columns.items()} for index in range(60)]
    listed = msgpack.packb(
        [{**row, "id": int(row["id"]), "class": int(row["class"])} for row in maps], use_single_float=True
    )
    message = scene.perception("r", 1, 0)
    block = bytes(msgspec.msgpack.decode(message, type=Perception).objects)
    header = msgspec.msgpack.Decoder(Perception).decode
    blocks = [block] * 32
    assert np.array_equal(decode_batch([block])[0]["id"], decode_batch([listed])[0]["id"])

    durations = interleaved(
        {
            "block form": lambda: decode_batch([block]),
            "block form with its header": lambda: decode_batch([bytes(header(message).objects)]),
            "list of maps": lambda: decode_batch([listed]),
            "list of maps, msgspec to dicts": lambda: msgspec.msgpack.decode(listed),
            "list of maps, msgpack to dicts": lambda: msgpack.unpackb(listed),
        }
    )

    batch = interleaved({"batch": lambda: decode_batch(blocks)})["batch"] / 32
    return (
        ratios(durations, "block form")
        + f"\nblock form in a batch of 32: {batch:.2f} us a frame; must: block <= 5 us, list of maps <= 10 us"
    )
