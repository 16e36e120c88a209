"""What the live page may ask for in vain."""


class ViewError(ValueError):
    """A page asked for something that cannot be had: which field, its value, the rule and the remedy."""

    def __init__(self, field: str, value: object, rule: str, remedy: str) -> None:
        super().__init__(f"{field} = {value}: {rule}. {remedy}")
        self.row = {"field": field, "value": str(value)[:80], "rule": rule, "remedy": remedy}
