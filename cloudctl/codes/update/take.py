"""One import into a folder of codes: which intersections were there before, their next revisions, new ones, and those
that are gone."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from msgspec.structs import replace

from cloudctl.clock import SECOND, WallClock

from ..canon import content_hash
from ..checks.validation import validate
from ..citycode import CityCodeError, parse_code
from ..findings import Finding, Loss, LossKind, Severity, refuse
from ..model import IntersectionCode
from ..polylines import distance
from ..report import Imported
from .by_hand import carry_forward
from .carry import Carried, carry
from .changes import changes
from .folder import CodeFolder, Filed, is_code
from .likeness import common_shift, pair_up, shifted
from .outcome import ImportOutcome, TakenCode, next_file
from .rename import Numbering
from .retiring import retire, take_out_replaced
from .take_codes import take_digital_codes

NAME_SEPARATOR = "#"  # between a map's name and its number, where several are called the same


@dataclass
class _CodePlan:
    """One code on its way into the folder: what is there before, and what is to be written."""

    new: IntersectionCode
    digest: str
    filed: Filed | None = None  # the revision that stands in the folder
    gone: IntersectionCode | None = None  # or the one that was taken out
    carried: Carried | None = None
    unchanged: bool = False
    # Why the next revision is not written: what a node would refuse it for
    left: Sequence[Finding] = ()


def import_into_folder(
    imported: Imported, file: Path, out: Path, source: str | None, valid_from: str | None
) -> ImportOutcome:
    """Bring what was read from `file` into the folder `out`, now. Raises CodeError.

    `source`: the name of the map (None: the file's name); `valid_from`: when changed codes take effect, in ISO 8601
    with a zone, or ns since 1970."""
    time_ns, valid_from_ns = WallClock().now(), time_of(valid_from)
    with CodeFolder.opened(out) as folder:
        if is_code(file.read_bytes()):
            return take_digital_codes(folder, imported, time_ns)
        return take_import(folder, imported, source or file.name, time_ns, valid_from_ns, certain=source is not None)


def time_of(text: str | None) -> int | None:
    """Return ns of a time given in ISO 8601 with its zone, or as ns since 1970; None for None. Raises CodeError."""
    if text is None or text.isdecimal():
        return int(text) if text else None

    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = datetime.min

    if moment.tzinfo is None:
        raise refuse(
            where="--valid-from",
            entity="code",
            field="valid_from",
            value=text,
            rule="must be a time with its zone, or ns since 1970",
            remedy="write it as 2026-12-01T04:00:00+08:00",
        )

    return int(moment.timestamp()) * SECOND


def take_import(
    folder: CodeFolder,
    imported: Imported,
    source: str,
    time_ns: int,
    valid_from: int | None = None,
    certain: bool = False,
) -> ImportOutcome:
    """Bring the codes of an import into a folder, at `time_ns`. `source`: the name of the map; `valid_from` (ns): when
    changed codes take effect; `certain`: the file is a version of the map `source`, even if nothing of that is in it.

    Raises CodeError, before anything is written, where a code cannot be brought in.
    """
    outcome = ImportOutcome(losses=carry_forward(folder))
    plans = _plan_codes(folder, imported, source, outcome)
    for plan in plans:
        previous = plan.filed.code if plan.filed else plan.gone
        if previous is not None and not plan.unchanged:
            entry = folder.registry[previous.id]
            plan.carried = carry(previous, folder.last_import(previous.id), plan.new, entry.highest)
            _check_beginning(previous, plan.carried, valid_from)
            plan.left = _new_faults(plan)

    asked_source, source = source, _source(folder, plans, source, certain)
    stale = _codes_no_longer_there(
        folder=folder, plans=plans, asked_source=asked_source, source=source, certain=certain, outcome=outcome
    )
    issued = [_issued_code(folder, plan, time_ns) for plan in plans]
    folder.save()
    names_taken: set[Path] = set()

    for plan, code in zip(plans, issued, strict=True):
        outcome.taken.append(
            _write_code(
                folder=folder,
                plan=plan,
                code=code,
                source=source,
                valid_from=valid_from,
                files_taken=names_taken,
                outcome=outcome,
            )
        )

    for filed in stale:
        retire(folder, filed, time_ns, outcome)

    take_out_replaced(folder, [plan.filed.code.id for plan in plans if plan.filed], time_ns, outcome)
    folder.save()
    return outcome


def _plan_codes(folder: CodeFolder, imported: Imported, source: str, outcome: ImportOutcome) -> list[_CodePlan]:
    """Return for each code of the import what was there before."""
    plans = [_CodePlan(code, content_hash(replace(code, id=""))) for code in imported]
    current = folder.latest()
    filed_of_digest = {folder.registry[filed_code.code.id].digest: filed_code for filed_code in current}

    for plan in plans:
        plan.filed = filed_of_digest.pop(plan.digest, None)
        plan.unchanged = plan.filed is not None

    # Codes that are equal to the byte need no geometry to be recognised
    used_ids = {plan.filed.code.id for plan in plans if plan.filed}
    remaining = [filed_code for filed_code in current if filed_code.code.id not in used_ids]
    pending = [plan for plan in plans if plan.filed is None]

    if not pending:
        return plans

    earlier = [filed_code.code for filed_code in remaining] + folder.gone()
    _lay_on_last_import(folder, pending, earlier, imported, outcome)

    # What is not equal to the byte is paired by where its lanes lie
    same_source = [_is_named(folder.registry[code.id].source, source) for code in earlier]
    for new_index, old_index in pair_up(earlier, [plan.new for plan in pending], same_source).items():
        if old_index < len(remaining):
            pending[new_index].filed = remaining[old_index]
        else:
            pending[new_index].gone = earlier[old_index]

    return plans


def _is_named(name: str, source: str) -> bool:
    """Return whether a map was called `source` when it came: of several of one name the later have a number behind
    it."""
    return name.partition(NAME_SEPARATOR)[0] == source


def _source(folder: CodeFolder, plans: list[_CodePlan], source: str, certain: bool) -> str:
    """Return which of the maps that are called `source` the file is a version of: that with most codes in common. Files
    of many towns are called map.osm."""
    known_sources = {row.source for row in folder.registry if _is_named(row.source, source)}
    previous_codes = [plan.filed.code if plan.filed else plan.gone for plan in plans]
    codes_of_source = Counter(folder.registry[code.id].source for code in previous_codes if code is not None)
    best_source = max(sorted(known_sources), key=lambda name: codes_of_source[name], default=source)

    if certain or not known_sources or codes_of_source[best_source]:
        return best_source

    return f"{source}{NAME_SEPARATOR}{len(known_sources) + 1}"


def _lay_on_last_import(
    folder: CodeFolder,
    pending: list[_CodePlan],
    earlier: Sequence[IntersectionCode],
    imported: Imported,
    outcome: ImportOutcome,
) -> None:
    """Lay a map that is placed by its middle where the last import laid it: its middle moves with its outermost
    road."""
    if not any(loss.what == LossKind.GUESSED and "its middle at" in loss.detail for loss in imported.losses):
        return

    step = common_shift([folder.last_import(code.id) or code for code in earlier], [plan.new for plan in pending])
    if step is None:
        return

    for plan in pending:
        plan.new = shifted(plan.new, (-step[0], -step[1]))

    metres = distance((0, 0), step)
    outcome.losses.append(
        Loss(
            what=LossKind.GUESSED,
            entity="location",
            detail=f"the map does not say where it lies: kept where the last import laid it, {metres:.1f} m from where "
            "this one would",
        )
    )


def _check_beginning(previous: IntersectionCode, carried: Carried, valid_from: int | None) -> None:
    if (
        carried.changed
        and valid_from is not None
        and previous.valid_from is not None
        and valid_from <= previous.valid_from
    ):
        raise refuse(
            where=previous.id,
            entity="code",
            field="valid_from",
            value=valid_from,
            rule=f"must be after the beginning of revision {previous.revision} ({previous.valid_from})",
            remedy="give a later --valid-from, or none to replace that revision",
        )


def _new_faults(plan: _CodePlan) -> list[Finding]:
    """Return for what a node would refuse the next revision of a code that it takes as it stands, though the import
    alone is sound."""
    if plan.filed is None or plan.carried is None or not plan.carried.changed:
        return []

    faults = _errors(plan.carried.code)
    if faults and not _errors(plan.filed.code) and not _errors(replace(plan.new, id=plan.filed.code.id)):
        return faults

    return []


def _errors(code: IntersectionCode) -> list[Finding]:
    return [finding for finding in validate(code) if finding.severity == Severity.ERROR]


def _codes_no_longer_there(
    folder: CodeFolder, plans: list[_CodePlan], asked_source: str, source: str, certain: bool, outcome: ImportOutcome
) -> list[Filed]:
    """Return the codes of the same map that the import does not have. A file is a version of a map when it has half of
    that map's codes, or one of them and its name.

    `certain`: the name was given as that of the map, and needs no code in common.
    """
    used_ids = {plan.filed.code.id for plan in plans if plan.filed}
    latest = folder.latest()
    source_of = {filed_code.code.id: folder.registry[filed_code.code.id].source for filed_code in latest}
    codes_of_source, codes_met = Counter(source_of.values()), Counter(source_of[name] for name in used_ids)
    same_map = {name for name, count in codes_met.items() if 2 * count >= codes_of_source[name] or name == source}

    if certain:
        same_map.add(source)

    absent = []
    for filed_code in latest:
        source_of_code = source_of[filed_code.code.id]
        if filed_code.code.id in used_ids:
            continue

        if source_of_code in same_map and source_of_code:
            absent.append(filed_code)
        elif not source_of_code and codes_met[source_of_code]:
            outcome.removed.append(
                f"{filed_code.path}: {filed_code.code.id} is not in this file, and of which map it is was not kept: it "
                "stays. Take it away if it is gone"
            )
        elif source_of_code and (
            codes_met[source_of_code] or (_is_named(source_of_code, asked_source) and not codes_met[source])
        ):
            outcome.removed.append(
                f"{filed_code.path}: {filed_code.code.id} is of {source_of_code}, and not in this file: it stays. If "
                f"the file takes the place of {source_of_code}, say so with --source {source_of_code}"
            )

    return absent


def _issued_code(folder: CodeFolder, plan: _CodePlan, time_ns: int) -> IntersectionCode:
    """Return the code to write, its city code given for ever."""
    if (plan.unchanged or plan.left) and plan.filed is not None:
        return plan.filed.code

    if plan.carried is not None:
        folder.registry[plan.carried.code.id].highest = plan.carried.numbering.highest
        return plan.carried.code

    city_code, new = parse_code(plan.new.id), plan.new
    try:
        name = folder.registry.allocate(
            city_code.adm, city_code.kind, new.ref_lat_e7, new.ref_lon_e7, time_ns, new.name
        )
    except CityCodeError as error:
        raise refuse(
            where=new.name,
            entity="code",
            field="id",
            value=new.id,
            rule=str(error),
            remedy="give an administrative code of its own with --adm",
        ) from None

    numbering = Numbering()
    numbering.note([new])
    folder.registry[name].highest = numbering.highest

    return replace(new, id=name)


def _write_code(
    folder: CodeFolder,
    plan: _CodePlan,
    code: IntersectionCode,
    source: str,
    valid_from: int | None,
    files_taken: set[Path],
    outcome: ImportOutcome,
) -> TakenCode:
    """Write one code where it belongs, and keep what the import gave."""
    entry = folder.registry[code.id]
    if plan.unchanged and plan.filed is not None:
        entry.source = source
        return TakenCode(path=plan.filed.path, code=code, state="unchanged")

    if plan.left and plan.filed is not None:
        remedy = "the file stays as it was: correct what was written by hand, or the map, and import again"
        outcome.losses += [
            Loss(
                what=LossKind.DIFFERS,
                entity=f"{plan.filed.path.name} {fault.entity}.{fault.field}",
                detail=f"the next revision would be refused: {fault.value} {fault.rule}; {remedy}",
            )
            for fault in plan.left
        ]

        return TakenCode(path=plan.filed.path, code=code, state="left as it was: a node would refuse the next revision")

    if plan.filed is None:
        path = folder.free_file(files_taken)
        files_taken.add(path)
        state = "new" if plan.gone is None else f"is back, revision {code.revision}"
        result = TakenCode(
            path=path, code=code, state=state, lines=changes(plan.gone, code) if plan.gone is not None else []
        )
    elif plan.carried is not None and plan.carried.changed:
        path, code = next_file(folder, plan.filed, code, valid_from)
        result = TakenCode(
            path=path, code=code, state=f"revision {code.revision}", lines=changes(plan.filed.code, code)
        )
    else:
        path, result = plan.filed.path, TakenCode(path=plan.filed.path, code=plan.filed.code, state="unchanged")

    if result.state != "unchanged":
        folder.put(path, code)

    folder.keep_import(plan.carried.base if plan.carried is not None else code)
    if plan.carried is not None:
        outcome.losses += [replace(loss, entity=f"{path.name} {loss.entity}") for loss in plan.carried.losses]

    entry.source, entry.digest, entry.revision, entry.retired = source, plan.digest, result.code.revision, None
    return result
