"""What is wrong with a digital code, in words that name the entity, the field, its value, the rule and the remedy."""

from enum import StrEnum

from msgspec import Struct

from ..errors import CloudctlError


class Severity(StrEnum):
    """How bad a finding is: a node refuses a code with an error, and takes one with a warning."""

    ERROR = "error"
    WARNING = "warning"


class LossKind(StrEnum):
    """What became of something that an import or an export could not carry over as it was."""

    DROPPED = "dropped"
    UNKNOWN = "unknown"  # a value that is not understood
    GUESSED = "guessed"
    REPAIRED = "repaired"
    DIFFERS = "differs"  # kept, but worth a look


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


class Loss(Struct, frozen=True, order=True, omit_defaults=True):
    """One kind of difference from the source, `count` times. `what` is a `LossKind`."""

    what: str
    entity: str
    detail: str
    count: int = 1
    example: str = ""  # the first of them, as the file has it

    def __str__(self) -> str:
        line = f"{self.what}: {self.entity}: {self.detail}"
        if self.example:
            if self.count == 1:
                return f"{line} ({self.example})"
            return f"{line} ({self.count} times, first {self.example})"
        return line if self.count == 1 else f"{line} ({self.count} times)"


class CodeError(CloudctlError, ValueError):
    """A digital code, or a file to make one of, that cannot be used; `findings` gives the reasons, one line for each
    fault.

    `losses` is the loss report of the import that was refused: what it had left out until then, which often is the
    cause."""

    def __init__(self, where: str, findings: list[Finding]) -> None:
        count = "1 fault" if len(findings) == 1 else f"{len(findings)} faults"
        super().__init__(f"{where}: {count}\n" + "\n".join(f"  {finding}" for finding in findings))
        self.where = where
        self.findings = findings
        self.losses: tuple[Loss, ...] = ()


def fault(
    entity: str, field: str, value: object, rule: str, remedy: str, severity: Severity = Severity.ERROR
) -> Finding:
    """Return a finding about a value of any type, which is given as text."""
    return Finding(entity=entity, field=field, value=str(value), rule=rule, severity=severity, remedy=remedy)


def refuse(where: str, entity: str, field: str, value: object, rule: str, remedy: str) -> CodeError:
    """Return an error of one fault, to be raised."""
    return CodeError(where, [fault(entity, field, value, rule, remedy)])
