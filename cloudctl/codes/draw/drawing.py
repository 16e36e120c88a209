"""A digital code as a drawing a person can read: lanes, movements coloured by signal group, conflict points,
crosswalks, limits."""

from html import escape

import numpy as np

from ..compiled.code import CompiledCode, compile_code
from ..model import IntersectionCode
from ..polylines import F8, arc_lengths, points_along
from ..terms import KMH_PER_MPS
from .legend import GROUP_COLOURS, legend, stroke
from .rules import rule_list, rule_plates

DRAWING_PX = 1080.0  # px, of the drawing; the legend stands beside it
LEGEND_PX = 420.0  # px
MARGIN_M = 28.0  # m shown beyond the movements
ROAD_COLOUR, EDGE_COLOUR = "#d5dae0", "#9aa5b1"
COLOUR_OF_USE = ("#d5dae0", "#e7d3bd", "#ecebe2", "#c9d6ef", "#dccbe3")  # by use
INK_COLOUR = "#1d2733"


class View:
    """Metres east-north -> pixels of the drawing."""

    def __init__(self, code: CompiledCode) -> None:
        paths = [_path(code, code.n_lanes + int(index)) for index in np.flatnonzero(code.conn_inner)]
        points = np.concatenate(paths) if paths else code.path_xy
        south_west, north_east = points.min(axis=0), points.max(axis=0)
        self.middle = (south_west + north_east) / 2
        self.half = float(min(max((north_east - south_west).max() / 2 + MARGIN_M, 35.0), 250.0))
        self.scale = DRAWING_PX / 2 / self.half

    def xy(self, points: F8) -> F8:
        """Return pixels, float64[n, 2]."""
        return np.asarray((points - self.middle) * [self.scale, -self.scale] + DRAWING_PX / 2, float)

    def line(self, points: F8) -> str:
        """Return the points attribute of a polyline."""
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in self.xy(points))


def show_svg(code: IntersectionCode) -> str:
    """Return an SVG drawing of a valid code: the intersection and what is near it, north up, with a legend and the
    plan."""
    compiled = compile_code(code)
    view = View(compiled)
    size = f"{DRAWING_PX + LEGEND_PX:.0f} {DRAWING_PX:.0f}"
    width, height = size.split()

    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" width="{width}" height="{height}" '
            'font-family="system-ui,sans-serif" font-size="13">',
            f"<title>{escape(code.name)} {escape(code.id)}</title>",
            f'<rect width="{width}" height="{height}" fill="#fff"/><clipPath id="view"><rect '
            f'width="{DRAWING_PX:.0f}" height="{DRAWING_PX:.0f}"/></clipPath>',
            '<g clip-path="url(#view)"><rect width="100%" height="100%" fill="#f5f6f2"/>',
            *_roads(compiled, view),
            *_lanes(compiled, view),
            *_crosswalks(compiled, view),
            *_zones(compiled, view),
            *_movements(compiled, view),
            *_conflicts(compiled, view),
            *_stops(compiled, view),
            *_limits(compiled, view),
            *rule_plates(compiled, view),
            *_devices(compiled, view),
            "</g>",
            *_scale(view),
            *legend(code, compiled, DRAWING_PX + 18.0),
            *rule_list(code.rules, DRAWING_PX + 18.0, len(code.signal_groups)),
            "</svg>",
        ]
    )


def _path(code: CompiledCode, path: int) -> F8:
    return code.path_xy[code.path_start[path] : code.path_start[path + 1]]


def _roads(code: CompiledCode, view: View) -> list[str]:
    """Draw the ground that movements run over, so that lanes are seen to meet."""
    elements = []
    for index in range(code.n_conns):
        width = min(code.lane_width[code.conn_from[index]], code.lane_width[code.conn_to[index]]) * view.scale
        colour = ROAD_COLOUR if code.conn_inner[index] else COLOUR_OF_USE[int(code.lane_use[code.conn_from[index]])]
        elements.append(
            f'<polyline points="{view.line(_path(code, code.n_lanes + index))}" fill="none" stroke="{colour}" '
            f'stroke-width="{width:.1f}" stroke-linejoin="round"/>'
        )

    return elements


