"""Digital codes, which have their city codes already, into a folder of codes."""

from pathlib import Path

from msgspec.structs import replace

from ..canon import dump
from ..citycode import parse_code
from ..findings import Loss, LossKind, refuse
from ..model import IntersectionCode
from ..polylines import distance
from ..report import Imported
from .changes import changes
from .folder import CodeFolder, Filed
from .likeness import same_intersection
from .outcome import ImportOutcome, TakenCode, next_file

# m from where a city code was given within which a code that carries it is taken for the same intersection
MAX_SAME_CODE_DISTANCE = 100.0


def take_digital_codes(folder: CodeFolder, imported: Imported, time_ns: int) -> ImportOutcome:
    """Bring digital codes, which have their city codes already, into a folder at `time_ns`. Raises CodeError.

    A city code that stands for another intersection there is replaced by a new one; a known revision with another
    content is refused."""
    outcome = ImportOutcome()
    plans = [(code, *_place_of(folder, code, time_ns, outcome)) for code in imported]
    folder.save()
    files_taken: set[Path] = set()

    for given, code, filed in plans:
        entry = folder.registry[code.id]
        entry.revision, entry.retired = code.revision, None

        if filed is None:
            path = folder.free_file(files_taken)
            files_taken.add(path)
            outcome.taken.append(
                TakenCode(path=path, code=code, state="new" if code.id == given.id else f"new, as {code.id}")
            )
        elif dump(filed.code) == dump(code):
            outcome.taken.append(TakenCode(path=filed.path, code=code, state="unchanged"))
            continue
        else:
            path, code = next_file(folder, filed, code, code.valid_from)
            outcome.taken.append(
                TakenCode(path=path, code=code, state=f"revision {code.revision}", lines=changes(filed.code, code))
            )

        folder.put(path, code)

    folder.save()
    return outcome


def _place_of(
    folder: CodeFolder, code: IntersectionCode, time_ns: int, outcome: ImportOutcome
) -> tuple[IntersectionCode, Filed | None]:
    """Return a whole code under the city code that it has in this folder, and what stands there under it."""
    filed_here = folder.files.get(code.id)
    if filed_here and same_intersection(filed_here[-1].code, code):
        last = filed_here[-1]
        if code.revision <= last.code.revision and dump(code) != dump(last.code):
            raise refuse(
                where=code.id,
                entity="code",
                field="revision",
                value=code.revision,
                rule=f"{last.path} is revision {last.code.revision} with another content",
                remedy=f"give the changed code revision {last.code.revision + 1}",
            )

        return code, last

    entry = folder.registry.get(code.id)
    position = (code.ref_lat_e7, code.ref_lon_e7)

    if not filed_here and entry is None:
        folder.registry.adopt(code.id, *position, time_ns, code.name)
        return code, None

    if (
        not filed_here
        and entry is not None
        and distance((entry.lat_e7, entry.lon_e7), position) <= MAX_SAME_CODE_DISTANCE
        and entry.note in ("", code.name)
    ):
        return code, None

    parts = parse_code(code.id)
    name = folder.registry.allocate(parts.adm, parts.kind, *position, time_ns, code.name)

    outcome.losses.append(
        Loss(
            what=LossKind.DIFFERS,
            entity=code.id,
            detail=f"stands for another intersection in {folder.path}: here it is {name}",
        )
    )

    return replace(code, id=name), None
