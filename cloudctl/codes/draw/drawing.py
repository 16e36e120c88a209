"""A digital code as a drawing a person can read: lanes, movements coloured by signal group, conflict points, crosswalks, limits."""

from html import escape

import numpy as np

from ..compiled.code import CompiledCode, compile_code
from ..model import IntersectionCode
from ..polylines import F8, arc, at
from .legend import COLOURS, legend, stroke
from .rules import listing, plates

SIZE = 1080.0  # px, of the drawing; the legend stands beside it
LEGEND = 420.0  # px
AROUND = 28.0  # m shown beyond the movements
ROAD, EDGE = "#d5dae0", "#9aa5b1"
LANE = ("#d5dae0", "#e7d3bd", "#ecebe2", "#c9d6ef", "#dccbe3")  # by use
INK = "#1d2733"


class View:
    """Metres east-north -> pixels of the drawing."""

    def __init__(self, code: CompiledCode) -> None:
        inner = [_path(code, code.n_lanes + int(k)) for k in np.flatnonzero(code.conn_inner)]
        points = np.concatenate(inner) if inner else code.path_xy
        low, high = points.min(axis=0), points.max(axis=0)
        self.middle = (low + high) / 2
        self.half = float(min(max((high - low).max() / 2 + AROUND, 35.0), 250.0))
        self.scale = SIZE / 2 / self.half

    def xy(self, points: F8) -> F8:
        """Return pixels, float64[n, 2]."""
        return np.asarray((points - self.middle) * [self.scale, -self.scale] + SIZE / 2, float)

    def line(self, points: F8) -> str:
        """Return the points attribute of a polyline."""
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in self.xy(points))


def show_svg(code: IntersectionCode) -> str:
    """Return an SVG drawing of a valid code: the intersection and what is near it, north up, with a legend and the plan."""
    compiled = compile_code(code)
    view = View(compiled)
    size = f"{SIZE + LEGEND:.0f} {SIZE:.0f}"
    width, height = size.split()
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" width="{width}" height="{height}" font-family="system-ui,sans-serif" font-size="13">',
            f"<title>{escape(code.name)} {escape(code.id)}</title>",
            f'<rect width="{width}" height="{height}" fill="#fff"/><clipPath id="view"><rect width="{SIZE:.0f}" height="{SIZE:.0f}"/></clipPath>',
            '<g clip-path="url(#view)"><rect width="100%" height="100%" fill="#f5f6f2"/>',
            *_roads(compiled, view),
            *_lanes(compiled, view),
            *_crosswalks(compiled, view),
            *_zones(compiled, view),
            *_movements(compiled, view),
            *_conflicts(compiled, view),
            *_stops(compiled, view),
            *_limits(compiled, view),
            *plates(compiled, view),
            *_devices(compiled, view),
            "</g>",
            *_scale(view),
            *legend(code, compiled, SIZE + 18.0),
            *listing(code.rules, SIZE + 18.0, len(code.signal_groups)),
            "</svg>",
        ]
    )


def _path(code: CompiledCode, k: int) -> F8:
    return code.path_xy[code.path_start[k] : code.path_start[k + 1]]


def _roads(code: CompiledCode, view: View) -> list[str]:
    """Draw the ground that movements run over, so that lanes are seen to meet."""
    out = []
    for k in range(code.n_conns):
        width = min(code.lane_width[code.conn_from[k]], code.lane_width[code.conn_to[k]]) * view.scale
        colour = ROAD if code.conn_inner[k] else LANE[int(code.lane_use[code.conn_from[k]])]
        out.append(
            f'<polyline points="{view.line(_path(code, code.n_lanes + k))}" fill="none" stroke="{colour}" stroke-width="{width:.1f}" stroke-linejoin="round"/>'
        )
    return out