def _lanes(code: CompiledCode, view: View) -> list[str]:
    elements = []
    for index in range(code.n_lanes):
        points, width = view.line(_path(code, index)), code.lane_width[index] * view.scale
        elements.append(f'<polyline points="{points}" fill="none" stroke="{EDGE_COLOUR}" stroke-width="{width:.1f}"/>')
        elements.append(
            f'<polyline points="{points}" fill="none" stroke="{COLOUR_OF_USE[int(code.lane_use[index])]}" '
            f'stroke-width="{max(width - 1.6, 0.5):.1f}">'
            f"<title>{escape(code.lane_ids[index])}: {code.code.lanes[index].use}, {code.lane_width[index]:.2f} m, "
            f"{code.lane_speed[index] * KMH_PER_MPS:.0f} km/h"
            f"</title></polyline>"
        )

    return elements


def _crosswalks(code: CompiledCode, view: View) -> list[str]:
    elements = []
    for index, name in enumerate(code.cross_ids):
        axis, group = code.cross_axis[index].reshape(2, 2), int(code.cross_group[index])
        tooltip = f"{name}: signal group {code.group_ids[group]}" if group >= 0 else f"{name}: no signal"
        outline = code.cross_xy[code.cross_start[index] : code.cross_start[index + 1]]
        colour = GROUP_COLOURS[group % len(GROUP_COLOURS)] if group >= 0 else EDGE_COLOUR
        elements.append(
            f'<polygon points="{view.line(outline)}" fill="{ROAD_COLOUR}" stroke="{colour}" '
            f'stroke-width="1.2"><title>{escape(tooltip)}</title></polygon>'
        )
        elements.append(
            f'<polyline points="{view.line(axis)}" stroke="#fff" '
            f'stroke-width="{code.cross_width[index] * view.scale * 0.86:.1f}" '
            f'stroke-dasharray="{0.45 * view.scale:.1f} {0.6 * view.scale:.1f}" pointer-events="none"/>'
        )

    return elements


def _zones(code: CompiledCode, view: View) -> list[str]:
    elements = []
    for zone in code.code.zones:
        degrees = np.array(zone.polygon, float) / 1e7
        points = np.stack(code.origin.to_local(degrees[:, 0], degrees[:, 1]), axis=1)
        elements.append(
            f'<polygon points="{view.line(points)}" fill="#f2b705" fill-opacity=".12" stroke="#c08a00" '
            'stroke-dasharray="6 4">'
            f"<title>{escape(zone.id)}: {escape(zone.kind)}</title></polygon>"
        )

    return elements


def _movements(code: CompiledCode, view: View) -> list[str]:
    elements = []
    for index in np.flatnonzero(code.conn_inner).tolist():
        line, group = _path(code, code.n_lanes + index), int(code.conn_group[index])
        tooltip = (
            f"{code.conn_ids[index]}: {code.lane_ids[code.conn_from[index]]} to {code.lane_ids[code.conn_to[index]]}"
        )
        tooltip += f", signal group {code.group_ids[group]}" if group >= 0 else ", no signal"
        elements.append(
            f'<polyline points="{view.line(line)}" fill="none" {stroke(group)} stroke-width="2.4" '
            f'stroke-opacity=".9"><title>{escape(tooltip)}</title></polyline>'
        )
        direction = line[-1] - line[-2]
        rotation = -np.degrees(np.arctan2(direction[1], direction[0]))
        ((x, y),) = view.xy(line[-1:])
        colour = GROUP_COLOURS[group % len(GROUP_COLOURS)] if group >= 0 else "#6b7785"
        elements.append(
            f'<path d="M2 0L-9 -4.5L-9 4.5Z" fill="{colour}" transform="translate({x:.1f} {y:.1f}) '
            f'rotate({rotation:.0f})"/>'
        )

    return elements


def _conflicts(code: CompiledCode, view: View) -> list[str]:
    elements = []
    for index in range(code.n_conns):
        points_of_path = slice(code.path_start[code.n_lanes + index], code.path_start[code.n_lanes + index + 1])
        for entry in range(code.conf_start[index], code.conf_start[index + 1]):
            if code.conf_other[entry] < index:
                continue

            point = points_along(code.path_xy[points_of_path], code.path_s[points_of_path], float(code.conf_s[entry]))
            ((x, y),) = view.xy(point[None])
            tooltip = f"{code.conn_ids[index]} and {code.conn_ids[code.conf_other[entry]]}"
            fill = "#fff" if code.conf_type[entry] == 0 else INK_COLOUR
            elements.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.7" fill="{fill}" '
                f'stroke="{INK_COLOUR}"><title>{escape(tooltip)}</title></circle>'
            )

    return elements


