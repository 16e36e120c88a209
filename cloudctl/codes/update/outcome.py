"""What an import did to a folder, and where the next revision of a code goes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from ..findings import Loss
from ..model import IntersectionCode
from ..report import Imported
from .folder import CodeFolder, Filed


class TakenCode(NamedTuple):
    """What became of one code of the import. `state`: new, unchanged, or which revision it is now; `lines`: what
    changed, for a person."""

    path: Path
    code: IntersectionCode
    state: str
    lines: Sequence[str] = ()


@dataclass
class ImportOutcome:
    """What an import did to a folder."""

    taken: list[TakenCode] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)  # lines, for a person

    def report(self, imported: Imported) -> Imported:
        """Return the import as it stands in the folder, with all losses."""
        return Imported([item.code for item in self.taken], imported.source, [*imported.losses, *self.losses])


def next_file(
    folder: CodeFolder, filed: Filed, code: IntersectionCode, valid_from: int | None
) -> tuple[Path, IntersectionCode]:
    """Return where the next revision goes, and the revision: beside the one in force where it has a beginning of its
    own, else in its place."""
    stem = filed.path.stem.partition("-r")[0]
    if valid_from is not None:
        # To find what is written by hand into the one in force until then
        folder.keep_revision(filed)
        return filed.path.with_name(f"{stem}-r{code.revision}.json"), replace(code, valid_from=valid_from)

    if "-r" not in filed.path.stem:
        folder.keep_revision(filed)
        return filed.path, code

    folder.shelve(filed)
    return filed.path.with_name(f"{stem}-r{code.revision}.json"), code
