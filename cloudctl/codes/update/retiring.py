"""Taking codes out of a folder: those that their map no longer has, and revisions that a later one has followed."""

from itertools import pairwise

from msgspec.structs import replace

from .by_hand import parts_by_hand
from .folder import CodeFolder, Filed
from .outcome import ImportOutcome


def retire(folder: CodeFolder, filed: Filed, time_ns: int, outcome: ImportOutcome) -> None:
    """Take out a code whose intersection is no longer in its map, with all its revisions."""
    name = filed.code.id
    outcome.losses += [
        replace(loss, entity=f"{filed.path.name} {loss.entity}")
        for loss in parts_by_hand(filed.code, folder.last_import(name))
    ]

    for file in list(folder.files[name]):
        kept_file = folder.shelve(file)
        outcome.removed.append(
            f"{file.path}: {name} ({file.code.name}) is no longer in the map: taken out, kept as {kept_file}"
        )

    folder.registry[name].revision = filed.code.revision
    folder.registry.retire(name, time_ns)


def take_out_replaced(folder: CodeFolder, touched_ids: list[str], time_ns: int, outcome: ImportOutcome) -> None:
    """Take out the revisions that a later one has followed already."""
    for name in touched_ids:
        filed = folder.files.get(name, [])
        for revision, successor in pairwise(list(filed)):
            if successor.code.valid_from is None or successor.code.valid_from <= time_ns:
                outcome.removed.append(
                    f"{revision.path}: revision {revision.code.revision} was followed by revision "
                    f"{successor.code.revision}: taken out, kept as {folder.shelve(revision)}"
                )
