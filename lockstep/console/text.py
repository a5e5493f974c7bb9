"""Text from outside, made safe for a terminal."""


def printable(text: str) -> str:
    """The text with every character escaped that could control a terminal."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
