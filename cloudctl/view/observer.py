"""Collects what open pages show, once a step of the engine. While no page is open it keeps only the newest refusals and
traffic reports.

Everything a page sees is encoded once and given to each page that watches it. Nothing here changes what the engine
does: it reads worlds that were planned anyway, and asks an intersection to note what it withholds only while a page
watches that intersection.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec

from ..clock import MS, SECOND
from ..engine import Engine, Output
from ..intersection import IntersectionState
from ..schema import Advisory, RawMessage, Reject
from ..traffic_messages import Traffic
from .city import CityFrames
from .columns import FrameKind, json_frame, snapshot
from .detail import Hops, detail_of
from .errors import ViewError
from .events import AdvisoryEvent, NoticeEvent, RejectEvent, advisory_event
from .latency import RecentLatency
from .scene import MAX_SCENES, scene_of
from .status import Withholding, status_of
from .viewers import MAX_WATCHED, Request, Viewer
from .zone import Zone

STATUS_INTERVAL = SECOND  # between two frames of sensors, traffic and gates
DETAIL_INTERVAL = 190 * MS  # between two frames of a selected track: every second plan
MAX_RECENT = 50  # refusals and notices that a page gets when it is opened
MAX_VIEWERS = 64  # open pages of one node

Mode = Literal["live", "recording"]


class Observer:
    """What open pages are shown of an engine. `observe` after every step; `viewers` are the open pages."""

    def __init__(self, engine: Engine, mode: Mode = "live", about: dict[str, Any] | None = None) -> None:
        """`about`: what else the pages are to know of the source, for their headline."""
        self.viewers: list[Viewer] = []
        self.city = CityFrames(list)
        self.encoded = 0  # snapshots; a test holds that none is made while no page is open
        self._mode, self._about = mode, about or {}
        self._recent: deque[bytes] = deque(maxlen=MAX_RECENT)
        self._traffic: dict[str, Traffic] = {}
        self._scenes: dict[tuple[int, int], bytes] = {}  # by intersection and revision
        self._withholding: dict[int, Withholding] = {}
        self._hops: dict[str, Hops] = {}  # of vehicles that a page has selected
        self._watchers: dict[int, list[Viewer]] = {}
        self._due: dict[int, int] = {}  # when the next status of an intersection is
        self._encode = msgspec.json.Encoder().encode
        self.bind(engine)
        self._hello = self._make_hello()

    def bind(self, engine: Engine) -> None:
        """Show another engine of the same intersections: a recording's after a jump."""
        self._engine = engine
        self._places: list[IntersectionState] = list(engine.intersections.values())
        self.names = [intersection.code.code.id for intersection in self._places]
        self.index = {name: index for index, name in enumerate(self.names)}
        self._zone = Zone(self._places)
        self._latency = RecentLatency(engine.metrics)
        self._node_due = 0
        self._traffic.clear()
        self._due.clear()
        self._watch_again()

    # --- pages that open, ask and close ---

    def open(self, wake: Callable[[], None]) -> Viewer:
        """Return a new page's viewer, with what it begins with. Raises ViewError where there are MAX_VIEWERS
        already.
        """
        if len(self.viewers) >= MAX_VIEWERS:
            raise ViewError(
                field="viewers",
                value=len(self.viewers) + 1,
                rule=f"at most {MAX_VIEWERS} pages can be open at a time",
                remedy="close one that nobody looks at",
            )

        viewer = Viewer(wake)
        self.viewers.append(viewer)
        viewer.put((FrameKind.HELLO, 0), self._hello)
        self.city.show([viewer])
        for row in self._recent:
            viewer.add_event(row)
        return viewer

    def close(self, viewer: Viewer) -> None:
        """Forget a page."""
        self.viewers.remove(viewer)
        self._watch_again()

    def ask(self, viewer: Viewer, request: Request) -> None:
        """Take in what a page wants to see. Raises ViewError, and changes nothing then."""
        wanted = viewer.watched if request.watch is None else tuple(dict.fromkeys(request.watch))
        selected = viewer.selected if request.select is None else request.select

        if len(wanted) > MAX_WATCHED:
            raise ViewError(
                field="watch",
                value=f"{len(wanted)} intersections",
                rule=f"at most {MAX_WATCHED} are shown in full",
                remedy="look closer, so that fewer are in view",
            )

        for field, index in (*(("watch", index) for index in wanted), *([("select", selected[0])] if selected else [])):
            if not 0 <= index < len(self._places):
                raise ViewError(
                    field=field,
                    value=index,
                    rule=f"intersections are numbered 0 .. {len(self._places) - 1}",
                    remedy="use the numbers of the hello",
                )

        viewer.watched = wanted
        viewer.selected = None if selected is None or selected[1] < 0 else selected
        if request.select is not None:
            viewer.vehicle, viewer.detailed = None, 0
            self._keep_hops()

        viewer.zone = viewer.zone if request.zone is None else request.zone
        self._watch_again()

        if request.watch is not None:
            for index in wanted:
                self._show(viewer, index)

        if request.select is not None and viewer.selected is not None:
            self._show_selected(viewer)

    def watching(self, index: int) -> list[Viewer]:
        """Return the pages that watch an intersection."""
        return self._watchers.get(index, [])

    def _begin_again(self) -> None:
        """Take in that the node serves other intersections now: pages get a new list, and ask again for what is in
        view.
        """
        for viewer in self.viewers:
            viewer.watched, viewer.selected = (), None
            viewer.clear()

        self._scenes.clear()
        self.bind(self._engine)
        self._hello = self._make_hello()

        for viewer in self.viewers:
            viewer.forget_scenes()
            viewer.put((FrameKind.HELLO, 0), self._hello)

    def refresh(self) -> None:
        """Show every page anew what it watches, as it is now: after a jump in a recording."""
        for viewer in self.viewers:
            for index in viewer.watched:
                self._show(viewer, index)
            self._show_selected(viewer)

    def _show(self, viewer: Viewer, index: int) -> None:
        """Send one page an intersection as it was planned last, its drawing first."""
        intersection = self._places[index]
        self._send_scene(viewer, index, intersection)

        if intersection.latest is not None:
            viewer.put((FrameKind.SNAPSHOT, index), snapshot(index, intersection.latest, intersection.signals))
            viewer.put((FrameKind.STATUS, index), self._status(intersection.latest.t, index, intersection))

        self._due[index] = 0

    def _show_selected(self, viewer: Viewer) -> None:
        """Show the selected track at once: where time stands still, no plan will."""
        if viewer.selected is not None:
            index = viewer.selected[0]
            intersection = self._places[index]
            if intersection.latest is not None:
                self._show_detail(intersection.latest.t, index, intersection, viewer)

    def _watch_again(self) -> None:
        """Note which pages watch which intersection, and which of them are to note what they withhold."""
        self._watchers = {}
        for viewer in self.viewers:
            for index in viewer.watched:
                self._watchers.setdefault(index, []).append(viewer)

        for index, intersection in enumerate(self._places):
            if (intersection.withheld is not None) != (index in self._watchers):
                intersection.withheld = [] if index in self._watchers else None

        self._withholding = {index: self._withholding.get(index) or Withholding() for index in self._watchers}

    def _make_hello(self) -> bytes:
        return json_frame(
            FrameKind.HELLO, {"mode": self._mode, "about": self._about, "intersections": self._zone.listing()}
        )

    def _send_scene(self, viewer: Viewer, index: int, intersection: IntersectionState) -> None:
        revision = intersection.code.code.revision
        if not viewer.needs_scene(index, revision):
            return

        scene = self._scenes.get((index, revision))
        if scene is None:
            if len(self._scenes) >= MAX_SCENES:
                self._scenes.clear()
            scene = self._scenes[index, revision] = json_frame(FrameKind.SCENE, scene_of(intersection.code, index))

        viewer.put((FrameKind.SCENE, index), scene)

    # --- what a step brings ---

    def observe(self, time_ns: int, batch: Sequence[RawMessage], output: Output) -> None:
        """Take in one step at `time_ns`: what it was given and what it returned."""
        if (
            output.rejects
            or output.events
            or output.faults
            or output.errors
            or any(kind == "reject" for _, kind, _ in output.replies)
        ):
            self._note_notices(time_ns, output)

        for report in output.traffic:
            self._traffic[report.intersection] = report
            index = self.index.get(report.intersection)
            if index is not None:
                self._zone.note_traffic(index, report)

        # Refusals and traffic are kept for pages to come; everything below is made for open pages only
        if not self.viewers:
            return

        # In a city the node may have taken over intersections, or given some away
        if len(self._engine.intersections) != len(self._places) or any(
            intersection.code.code.id not in self.index for intersection in output.planned
        ):
            self._begin_again()

        # Only selected vehicles are followed: their reports are decoded once more for it
        if self._hops:
            for datum in batch:
                hops = self._hops.get(datum.sender)
                if hops is not None:
                    hops.received(time_ns, datum)

        for advisory in output.advisories:
            self._note_advisory(time_ns, advisory)

        for intersection in output.planned:
            index = self.index[intersection.code.code.id]
            watchers = self._watchers.get(index)
            if watchers:
                self._show_plan(time_ns, index, intersection, watchers)

        self._show_zone(time_ns)
        self._show_node(time_ns)

    def _show_plan(self, time_ns: int, index: int, intersection: IntersectionState, watchers: list[Viewer]) -> None:
        world = intersection.latest
        if world is None:
            return

        data = snapshot(index, world, intersection.signals)
        self.encoded += 1
        withholding = self._withholding[index]

        if intersection.withheld:
            withholding.note(time_ns, intersection.withheld)
            intersection.withheld.clear()

        status = None
        if time_ns >= self._due.get(index, 0):
            self._due[index] = time_ns + STATUS_INTERVAL
            status = self._status(time_ns, index, intersection)

        for viewer in watchers:
            self._send_scene(viewer, index, intersection)
            viewer.put((FrameKind.SNAPSHOT, index), data)
            if status is not None:
                viewer.put((FrameKind.STATUS, index), status)

            if (
                viewer.selected is not None
                and viewer.selected[0] == index
                and time_ns - viewer.detailed >= DETAIL_INTERVAL
            ):
                viewer.detailed = time_ns
                self._show_detail(time_ns, index, intersection, viewer)

    def _status(self, time_ns: int, index: int, intersection: IntersectionState) -> bytes:
        sources, traffic = self._engine.ingest.sources, self._traffic.get(intersection.code.code.id)
        withholding = self._withholding.get(index) or Withholding()

        return json_frame(
            FrameKind.STATUS,
            status_of(
                time_ns, index, intersection=intersection, sources=sources, traffic=traffic, withholding=withholding
            ),
        )

    def _show_detail(self, time_ns: int, index: int, intersection: IntersectionState, viewer: Viewer) -> None:
        """Show one page the track that it has selected, as it was planned last."""
        world = intersection.latest
        if viewer.selected is None or world is None:
            return

        withholding = self._withholding.get(index) or Withholding()
        detail = detail_of(
            time_ns,
            index,
            intersection=intersection,
            world=world,
            track_id=viewer.selected[1],
            withholding=withholding,
            hops=self._hops,
        )

        viewer.vehicle = detail.get("vehicle")
        self._keep_hops()
        viewer.put((FrameKind.DETAIL, 0), json_frame(FrameKind.DETAIL, detail))

    def _keep_hops(self) -> None:
        """Measure the hops of the vehicles that pages have selected, and of no other."""
        wanted = dict.fromkeys(viewer.vehicle for viewer in self.viewers if viewer.vehicle)
        self._hops = {vehicle: self._hops.get(vehicle) or Hops() for vehicle in wanted}

    def _show_zone(self, time_ns: int) -> None:
        viewers = [viewer for viewer in self.viewers if viewer.zone]
        if not viewers:
            return

        data = self._zone.look(time_ns)
        if data is not None:
            for viewer in viewers:
                viewer.put((FrameKind.OVERVIEW, 0), data)

    def _show_node(self, time_ns: int) -> None:
        if 0 <= self._node_due - time_ns <= SECOND:
            return
        self._node_due = time_ns + SECOND
        if self.city.is_due(time_ns):
            self.city.show(self.viewers)
        body = {"t": time_ns / MS, "stages": self._latency.take(), "viewers": len(self.viewers)}
        for viewer in self.viewers:
            viewer.put((FrameKind.NODE, 0), json_frame(FrameKind.NODE, body | {"dropped": viewer.dropped}))

    # --- what happened ---

    def _note_advisory(self, time_ns: int, advisory: Advisory) -> None:
        index = self.index.get(advisory.intersection, -1)
        self._zone.note_advisory(index)
        hops = self._hops.get(advisory.target.removeprefix("vehicle:"))
        if hops is not None:
            hops.advised(time_ns, advisory)
        watchers = self._watchers.get(index)
        if watchers:
            self.announce(advisory_event(index, advisory), watchers)

    def _note_notices(self, time_ns: int, output: Output) -> None:
        rejected = [
            *output.rejects,
            *((gateway, body) for gateway, _, body in output.replies if isinstance(body, Reject)),
        ]
        rows: list[RejectEvent | NoticeEvent] = [
            RejectEvent(
                t=time_ns / MS,
                sender=sender,
                kind=body.kind,
                seq=body.seq,
                field=body.field,
                value=body.value,
                rule=body.rule,
                remedy=body.remedy,
            )
            for sender, body in rejected
        ]

        rows += [
            NoticeEvent(t=time_ns / MS, of="signal", text=str(fault), intersection=fault.intersection)
            for fault in output.faults
        ]
        rows += [NoticeEvent(t=time_ns / MS, of="notice", text=text) for text in output.events]

        rows += [
            NoticeEvent(
                t=time_ns / MS, of="fault", text=f"fault of the node in {fault.place} ({fault.source}): {fault.cause}"
            )
            for fault in output.errors
        ]
        for row in rows:
            self.announce(row, self.viewers, keep=True)

    def announce(
        self, row: AdvisoryEvent | RejectEvent | NoticeEvent, viewers: Sequence[Viewer], keep: bool = False
    ) -> None:
        """Give some pages one event; `keep` it for those that open later."""
        data = self._encode(row)
        if keep:
            self._recent.append(data)
        for viewer in viewers:
            viewer.add_event(data)