def _stops(code: CompiledCode, view: View) -> list[str]:
    elements = []
    for index in np.flatnonzero(~np.isnan(code.lane_stop_s)).tolist():
        line = _path(code, index)
        lengths = arc_lengths(line)
        s = min(float(code.lane_stop_s[index]), float(lengths[-1]))
        label_point, point = points_along(line, lengths, max(s - 6.0, 0.0)), points_along(line, lengths, s)
        direction = (point - points_along(line, lengths, max(s - 1.0, 0.0))) / max(min(s, 1.0), 1e-6)
        side = np.array([-direction[1], direction[0]]) * code.lane_width[index] / 2
        elements.append(
            f'<polyline points="{view.line(np.array([point - side, point + side]))}" stroke="{INK_COLOUR}" '
            'stroke-width="3.5"/>'
        )
        ((x, y),) = view.xy(label_point[None])

        rotation = -np.degrees(np.arctan2(direction[1], direction[0]))
        # Names are never drawn upside down
        if rotation > 90:
            rotation = rotation - 180
        elif rotation < -90:
            rotation = rotation + 180

        font = min(code.lane_width[index] * view.scale * 0.5, 13.0)
        elements.append(
            f'<text text-anchor="middle" dominant-baseline="central" fill="{INK_COLOUR}" font-size="{font:.1f}" '
            f'transform="translate({x:.1f} {y:.1f}) rotate({rotation:.0f})">{escape(code.lane_ids[index])}</text>'
        )

    return elements


def _limits(code: CompiledCode, view: View) -> list[str]:
    """Draw the limit of each ingress link as a sign at the edge of the drawing."""
    elements = []
    for link in sorted(set(code.lane_link[code.lane_role == 0].tolist())):
        lanes = np.flatnonzero((code.lane_link == link) & (code.lane_use != 2))
        if not len(lanes):
            continue

        vehicle_lanes = lanes[code.lane_use[lanes] == 0]
        line = _path(code, int(vehicle_lanes[-1] if len(vehicle_lanes) else lanes[-1]))
        lengths = arc_lengths(line)
        pixels = view.xy(points_along(line, lengths, np.linspace(lengths[-1], max(lengths[-1] - 40, 0.0), 41)))

        inside = pixels[((pixels > 24) & (pixels < DRAWING_PX - 24)).all(axis=1)]
        if len(inside):
            x, y = inside[-1]
            # A short lane: beside its name there is no room
            if lengths[-1] < 20:
                direction_back = pixels[-1] - pixels[0]
                x, y = pixels[-1] + direction_back / max(float(np.hypot(*direction_back)), 1e-9) * 20

            elements.append(
                f'<circle cx="{x:.0f}" cy="{y:.0f}" r="14" fill="#fff" stroke="#c22" stroke-width="4"/><text '
                f'x="{x:.0f}" y="{y:.0f}" text-anchor="middle" '
                f'dominant-baseline="central" font-weight="700">{code.lane_speed[lanes].max() * KMH_PER_MPS:.0f}</text>'
            )

    return elements


def _devices(code: CompiledCode, view: View) -> list[str]:
    elements = []
    for device in code.code.devices:
        x, y = code.origin.to_local(device.lat_e7 / 1e7, device.lon_e7 / 1e7)
        ((px, py),) = view.xy(np.array([[float(x), float(y)]]))
        elements.append(
            f'<rect x="{px - 5:.1f}" y="{py - 5:.1f}" width="10" height="10" rx="2" fill="#fff" '
            f'stroke="{INK_COLOUR}" stroke-width="2">'
            f"<title>{escape(device.id)}: {escape(device.kind)}</title></rect>"
        )

    return elements


def _scale(view: View) -> list[str]:
    y = DRAWING_PX - 20
    return [
        f'<path d="M20 {y:.0f}h{20 * view.scale:.0f}" stroke="{INK_COLOUR}" stroke-width="3"/><text '
        f'x="{26 + 20 * view.scale:.0f}" y="{y + 5:.0f}">20 m</text>',
        f'<path d="M34 62V24M34 20L28 34H40Z" stroke="{INK_COLOUR}" stroke-width="2" fill="{INK_COLOUR}"/><text '
        'x="34" y="78" text-anchor="middle" font-weight="700">N</text>',
    ]
