"""What an export refuses: a digital code that a message has no room for."""

from ...findings import CodeError, refuse


def limit_error(where: str, field: str, value: object, rule: str) -> CodeError:
    """Return the error, to be raised, that a field of a code does not fit into a message of the format `where`."""
    return refuse(
        where=where,
        entity="code",
        field=field,
        value=value,
        rule=rule,
        remedy="split the intersection, or publish the digital code itself",
    )