def _lanes(code: CompiledCode, view: View) -> list[str]:
    out = []
    for k in range(code.n_lanes):
        points, width = view.line(_path(code, k)), code.lane_width[k] * view.scale
        out.append(f'<polyline points="{points}" fill="none" stroke="{EDGE}" stroke-width="{width:.1f}"/>')
        out.append(
            f'<polyline points="{points}" fill="none" stroke="{LANE[int(code.lane_use[k])]}" stroke-width="{max(width - 1.6, 0.5):.1f}">'
            f"<title>{escape(code.lane_ids[k])}: {code.code.lanes[k].use}, {code.lane_width[k]:.2f} m, {code.lane_speed[k] * 3.6:.0f} km/h"
            f"</title></polyline>"
        )
    return out


def _crosswalks(code: CompiledCode, view: View) -> list[str]:
    out = []
    for k, name in enumerate(code.cross_ids):
        axis, group = code.cross_axis[k].reshape(2, 2), int(code.cross_group[k])
        tip = f"{name}: signal group {code.group_ids[group]}" if group >= 0 else f"{name}: no signal"
        outline = code.cross_xy[code.cross_start[k] : code.cross_start[k + 1]]
        colour = COLOURS[group % len(COLOURS)] if group >= 0 else EDGE
        out.append(
            f'<polygon points="{view.line(outline)}" fill="{ROAD}" stroke="{colour}" stroke-width="1.2"><title>{escape(tip)}</title></polygon>'
        )
        out.append(
            f'<polyline points="{view.line(axis)}" stroke="#fff" stroke-width="{code.cross_width[k] * view.scale * 0.86:.1f}" '
            f'stroke-dasharray="{0.45 * view.scale:.1f} {0.6 * view.scale:.1f}" pointer-events="none"/>'
        )
    return out


def _zones(code: CompiledCode, view: View) -> list[str]:
    out = []
    for zone in code.code.zones:
        table = np.array(zone.polygon, float) / 1e7
        points = np.stack(code.origin.to_local(table[:, 0], table[:, 1]), axis=1)
        out.append(
            f'<polygon points="{view.line(points)}" fill="#f2b705" fill-opacity=".12" stroke="#c08a00" stroke-dasharray="6 4">'
            f"<title>{escape(zone.id)}: {escape(zone.kind)}</title></polygon>"
        )
    return out


def _movements(code: CompiledCode, view: View) -> list[str]:
    out = []
    for k in np.flatnonzero(code.conn_inner).tolist():
        line, group = _path(code, code.n_lanes + k), int(code.conn_group[k])
        tip = f"{code.conn_ids[k]}: {code.lane_ids[code.conn_from[k]]} to {code.lane_ids[code.conn_to[k]]}"
        tip += f", signal group {code.group_ids[group]}" if group >= 0 else ", no signal"
        out.append(
            f'<polyline points="{view.line(line)}" fill="none" {stroke(group)} stroke-width="2.4" stroke-opacity=".9"><title>{escape(tip)}</title></polyline>'
        )
        ahead = line[-1] - line[-2]
        turn = -np.degrees(np.arctan2(ahead[1], ahead[0]))
        ((x, y),) = view.xy(line[-1:])
        colour = COLOURS[group % len(COLOURS)] if group >= 0 else "#6b7785"
        out.append(
            f'<path d="M2 0L-9 -4.5L-9 4.5Z" fill="{colour}" transform="translate({x:.1f} {y:.1f}) rotate({turn:.0f})"/>'
        )
    return out


def _conflicts(code: CompiledCode, view: View) -> list[str]:
    out = []
    for k in range(code.n_conns):
        rows = slice(code.path_start[code.n_lanes + k], code.path_start[code.n_lanes + k + 1])
        for e in range(code.conf_start[k], code.conf_start[k + 1]):
            if code.conf_other[e] < k:
                continue
            point = at(code.path_xy[rows], code.path_s[rows], float(code.conf_s[e]))
            ((x, y),) = view.xy(point[None])
            tip = f"{code.conn_ids[k]} and {code.conn_ids[code.conf_other[e]]}"
            fill = "#fff" if code.conf_type[e] == 0 else INK
            out.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.7" fill="{fill}" stroke="{INK}"><title>{escape(tip)}</title></circle>'
            )
    return out


