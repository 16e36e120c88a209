"""A digital code as one HTML page that works offline: the drawing, and every table beside it; a row points at its place
and back."""

from html import escape
from typing import Any

import msgspec

from ..canon import content_hash
from ..checks.validation import validate
from ..model import IntersectionCode
from .drawing import show_svg

TABLES = (
    "links",
    "lanes",
    "connections",
    "conflicts",
    "signal_groups",
    "signal_exceptions",
    "plans",
    "stop_lines",
    "crosswalks",
    "rules",
    "zones",
    "devices",
    "nodes",
)
STYLE = """body{margin:0;font:14px system-ui,sans-serif;color:#1d2733;background:#f5f6f2}header{padding:14px 20px;background:#fff;border-bottom:1px solid #d5dae0}
h1{font-size:18px;margin:0 0 4px}code{font:13px ui-monospace,monospace}main{padding:12px 20px}#map{background:#fff;border:1px solid #d5dae0;overflow:auto;resize:vertical;height:70vh}
#map svg{width:100%;height:100%;display:block}details{background:#fff;border:1px solid #d5dae0;margin:8px 0;padding:6px 10px}summary{cursor:pointer;font-weight:600}
table{border-collapse:collapse;margin-top:6px;width:100%}td,th{text-align:left;padding:2px 10px 2px 0;border-top:1px solid #eceff2;vertical-align:top;font-size:13px}
tr:hover{background:#fff6d6}.on{stroke:#f2b705!important;stroke-width:7!important;stroke-opacity:1!important}.error{color:#b3261e}.warning{color:#8a5a00}"""  # noqa: E501
SCRIPT = """for(const row of document.querySelectorAll('tr[data-id]')){const id=row.dataset.id,own=[...document.querySelectorAll('#map title')]
.filter(t=>t.textContent===id||t.textContent.startsWith(id+':')||t.textContent.startsWith(id+' and ')).map(t=>t.parentNode);
row.onmouseenter=()=>own.forEach(e=>e.classList.add('on'));row.onmouseleave=()=>own.forEach(e=>e.classList.remove('on'))}"""  # noqa: E501


def show_page(code: IntersectionCode) -> str:
    """Return the page of a valid code; it asks for nothing from elsewhere."""
    tree = msgspec.to_builtins(code)
    findings = validate(code)
    alias = ", ".join(f"{alias.kind} {alias.value}" for alias in code.alias) or "none"
    finding_items = "".join(f'<li class="{finding.severity}">{escape(str(finding))}</li>' for finding in findings)

    return "\n".join(
        [
            '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
            f"<title>{escape(code.name)} {escape(code.id)}</title><style>{STYLE}</style>",
            (
                f"<header><h1>{escape(code.name)}</h1><code>{escape(code.id)}</code> revision {code.revision}, content "
                f"<code>{content_hash(code)[:16]}</code>; "
                f"also known as {escape(alias)}</header><main><div id=map>{show_svg(code)}</div>"
            ),
            (
                f"<details open><summary>{len(findings)} "
                f"finding(s)</summary><ul>{finding_items or '<li>no fault</li>'}</ul></details>"
            ),
            *(_table(name, tree[name]) for name in TABLES if tree[name]),
            f"</main><script>{SCRIPT}</script></html>",
        ]
    )


def _table(name: str, rows: Any) -> str:
    columns = [key for key in rows[0] if any(row[key] not in (None, "", [], ()) for row in rows)]
    head = "".join(f"<th>{escape(key)}</th>" for key in columns)
    body = "".join(
        f'<tr data-id="{escape(_key(name, row))}">{"".join(f"<td>{escape(_cell(row[key]))}</td>" for key in columns)}</tr>'  # noqa: E501
        for row in rows
    )
    return (
        f"<details><summary>{name.replace('_', ' ')}: "
        f"{len(rows)}</summary><table><tr>{head}</tr>{body}</table></details>"
    )


def _key(name: str, row: dict[str, Any]) -> str:
    if name == "conflicts":
        return f"{row['a']} and {row['b']}"
    if name == "signal_exceptions":
        return f"groups {row['a']} and {row['b']}"
    return str(row["lane"] if name == "stop_lines" else row["id"])


def _cell(value: Any) -> str:
    if isinstance(value, list | tuple):
        if value and isinstance(value[0], list | tuple) and len(value) > 2:
            return f"{len(value)} points"

        if value and isinstance(value[0], dict):
            return "; ".join(
                " ".join(str(part) for part in item.values() if part not in (None, "", [], ())) for item in value
            )

        return ", ".join(str(part) for part in value)

    return "" if value is None else str(value)
