"""A digital code as a drawing a person can read: lanes, movements coloured by signal group, conflict points, crosswalks, stop lines."""

from html import escape

import numpy as np
from numpy.typing import NDArray

from .compile import CompiledCode, compile_code
from .model import IntersectionCode

VIEW = 90.0  # m around the reference point
SCALE = 6.0  # pixels a metre
COLOURS = ("#2667c9", "#e07b27", "#2f9e62", "#c93a3a", "#8a4fbf", "#0f8b8d", "#b8860b", "#d6528f", "#557a1f", "#5a6b7b")
LANE = {0: "#d9dee3", 1: "#e6d9c8", 2: "#efefe9", 3: "#cfd8ea"}


def show_svg(code: IntersectionCode) -> str:
    """Return an SVG drawing of an intersection, 90 m around its reference point, with a legend."""
    compiled = compile_code(code)
    size = 2 * VIEW * SCALE
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size + 300:.0f} {size:.0f}" font-family="system-ui,sans-serif" font-size="13">',
        f'<rect width="{size + 300:.0f}" height="{size:.0f}" fill="#ffffff"/><clipPath id="view"><rect width="{size:.0f}" height="{size:.0f}"/></clipPath>',
        '<g clip-path="url(#view)">',
        *_lanes(compiled),
        *_crosswalks(compiled),
        *_movements(compiled),
        *_conflicts(compiled),
        "</g>",
        *_legend(code, compiled, size),
        "</svg>",
    ]
    return "\n".join(parts)


def _xy(points: NDArray[np.float64]) -> str:
    return " ".join(f"{(VIEW + x) * SCALE:.1f},{(VIEW - y) * SCALE:.1f}" for x, y in points)


def _path(code: CompiledCode, k: int) -> NDArray[np.float64]:
    return code.path_xy[code.path_start[k] : code.path_start[k + 1]]


def _lanes(code: CompiledCode) -> list[str]:
    out = []
    for k in range(code.n_lanes):
        line, width = _path(code, k), code.lane_width[k] * SCALE
        out.append(f'<polyline points="{_xy(line)}" fill="none" stroke="#b4bcc5" stroke-width="{width:.1f}"/>')
        out.append(
            f'<polyline points="{_xy(line)}" fill="none" stroke="{LANE[int(code.lane_use[k])]}" stroke-width="{width - 2:.1f}"/>'
        )
    for k in np.flatnonzero(code.lane_role == 0).tolist():
        line = _path(code, k)
        if code.lane_use[k] != 2:
            along = (line[-1] - line[-2]) / max(float(np.hypot(*(line[-1] - line[-2]))), 1e-9)
            side = np.array([-along[1], along[0]]) * code.lane_width[k] / 2
            out.append(
                f'<polyline points="{_xy(np.array([line[-1] - side, line[-1] + side]))}" stroke="#1d2733" stroke-width="3"/>'
            )
            x, y = line[-1] - along * 7
            out.append(
                f'<text x="{(VIEW + x) * SCALE:.0f}" y="{(VIEW - y) * SCALE:.0f}" text-anchor="middle" dominant-baseline="middle" '
                f'fill="#1d2733" font-size="12">{escape(code.lane_ids[k])}</text>'
            )
    return out


def _crosswalks(code: CompiledCode) -> list[str]:
    return [
        f'<polyline points="{_xy(axis.reshape(2, 2))}" stroke="#f3c623" stroke-opacity=".75" stroke-width="{width * SCALE:.1f}" stroke-dasharray="5 5"/>'
        for axis, width in zip(code.cross_axis, code.cross_width, strict=True)
    ]


def _movements(code: CompiledCode) -> list[str]:
    out = []
    for k in np.flatnonzero(code.conn_inner):
        group = int(code.conn_group[k])
        colour = "#7a8794" if group < 0 else COLOURS[group % len(COLOURS)]
        line = _path(code, code.n_lanes + int(k))
        out.append(
            f'<polyline points="{_xy(line)}" fill="none" stroke="{colour}" stroke-width="2.2" stroke-opacity=".85">'
            f"<title>{escape(code.conn_ids[k])}: {escape(code.lane_ids[code.conn_from[k]])} to {escape(code.lane_ids[code.conn_to[k]])}</title></polyline>"
        )
        along = line[-1] - line[-2]
        angle = -np.degrees(np.arctan2(along[1], along[0]))
        x, y = line[-1]
        out.append(
            f'<path d="M0 0L-8 -4L-8 4Z" fill="{colour}" transform="translate({(VIEW + x) * SCALE:.1f} {(VIEW - y) * SCALE:.1f}) rotate({angle:.0f})"/>'
        )
    return out


def _conflicts(code: CompiledCode) -> list[str]:
    out = []
    for k in range(code.n_conns):
        path, arc = (
            _path(code, code.n_lanes + k),
            code.path_s[code.path_start[code.n_lanes + k] : code.path_start[code.n_lanes + k + 1]],
        )
        for e in range(code.conf_start[k], code.conf_start[k + 1]):
            if code.conf_other[e] > k:
                x, y = np.interp(code.conf_s[e], arc, path[:, 0]), np.interp(code.conf_s[e], arc, path[:, 1])
                out.append(
                    f'<circle cx="{(VIEW + x) * SCALE:.1f}" cy="{(VIEW - y) * SCALE:.1f}" r="2.6" fill="{"#c93a3a" if code.conf_type[e] == 0 else "#1d2733"}"/>'
                )
    return out


def _legend(code: IntersectionCode, compiled: CompiledCode, size: float) -> list[str]:
    rows = [
        ("", f"{code.name}"),
        ("", f"revision {code.revision}, {compiled.hash[:12]}"),
        ("", f"{len(code.lanes)} lanes, {int(compiled.conn_inner.sum())} movements"),
        ("#c93a3a", "conflict point: crossing"),
        ("#1d2733", "conflict point: merging"),
        ("#f3c623", "crosswalk"),
        ("#7a8794", "movement without a signal"),
    ]
    rows += [
        (COLOURS[k % len(COLOURS)], f"signal group {group.id} ({group.kind})")
        for k, group in enumerate(code.signal_groups)
        if (compiled.conn_group == k).any()
    ]
    out = [f'<text x="{size + 16:.0f}" y="24" font-size="12" font-weight="600">{escape(code.id)}</text>']
    for n, (colour, text) in enumerate(rows):
        y = 50 + 22 * n
        if colour:
            out.append(f'<rect x="{size + 16:.0f}" y="{y - 10}" width="14" height="10" fill="{colour}"/>')
        out.append(f'<text x="{size + (38 if colour else 16):.0f}" y="{y}">{escape(text)}</text>')
    y = 70 + 22 * len(rows)
    out.append(
        f'<path d="M{size + 16:.0f} {y}h{20 * SCALE:.0f}" stroke="#1d2733" stroke-width="2"/><text x="{size + 20 + 20 * SCALE:.0f}" y="{y + 4}">20 m</text>'
    )
    return out
