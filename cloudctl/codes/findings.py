"""What is wrong with a digital code, said so that a person can put it right."""

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from .report import Loss


class Finding(Struct, frozen=True):
    """One fault: which entity, which field, its value, the rule it breaks, how bad (error, warning), what to do."""

    entity: str
    field: str
    value: str
    rule: str
    severity: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.entity}.{self.field} = {self.value}: {self.rule}. {self.remedy}"


class CodeError(ValueError):
    """A digital code, or a file to make one of, that cannot be used; `findings` says why, one line for each fault.

    `losses` is the loss report of the import that was refused: what it had left out until then, which often is the cause.
    """

    def __init__(self, where: str, findings: list[Finding]) -> None:
        count = "1 fault" if len(findings) == 1 else f"{len(findings)} faults"
        super().__init__(f"{where}: {count}\n" + "\n".join(f"  {finding}" for finding in findings))
        self.where = where
        self.findings = findings
        self.losses: tuple[Loss, ...] = ()


def refuse(where: str, entity: str, field: str, value: object, rule: str, remedy: str) -> CodeError:
    """Return an error of one fault, to be raised."""
    return CodeError(where, [Finding(entity, field, str(value), rule, "error", remedy)])
