"""What is wrong with a digital code, said so that a person can put it right."""

from msgspec import Struct

from ..errors import CloudctlError


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
    """One kind of thing that is not as the source had it, `count` times. `what`: dropped, unknown (a value that is not
    understood), guessed, repaired, or differs (kept, but worth a look)."""

    what: str
    entity: str
    detail: str
    count: int = 1
    example: str = ""  # the first of them, as the file has it

    def __str__(self) -> str:
        line = f"{self.what}: {self.entity}: {self.detail}"
        if self.example:
            return (
                f"{line} ({self.example})" if self.count == 1 else f"{line} ({self.count} times, first {self.example})"
            )
        return line if self.count == 1 else f"{line} ({self.count} times)"


class CodeError(CloudctlError, ValueError):
    """A digital code, or a file to make one of, that cannot be used; `findings` says why, one line for each fault.

    `losses` is the loss report of the import that was refused: what it had left out until then, which often is the
    cause."""

    def __init__(self, where: str, findings: list[Finding]) -> None:
        count = "1 fault" if len(findings) == 1 else f"{len(findings)} faults"
        super().__init__(f"{where}: {count}\n" + "\n".join(f"  {finding}" for finding in findings))
        self.where = where
        self.findings = findings
        self.losses: tuple[Loss, ...] = ()


def refuse(where: str, entity: str, field: str, value: object, rule: str, remedy: str) -> CodeError:
    """Return an error of one fault, to be raised."""
    return CodeError(
        where, [Finding(entity=entity, field=field, value=str(value), rule=rule, severity="error", remedy=remedy)]
    )
