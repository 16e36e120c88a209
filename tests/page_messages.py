"""Reading what waits for a page, without a browser."""

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cloudctl.clock import SECOND
from cloudctl.view import columns
from cloudctl.view.columns import FrameKind
from cloudctl.view.player import Player
from cloudctl.view.viewers import Viewer


@dataclass
class Picture:
    """What one message to a page holds."""

    frames: list[tuple[int, Any]] = field(default_factory=list)

    def of(self, kind: FrameKind) -> list[Any]:
        return [value for found, value in self.frames if found == kind]

    @property
    def snapshots(self) -> list[dict[str, Any]]:
        return self.of(FrameKind.SNAPSHOT)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [row for rows in self.of(FrameKind.EVENTS) for row in rows]

    @property
    def player(self) -> dict[str, Any]:
        return self.of(FrameKind.PLAYER)[-1]


def picture_of(viewer: Viewer) -> Picture:
    """Return what waits for a page, decoded, and take it."""
    return decoded(viewer.take())


def decoded(message: bytes) -> Picture:
    """Return the frames of a message; of snapshots the fixed part, tracks as arrays, and names."""
    picture, start = Picture(), 0
    while start < len(message):
        version, kind, _, length = columns.HEAD.unpack_from(message, start)
        assert version == columns.VERSION
        body = message[start + columns.HEAD.size : start + columns.HEAD.size + length]
        if kind == FrameKind.SNAPSHOT:
            picture.frames.append((kind, snapshot(body)))
        elif kind == FrameKind.OVERVIEW:
            picture.frames.append((kind, overview(body)))
        else:
            picture.frames.append((kind, json.loads(body)))
        start += columns.HEAD.size + -(-length // columns.ALIGNMENT) * columns.ALIGNMENT
    return picture


def snapshot(body: bytes) -> dict[str, Any]:
    """Return the body of a snapshot."""
    head = dict(zip(columns.SNAPSHOT_FIELDS, columns.SNAPSHOT_HEAD.unpack_from(body), strict=True))
    start = columns.SNAPSHOT_HEAD.size
    tables: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
    for number, column in columns.SNAPSHOT_ORDER:
        rows = (head["tracks"], head["groups"])[number]
        tables[number][column.name] = np.frombuffer(body, f"<{column.type}", rows, start)
        start += rows * np.dtype(column.type).itemsize
    names = body[start : start + head["names_bytes"]].decode()
    return {
        "t": head["t_ms"],
        "index": head["index"],
        "tracks": tables[0],
        "groups": tables[1],
        "names": names.split("\n") if names else [],
    }


def overview(body: bytes) -> dict[str, Any]:
    """Return the body of an overview."""
    t, rows, _ = columns.OVERVIEW_HEAD.unpack_from(body)
    start, found = columns.OVERVIEW_HEAD.size, {"t": t}
    for _, column in columns.OVERVIEW_ORDER:
        found[column.name] = np.frombuffer(body, f"<{column.type}", rows, start)
        start += rows * np.dtype(column.type).itemsize
    return found


def jump(player: Player, t: int) -> None:
    """Go to a time of a recording, and wait until the picture is there."""
    player._go_to(t)
    while player.tick(SECOND):
        pass
