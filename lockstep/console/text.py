"""Text for a terminal: text from outside made safe, and counts in words."""


def printable(text: str) -> str:
    """The text with every character escaped that could control a terminal."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def counted(count: int, word: str, plural: str = "s") -> str:
    """A count and what it counts: `1 image`, `1,234 images`, `2 batches`."""
    return f"{count:,} {word}{'' if count == 1 else plural}"
