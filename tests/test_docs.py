"""What the documents name is there."""

import re

import pytest
from paths import ROOT

PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
]
PLACES = ["", "cloudctl/", "cloudctl/codes/", "cloudctl/planner/", "sim/"]  # what a path may be given from
PATH = re.compile(r"`((?:[\w.-]+/)+(?:[\w-]+\.(?:py|pyx|c|h|mcap|osm|xodr))?)`")
LINK = re.compile(r"\]\((?!http)([^)#]*)(#[^)]*)?\)")
MADE_BY_USERS = ("out/", "runs/", "codes/<", "keys/", "tls/", "broker/", "gateways/", "vehicles/")


def anchors(text: str) -> set[str]:
    heads = re.findall(r"(?m)^#+ (.*)$", text)
    return {"#" + re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES)
def test_every_path_that_a_page_names_exists(page: str) -> None:
    named = [path for path in PATH.findall((ROOT / page).read_text()) if not path.startswith(MADE_BY_USERS)]
    named = [path for path in named if "NAME" not in path]
    assert [path for path in named if not any((ROOT / place / path).exists() for place in PLACES)] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_link_of_a_page_leads_somewhere(page: str) -> None:
    text = (ROOT / page).read_text()
    for target, anchor in LINK.findall(text):
        path = (ROOT / page).parent / target if target else ROOT / page
        assert path.exists(), target
        if anchor and path.suffix == ".md":
            assert anchor in anchors(path.read_text()), f"{target}{anchor}"
