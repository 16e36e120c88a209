"""One import into a folder of codes: which intersections were there before, their next revisions, new ones, and those that are gone."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from cloudctl.clock import SECOND, WallClock

from ..canon import content_hash, dump
from ..checks.validation import validate
from ..citycode import CityCodeError, parse_code
from ..findings import Finding, Loss, refuse
from ..model import IntersectionCode
from ..polylines import distance
from ..report import Imported
from .by_hand import bring_forward, parts_by_hand
from .carry import Carried, carry
from .changes import changes
from .folder import CodeFolder, Filed, is_code
from .likeness import common_shift, pair_up, same_intersection, shifted
from .rename import Numbering

MARK = "#"  # between a map's name and its number, where several are called the same
SAME_PLACE = (
    100.0  # m from where a city code was given within which a code that carries it is taken for the same intersection
)


class Taken(NamedTuple):
    """What became of one code of the import. `state`: new, unchanged, or which revision it is now; `lines`: what changed, for a person."""

    path: Path
    code: IntersectionCode
    state: str
    lines: Sequence[str] = ()


@dataclass
class Outcome:
    """What an import did to a folder."""

    taken: list[Taken] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)  # lines, for a person

    def report(self, found: Imported) -> Imported:
        """Return the import as it stands in the folder, with all losses."""
        return Imported([item.code for item in self.taken], found.source, [*found.losses, *self.losses])


@dataclass
class _Plan:
    """One code on its way into the folder: what is there before, and what is to be written."""

    new: IntersectionCode
    digest: str
    filed: Filed | None = None  # the revision that stands in the folder
    gone: IntersectionCode | None = None  # or the one that was taken out
    carried: Carried | None = None
    unchanged: bool = False
    left: Sequence[Finding] = ()  # why the next revision is not written: what a node would refuse it for


def bring_in(found: Imported, file: Path, out: Path, source: str | None, valid_from: str | None) -> Outcome:
    """Bring what was read from `file` into the folder `out`, now. Raises CodeError.

    `source`: the name of the map (None: the file's name); `valid_from`: when changed codes take effect, in ISO 8601 with a zone, or ns since 1970.
    """
    t, begins = WallClock().now(), time_of(valid_from)
    with CodeFolder.opened(out) as folder:
        if is_code(file.read_bytes()):
            return take_whole(folder, found, t)
        return take(folder, found, source or file.name, t, begins, certain=source is not None)


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
            "--valid-from",
            "code",
            "valid_from",
            text,
            "must be a time with its zone, or ns since 1970",
            "write it as 2026-12-01T04:00:00+08:00",
        )
    return int(moment.timestamp()) * SECOND


def take(
    folder: CodeFolder, found: Imported, source: str, t: int, valid_from: int | None = None, certain: bool = False
) -> Outcome:
    """Bring the codes of an import into a folder, at `t` ns. `source`: the name of the map; `valid_from` (ns): when changed codes take effect;
    `certain`: the file is a version of the map `source`, even if nothing of that is in it.

    Raises CodeError, before anything is written, where a code cannot be brought in.
    """
    out = Outcome(losses=bring_forward(folder))
    plans = _paired(folder, found, source, out)
    for plan in plans:
        prev = plan.filed.code if plan.filed else plan.gone
        if prev is not None and not plan.unchanged:
            row = folder.registry[prev.id]
            plan.carried = carry(prev, folder.last_import(prev.id), plan.new, row.highest)
            _check_beginning(prev, plan.carried, valid_from)
            plan.left = _unsound(plan)
    asked, source = source, _source(folder, plans, source, certain)
    stale = _stale(folder, plans, asked, source, certain, out)
    issued = [_issue(folder, plan, t) for plan in plans]
    folder.save()
    names_taken: set[Path] = set()
    for plan, code in zip(plans, issued, strict=True):
        out.taken.append(_write(folder, plan, code, source, valid_from, names_taken, out))
    for filed in stale:
        _retire(folder, filed, t, out)
    _clear(folder, [plan.filed.code.id for plan in plans if plan.filed], t, out)
    folder.save()
    return out


def _paired(folder: CodeFolder, found: Imported, source: str, out: Outcome) -> list[_Plan]:
    """Return for each code of the import what was there before."""
    plans = [_Plan(code, content_hash(replace(code, id=""))) for code in found]
    current = folder.latest()
    unread = {folder.registry[item.code.id].digest: item for item in current}
    for plan in plans:
        plan.filed = unread.pop(plan.digest, None)
        plan.unchanged = plan.filed is not None
    used = {plan.filed.code.id for plan in plans if plan.filed}
    left = [item for item in current if item.code.id not in used]
    waiting = [plan for plan in plans if plan.filed is None]
    if not waiting:
        return plans
    earlier = [item.code for item in left] + folder.gone()
    _registered(folder, waiting, earlier, found, out)
    same = [_is_name(folder.registry[code.id].source, source) for code in earlier]
    for j, i in pair_up(earlier, [plan.new for plan in waiting], same).items():
        if i < len(left):
            waiting[j].filed = left[i]
        else:
            waiting[j].gone = earlier[i]
    return plans


def _is_name(name: str, source: str) -> bool:
    """Return whether a map was called `source` when it came: of several of one name the later have a number behind it."""
    return name.partition(MARK)[0] == source


def _source(folder: CodeFolder, plans: list[_Plan], source: str, certain: bool) -> str:
    """Return which of the maps that are called `source` the file is a version of: that with most codes in common. Files of many towns are called map.osm."""
    known = {row.source for row in folder.registry if _is_name(row.source, source)}
    prevs = [plan.filed.code if plan.filed else plan.gone for plan in plans]
    met = Counter(folder.registry[code.id].source for code in prevs if code is not None)
    best = max(sorted(known), key=lambda name: met[name], default=source)
    if certain or not known or met[best]:
        return best
    return f"{source}{MARK}{len(known) + 1}"


def _registered(
    folder: CodeFolder, waiting: list[_Plan], earlier: Sequence[IntersectionCode], found: Imported, out: Outcome
) -> None:
    """Lay a map that is placed by its middle where the last import laid it: its middle moves with its outermost road."""
    if not any(loss.what == "guessed" and "its middle at" in loss.detail for loss in found.losses):
        return
    by = common_shift([folder.last_import(code.id) or code for code in earlier], [plan.new for plan in waiting])
    if by is None:
        return
    for plan in waiting:
        plan.new = shifted(plan.new, (-by[0], -by[1]))
    metres = distance((0, 0), by)
    out.losses.append(
        Loss(
            "guessed",
            "location",
            f"the map does not say where it lies: kept where the last import laid it, {metres:.1f} m from where this one would",
        )
    )


def _check_beginning(prev: IntersectionCode, carried: Carried, valid_from: int | None) -> None:
    if carried.changed and valid_from is not None and prev.valid_from is not None and valid_from <= prev.valid_from:
        raise refuse(
            prev.id,
            "code",
            "valid_from",
            valid_from,
            f"must be after the beginning of revision {prev.revision} ({prev.valid_from})",
            "give a later --valid-from, or none to replace that revision",
        )


def _unsound(plan: _Plan) -> list[Finding]:
    """Return for what a node would refuse the next revision of a code that it takes as it stands, though the import alone is sound."""
    if plan.filed is None or plan.carried is None or not plan.carried.changed:
        return []
    wrong = _errors(plan.carried.code)
    return (
        wrong
        if wrong and not _errors(plan.filed.code) and not _errors(replace(plan.new, id=plan.filed.code.id))
        else []
    )


def _errors(code: IntersectionCode) -> list[Finding]:
    return [finding for finding in validate(code) if finding.severity == "error"]


def _stale(folder: CodeFolder, plans: list[_Plan], asked: str, source: str, certain: bool, out: Outcome) -> list[Filed]:
    """Return the codes of the same map that the import does not have. A file is a version of a map when it has half of that map's codes, or one of them and its name.

    `certain`: the name was given as that of the map, and needs no code in common.
    """
    used = {plan.filed.code.id for plan in plans if plan.filed}
    latest = folder.latest()
    of = {item.code.id: folder.registry[item.code.id].source for item in latest}
    had, met = Counter(of.values()), Counter(of[name] for name in used)
    same = {name for name, count in met.items() if 2 * count >= had[name] or name == source}
    if certain:
        same.add(source)
    stale = []
    for item in latest:
        other = of[item.code.id]
        if item.code.id in used:
            continue
        if other in same and other:
            stale.append(item)
        elif not other and met[other]:
            out.removed.append(
                f"{item.path}: {item.code.id} is not in this file, and of which map it is was not kept: it stays. Take it away if it is gone"
            )
        elif other and (met[other] or (_is_name(other, asked) and not met[source])):
            out.removed.append(
                f"{item.path}: {item.code.id} is of {other}, and not in this file: it stays. If the file takes the place of {other}, say so with --source {other}"
            )
    return stale


def _issue(folder: CodeFolder, plan: _Plan, t: int) -> IntersectionCode:
    """Return the code to write, its city code given for ever."""
    if (plan.unchanged or plan.left) and plan.filed is not None:
        return plan.filed.code
    if plan.carried is not None:
        folder.registry[plan.carried.code.id].highest = plan.carried.numbering.highest
        return plan.carried.code
    parts, new = parse_code(plan.new.id), plan.new
    try:
        name = folder.registry.allocate(parts.adm, parts.kind, new.ref_lat_e7, new.ref_lon_e7, t, new.name)
    except CityCodeError as error:
        raise refuse(
            new.name, "code", "id", new.id, str(error), "give an administrative code of its own with --adm"
        ) from None
    numbering = Numbering()
    numbering.note([new])
    folder.registry[name].highest = numbering.highest
    return replace(new, id=name)


def _write(
    folder: CodeFolder,
    plan: _Plan,
    code: IntersectionCode,
    source: str,
    valid_from: int | None,
    taken: set[Path],
    out: Outcome,
) -> Taken:
    """Write one code where it belongs, and keep what the import gave."""
    row = folder.registry[code.id]
    if plan.unchanged and plan.filed is not None:
        row.source = source
        return Taken(plan.filed.path, code, "unchanged")
    if plan.left and plan.filed is not None:
        remedy = "the file stays as it was: correct what was written by hand, or the map, and import again"
        out.losses += [
            Loss(
                "differs",
                f"{plan.filed.path.name} {fault.entity}.{fault.field}",
                f"the next revision would be refused: {fault.value} {fault.rule}; {remedy}",
            )
            for fault in plan.left
        ]
        return Taken(plan.filed.path, code, "left as it was: a node would refuse the next revision")
    if plan.filed is None:
        path = folder.free_file(taken)
        taken.add(path)
        state = "new" if plan.gone is None else f"is back, revision {code.revision}"
        result = Taken(path, code, state, changes(plan.gone, code) if plan.gone is not None else [])
    elif plan.carried is not None and plan.carried.changed:
        path, code = _next_file(folder, plan.filed, code, valid_from)
        result = Taken(path, code, f"revision {code.revision}", changes(plan.filed.code, code))
    else:
        path, result = plan.filed.path, Taken(plan.filed.path, plan.filed.code, "unchanged")
    if result.state != "unchanged":
        folder.put(path, code)
    folder.keep_import(plan.carried.base if plan.carried is not None else code)
    if plan.carried is not None:
        out.losses += [replace(loss, entity=f"{path.name} {loss.entity}") for loss in plan.carried.losses]
    row.source, row.digest, row.revision, row.retired = source, plan.digest, result.code.revision, None
    return result


def _next_file(
    folder: CodeFolder, filed: Filed, code: IntersectionCode, valid_from: int | None
) -> tuple[Path, IntersectionCode]:
    """Return where the next revision goes, and the revision: beside the one in force where it has a beginning of its own, else in its place."""
    stem = filed.path.stem.partition("-r")[0]
    if valid_from is not None:
        folder.keep_revision(filed)  # to tell what is written by hand into the one in force until then
        return filed.path.with_name(f"{stem}-r{code.revision}.json"), replace(code, valid_from=valid_from)
    if "-r" not in filed.path.stem:
        folder.keep_revision(filed)
        return filed.path, code
    folder.shelve(filed)
    return filed.path.with_name(f"{stem}-r{code.revision}.json"), code


def _retire(folder: CodeFolder, filed: Filed, t: int, out: Outcome) -> None:
    name = filed.code.id
    out.losses += [
        replace(loss, entity=f"{filed.path.name} {loss.entity}")
        for loss in parts_by_hand(filed.code, folder.last_import(name))
    ]
    for item in list(folder.files[name]):
        kept = folder.shelve(item)
        out.removed.append(f"{item.path}: {name} ({item.code.name}) is no longer in the map: taken out, kept as {kept}")
    folder.registry[name].revision = filed.code.revision
    folder.registry.retire(name, t)


def _clear(folder: CodeFolder, touched: list[str], t: int, out: Outcome) -> None:
    """Take out the revisions that a later one has followed already."""
    for name in touched:
        filed = folder.files.get(name, [])
        for item, later in pairwise(list(filed)):
            if later.code.valid_from is None or later.code.valid_from <= t:
                out.removed.append(
                    f"{item.path}: revision {item.code.revision} was followed by revision {later.code.revision}: taken out, kept as {folder.shelve(item)}"
                )


def take_whole(folder: CodeFolder, found: Imported, t: int) -> Outcome:
    """Bring digital codes, which have their city codes already, into a folder at `t` ns. Raises CodeError.

    A city code that stands for another intersection there is replaced by a new one; a known revision with another content is refused.
    """
    out = Outcome()
    plans = [(code, *_place_of(folder, code, t, out)) for code in found]
    folder.save()
    taken: set[Path] = set()
    for given, code, filed in plans:
        row = folder.registry[code.id]
        row.revision, row.retired = code.revision, None
        if filed is None:
            path = folder.free_file(taken)
            taken.add(path)
            out.taken.append(Taken(path, code, "new" if code.id == given.id else f"new, as {code.id}"))
        elif dump(filed.code) == dump(code):
            out.taken.append(Taken(filed.path, code, "unchanged"))
            continue
        else:
            path, code = _next_file(folder, filed, code, code.valid_from)
            out.taken.append(Taken(path, code, f"revision {code.revision}", changes(filed.code, code)))
        folder.put(path, code)
    folder.save()
    return out


def _place_of(
    folder: CodeFolder, code: IntersectionCode, t: int, out: Outcome
) -> tuple[IntersectionCode, Filed | None]:
    """Return a whole code under the city code that it has in this folder, and what stands there under it."""
    standing = folder.files.get(code.id)
    if standing and same_intersection(standing[-1].code, code):
        last = standing[-1]
        if code.revision <= last.code.revision and dump(code) != dump(last.code):
            raise refuse(
                code.id,
                "code",
                "revision",
                code.revision,
                f"{last.path} is revision {last.code.revision} with another content",
                f"give the changed code revision {last.code.revision + 1}",
            )
        return code, last
    row = folder.registry.get(code.id)
    here = (code.ref_lat_e7, code.ref_lon_e7)
    if not standing and row is None:
        folder.registry.adopt(code.id, *here, t, code.name)
        return code, None
    if (
        not standing
        and row is not None
        and distance((row.lat_e7, row.lon_e7), here) <= SAME_PLACE
        and row.note in ("", code.name)
    ):
        return code, None
    parts = parse_code(code.id)
    name = folder.registry.allocate(parts.adm, parts.kind, *here, t, code.name)
    out.losses.append(Loss("differs", code.id, f"stands for another intersection in {folder.path}: here it is {name}"))
    return replace(code, id=name), None
