"""Restriction classes of a J2735 MAP: the users that may take a restricted connection."""

from ...findings import LossKind
from ..importing.accounting import JsonRecord

PEDESTRIAN_TYPES = (
    "pedestrians",
    "slowMovingPersons",
    "wheelchairUsers",
    "visualDisabilities",
    "audioDisabilities",
    "otherUnknownDisabilities",
)
# Of restriction classes, and the classes of rules that they are
CLASSES_OF_USER_TYPE: dict[str, tuple[str, ...]] = {
    "none": (),
    "equippedTransit": ("bus",),
    "equippedTaxis": ("taxi",),
    "equippedBicycle": ("bicycle",),
    **dict.fromkeys(PEDESTRIAN_TYPES, ("pedestrian",)),
}


def restriction_classes(record: JsonRecord) -> dict[int, tuple[str, ...]]:
    """Return the users that each restriction class admits, as classes of rules; users that a code cannot name are
    reported, and kept out."""
    allowed_classes: dict[int, tuple[str, ...]] = {}
    for row in record.rows("restrictionList"):
        if "id" not in row:
            row.leave_out("left out: it has no id")
            continue

        users: dict[str, None] = {}
        for user in row.rows("users"):
            basic_type = user.get("basicType")
            for user_type in basic_type if isinstance(basic_type, list) else [basic_type]:
                if str(user_type) in CLASSES_OF_USER_TYPE:
                    users |= dict.fromkeys(CLASSES_OF_USER_TYPE[str(user_type)])
                elif user_type is not None:
                    user.unknown("basicType", user_type, "a code cannot tell who that is: they are kept out")

        if not users:
            record.accounts.enter(
                LossKind.DIFFERS,
                "restrictionList@users",
                "the class names nobody whom a code knows: its connections are closed to all",
                str(row),
            )

        allowed_classes[int(row.number("id"))] = tuple(users)

    return allowed_classes