def _stops(code: CompiledCode, view: View) -> list[str]:
    out = []
    for k in np.flatnonzero(~np.isnan(code.lane_stop_s)).tolist():
        line = _path(code, k)
        along = arc(line)
        s = min(float(code.lane_stop_s[k]), float(along[-1]))
        back, point = at(line, along, max(s - 6.0, 0.0)), at(line, along, s)
        ahead = (point - at(line, along, max(s - 1.0, 0.0))) / max(min(s, 1.0), 1e-6)
        side = np.array([-ahead[1], ahead[0]]) * code.lane_width[k] / 2
        out.append(
            f'<polyline points="{view.line(np.array([point - side, point + side]))}" stroke="{INK}" stroke-width="3.5"/>'
        )
        ((x, y),) = view.xy(back[None])
        turn = -np.degrees(np.arctan2(ahead[1], ahead[0]))
        turn = turn - 180 if turn > 90 else turn + 180 if turn < -90 else turn
        font = min(code.lane_width[k] * view.scale * 0.5, 13.0)
        out.append(
            f'<text text-anchor="middle" dominant-baseline="central" fill="{INK}" font-size="{font:.1f}" '
            f'transform="translate({x:.1f} {y:.1f}) rotate({turn:.0f})">{escape(code.lane_ids[k])}</text>'
        )
    return out


def _limits(code: CompiledCode, view: View) -> list[str]:
    """Draw the limit of each ingress link as a sign at the edge of the drawing."""
    out = []
    for link in sorted(set(code.lane_link[code.lane_role == 0].tolist())):
        lanes = np.flatnonzero((code.lane_link == link) & (code.lane_use != 2))
        if not len(lanes):
            continue
        driven = lanes[code.lane_use[lanes] == 0]
        line = _path(code, int(driven[-1] if len(driven) else lanes[-1]))
        along = arc(line)
        spots = view.xy(at(line, along, np.linspace(along[-1], max(along[-1] - 40, 0.0), 41)))
        inside = spots[((spots > 24) & (spots < SIZE - 24)).all(axis=1)]
        if len(inside):
            x, y = inside[-1]
            if along[-1] < 20:  # a short lane: beside its name there is no room
                back = spots[-1] - spots[0]
                x, y = spots[-1] + back / max(float(np.hypot(*back)), 1e-9) * 20
            out.append(
                f'<circle cx="{x:.0f}" cy="{y:.0f}" r="14" fill="#fff" stroke="#c22" stroke-width="4"/><text x="{x:.0f}" y="{y:.0f}" text-anchor="middle" '
                f'dominant-baseline="central" font-weight="700">{code.lane_speed[lanes].max() * 3.6:.0f}</text>'
            )
    return out


def _devices(code: CompiledCode, view: View) -> list[str]:
    out = []
    for device in code.code.devices:
        x, y = code.origin.to_local(device.lat_e7 / 1e7, device.lon_e7 / 1e7)
        ((px, py),) = view.xy(np.array([[float(x), float(y)]]))
        out.append(
            f'<rect x="{px - 5:.1f}" y="{py - 5:.1f}" width="10" height="10" rx="2" fill="#fff" stroke="{INK}" stroke-width="2">'
            f"<title>{escape(device.id)}: {escape(device.kind)}</title></rect>"
        )
    return out


def _scale(view: View) -> list[str]:
    y = SIZE - 20
    return [
        f'<path d="M20 {y:.0f}h{20 * view.scale:.0f}" stroke="{INK}" stroke-width="3"/><text x="{26 + 20 * view.scale:.0f}" y="{y + 5:.0f}">20 m</text>',
        f'<path d="M34 62V24M34 20L28 34H40Z" stroke="{INK}" stroke-width="2" fill="{INK}"/><text x="34" y="78" text-anchor="middle" font-weight="700">N</text>',
    ]
