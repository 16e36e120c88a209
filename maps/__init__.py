"""Digital codes that ship with the product, and the network of our corridor. `make_maps.py` makes them."""

from pathlib import Path

MAPS_FOLDER = Path(__file__).resolve().parent


def names() -> list[str]:
    """Return the names of the files that ship."""
    return sorted(file.name for file in MAPS_FOLDER.iterdir() if file.suffix in (".json", ".gz"))


def path(name: str) -> Path:
    """Return the path of one of them. Raises ValueError naming those there are."""
    if name not in names():
        raise ValueError(f"no map {name!r}; there are {', '.join(names())}")
    return MAPS_FOLDER / name
