"""The names of the two aliases."""


def live_alias(alias: str) -> str:
    """The alias for reading, given the one for writing."""
    return f"{alias}-live"
