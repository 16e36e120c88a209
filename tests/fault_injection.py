"""An exception that no code expects, for tests that inject it."""


class Broken(Exception):
    """An exception that no code of the product raises or catches by its type."""


def fails(*_: object, **__: object) -> None:
    raise Broken("made to fail")
