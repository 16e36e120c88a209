"""The OpenAPI document: valid, complete, and what the node answers is what it says, tried by schemathesis."""

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from deadlines import PATIENCE
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from served_node import BEARER, ServedNode

from cloudctl.api.openapi import OPERATIONS, document
from cloudctl.codes import CompiledCode

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed: pip install 'cloudctl[test]'")
EXAMPLES = 25  # requests of each operation
REFUSED = {400, 401, 404, 405}


@pytest.fixture(scope="module")
def address(code: CompiledCode) -> Iterator[str]:
    """A node that plans while it is asked, on a thread of its own."""
    node, started, stop = ServedNode(code), threading.Event(), threading.Event()
    node.egress.connected.set()  # there is no broker here
    node.step(60)

    async def run() -> None:
        await node.http.web.start()
        started.set()
        while not stop.is_set():
            node.step()
            await asyncio.sleep(0.02)
        await node.http.web.stop()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    assert started.wait(PATIENCE)
    yield node.http.web.address
    stop.set()
    thread.join(PATIENCE)
    assert node.faults == []


@pytest.fixture(scope="module")
def described(address: str, code: CompiledCode) -> Any:
    """The document as the node serves it, with an intersection that exists as an example."""
    import requests

    tree = requests.get(f"{address}/openapi.json", headers=BEARER, timeout=PATIENCE).json()
    for path in tree["paths"].values():
        for parameter in path["get"]["parameters"]:
            if parameter["in"] == "path":
                parameter["example"] = code.code.id
                parameter["schema"] = {"enum": [code.code.id, "nowhere"]}
    return schemathesis.openapi.from_dict(tree)


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
@pytest.mark.parametrize("path", [operation.path for operation in OPERATIONS])
def test_what_the_node_answers_is_what_its_document_says(described: Any, address: str, path: str, mode: Any) -> None:
    """Requests as described, and such as are not: answers have the statuses, types and schemas of the document."""
    from schemathesis.specs.openapi.checks import negative_data_rejection

    statuses = []
    known = {parameter["name"] for parameter in document()["paths"][path]["get"]["parameters"]}

    @given(case=described[path]["GET"].as_strategy(generation_mode=mode))
    @settings(max_examples=EXAMPLES, derandomize=True, suppress_health_check=list(HealthCheck))
    def ask(case: Any) -> None:
        response = case.call(base_url=address, headers=BEARER, timeout=PATIENCE)
        # What is wrong with a case may be the missing token, which is always sent, or be nothing once it is a URL.
        case.validate_response(response, excluded_checks=[negative_data_rejection])
        sent = parse_qs(urlsplit(response.request.url).query, keep_blank_values=True)
        assert not set(sent) - known or response.status_code in REFUSED
        statuses.append(response.status_code)

    try:
        ask()
    except Unsatisfiable:
        pytest.skip("there is no request of this kind: it takes no parameters")
    assert statuses
    assert set(statuses) <= {200, 304, 400, 401, 404, 405, 503}


def test_the_document_has_every_route_and_no_other(code: CompiledCode) -> None:
    paths = ServedNode(code).http.web.paths
    elsewhere = ("/codes", "/schema", "/view", "/openapi.json")  # described in docs/codes.md and docs/view.md
    served = {path for path in paths if not path.startswith(elsewhere)}
    assert {operation.path for operation in OPERATIONS} == served == set(document()["paths"])


def test_the_document_is_the_same_for_everybody_and_is_json() -> None:
    text = json.dumps(document())
    assert json.loads(text)["openapi"] == "3.1.0"
    assert text == json.dumps(document())


def test_every_number_says_its_unit_or_what_it_counts() -> None:
    numbers = 0
    for name, schema in document()["components"]["schemas"].items():
        for field, described in schema.get("properties", {}).items():
            text = json.dumps(described)
            if '"number"' in text or '"integer"' in text:
                numbers += 1
                assert '"description"' in text, f"{name}.{field}"
    assert numbers > 60
