"""The legend of a drawing: which colour stands for what, and the signal programme as bars."""

from html import escape

from ..compiled.code import CompiledCode
from ..model import IntersectionCode, Plan

GROUP_COLOURS = (
    "#1f6fd0",
    "#d9650b",
    "#1f8f55",
    "#c4282d",
    "#7d3fb2",
    "#0b8285",
    "#a77a00",
    "#c93a86",
    "#4d7414",
    "#4a5b6c",
)
COLOUR_OF_LETTER = {
    "G": "#2ba84a",
    "g": "#8fd19e",
    "y": "#8fd19e",
    "Y": "#f2b705",
    "P": "#f28c05",
    "R": "#d94b4b",
    "F": "#e79a9a",
    "O": "#f7dc8a",
    "D": "#c9ced4",
}
BAR_PX = 250.0  # px, of a cycle


def stroke(group: int) -> str:
    """Return the colour and dashes of a signal group (index; -1 none)."""
    if group < 0:
        return 'stroke="#6b7785" stroke-dasharray="2 4"'
    dash = ("", ' stroke-dasharray="9 4"', ' stroke-dasharray="3 3"')[group // len(GROUP_COLOURS) % 3]
    return f'stroke="{GROUP_COLOURS[group % len(GROUP_COLOURS)]}"{dash}'


def legend(code: IntersectionCode, compiled: CompiledCode, x: float) -> list[str]:
    """Return the legend's elements, its left edge at `x` px."""
    lines = [
        code.name,
        f"revision {code.revision}, {compiled.hash[:12]}",
        f"{len(code.lanes)} lanes, {int(compiled.conn_inner.sum())} movements, {len(code.conflicts)} conflicts, "
        f"{len(code.crosswalks)} crosswalks",
    ]

    elements = [f'<text x="{x}" y="28" font-size="13" font-weight="700">{escape(code.id)}</text>']
    elements += [f'<text x="{x}" y="{50 + 20 * index}">{escape(text)}</text>' for index, text in enumerate(lines)]

    elements += [
        f'<circle cx="{x + 8}" cy="118" r="3.5" fill="#fff" stroke="#1d2733"/><text x="{x + 26}" y="122">paths '
        "cross</text>",
        f'<circle cx="{x + 138}" cy="118" r="3.5" fill="#1d2733"/><text x="{x + 152}" y="122">paths merge</text>',
        f'<path d="M{x} 140h18" {stroke(-1)} stroke-width="2.4"/><text x="{x + 26}" y="144">movement without a '
        "signal</text>",
    ]

    plan = code.plans[0] if code.plans else None
    title = "signal groups" + (
        f", programme {plan.id}: {sum(phase.ms for phase in plan.phases) / 1000:g} s" if plan else ""
    )
    elements.append(f'<text x="{x}" y="178" font-weight="700">{escape(title)}</text>')
    line_height = min(24.0, (1080.0 - 215.0) / max(len(code.signal_groups), 1))

    for index, group in enumerate(code.signal_groups):
        y = 200 + line_height * index
        elements.append(
            f'<path d="M{x} {y - 4:.0f}h18" {stroke(index)} stroke-width="4"/><text x="{x + 24}" '
            f'y="{y:.0f}">{group.id} {escape(group.kind)}</text>'
        )
        elements += _bar(plan, index, x + 124, y - 12) if plan else []

    return elements


def _bar(plan: Plan, group: int, x: float, y: float) -> list[str]:
    cycle = sum(phase.ms for phase in plan.phases)
    elements = []

    for phase in plan.phases:
        width = BAR_PX * phase.ms / cycle
        elements.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="12" '
            f'fill="{COLOUR_OF_LETTER.get(phase.shows[group], "#c9ced4")}"/>'
        )
        x += width

    return elements
