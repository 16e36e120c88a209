"""The counters of a running node by source, as its `/metrics?by=source` shows them, under the node's own names."""

import urllib.error
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from cloudctl.telemetry.families import FAMILIES, OTHER

TIMEOUT = 10.0  # s
NAMES = {family.name: (prefix, family) for prefix, family in FAMILIES.items()} | {OTHER.name: ("", OTHER)}


def counters_by_source(port: int, token: str) -> dict[str, dict[str, int]]:
    """Return `{counter: {source: n}}` of the node whose HTTP is on a port of this machine; none where it does not
    answer.
    """
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/metrics?by=source", headers={"Authorization": f"Bearer {token}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            text = answer.read().decode()
    except (urllib.error.URLError, OSError):
        return {}

    counters: dict[str, dict[str, int]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if family.name in NAMES:
                prefix, shown = NAMES[family.name]
                variant = sample.labels.get(shown.variant, "")
                name = ".".join(part for part in (prefix, variant) if part)
                source = sample.labels.get(shown.kind or "source", "")
                counters.setdefault(name, {})[source] = int(sample.value)

    return counters
