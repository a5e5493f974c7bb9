"""A person's words: of any text, what can be searched for, within what a query may cost."""

import re
from collections.abc import Sequence

from functions.search_images.ranking import MAX_TOKENS

# An analyzer cuts there: no longer word is in the index.
MAX_WORD_LENGTH = 255
# More than any name has; the rest of a text that long says nothing new.
MAX_TEXT_LENGTH = 8 * 1024

# About what the standard tokenizer makes of a text, and never fewer: each letter of a script that
# is written without spaces, other runs of letters and digits, each symbol.
_WIDE = "\u2e80-\u2fdf\u3041-\u3096\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_TOKEN = re.compile(rf"[{_WIDE}]|[^\W{_WIDE}]+|[^\w\s\x00-\u1fff]")


def words_of(text: str) -> Sequence[str]:
    """What stands between spaces and holds a letter or digit; not more than a query may have."""
    words: list[str] = []
    tokens = 0
    for word in text.split():
        if not any(char.isalnum() for char in word):
            continue
        tokens += len(_TOKEN.findall(word[:MAX_WORD_LENGTH]))
        if tokens > MAX_TOKENS:
            return words or [word[:MAX_TOKENS]]
        words.append(word[:MAX_WORD_LENGTH])
    return words
