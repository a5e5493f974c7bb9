"""Synthetic images by the statistics of the real ones: any number of them, always the same.

A name is drawn word by word: which word follows which is that of the real names (a Markov chain of
words, with the beginning and the end of a name). So words have the real frequencies, and names the
real lengths. Of the words that occur once in the real names, a collection has more, the larger it
is: their number grows with a power of the number of images (the law of Heaps), whose exponent is
that of the real names. Such a word is made letter by letter, as three letters follow each other in
the real ones. Everything else of an image (tags, attributes, sizes) is that of a real image.

Only the real names decide. So what they lack, for example other scripts, the images lack, too.
"""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

import msgspec

from shared.event import Event, Image
from tools.relevance.collection import events

END = ""
# Of a made word: the letters before a letter, and the bounds of its length.
BEFORE = 2
SHORTEST, LONGEST = 4, 14
MOST_WORDS = 40


class Collection:
    """The statistics of real images, and the images that are made by them.

    Args:
        real: the real images.
    """

    def __init__(self, real: Sequence[Event]) -> None:
        self.real = real
        self.names = [one.image.name for one in real if isinstance(one.image, Image)]
        self._follows: Mapping[str, list[str]] = defaultdict(list)
        counts = Counter[str]()
        for name in self.names:
            words = name.split()
            counts.update(words)
            for word, following in zip([END, *words], [*words, END], strict=True):
                self._follows[word].append(following)
        self._rare = {word for word, many in counts.items() if many == 1 and word.isalpha()}
        self._letters: Mapping[str, list[str]] = defaultdict(list)
        for word in sorted(self._rare):
            padded = END.ljust(BEFORE) + word.lower() + " "
            for at in range(BEFORE, len(padded)):
                self._letters[padded[at - BEFORE : at]].append(padded[at])

    @cached_property
    def exponent(self) -> float:
        """The power of the number of names with which the rare words grow, by the real names.

        It compares how many words occur once in the first half and in all of them.
        """
        half = Counter(word for name in self.names[::2] for word in name.split())
        of_half = sum(many == 1 and word.isalpha() for word, many in half.items())
        return math.log2(len(self._rare) / of_half)

    def share_of_new(self, number: int) -> float:
        """The share of the rare words of an image that no image before it has."""
        of_real = (number + 1) / len(self.names)
        return min(1.0, self.exponent * math.pow(of_real, self.exponent - 1))

    def name(self, number: int) -> str:
        """The name of an image."""
        chance = random.Random(f"name {number}")
        new = self.share_of_new(number)
        words: list[str] = []
        word = chance.choice(self._follows[END])
        while word != END and len(words) < MOST_WORDS:
            if word in self._rare:
                of = number if chance.random() < new else chance.randrange(number + 1)
                words.append(self.word(f"{of} {len(words) if of == number else 0}"))
            else:
                words.append(word)
            word = chance.choice(self._follows[word])
        return " ".join(words)

    def word(self, seed: str) -> str:
        """A made word, always the same for a seed."""
        chance = random.Random(f"word {seed}")
        word = END.ljust(BEFORE)
        while len(word) < LONGEST + BEFORE:
            letter = chance.choice(self._letters[word[-BEFORE:]])
            if letter == " ":
                if len(word) >= SHORTEST + BEFORE:
                    break
                word = END.ljust(BEFORE)
                continue
            word += letter
        return word.strip().capitalize()

    def event(self, number: int) -> Event:
        """The upload of an image."""
        original = self.real[random.Random(f"image {number}").randrange(len(self.real))]
        if not isinstance(original.image, Image):
            raise TypeError(original)
        image = msgspec.structs.replace(original.image, name=self.name(number))
        return msgspec.structs.replace(original, image_id=f"synthetic-{number:09}", image=image)

    def events(self, count: int) -> Iterator[Event]:
        """So many uploads."""
        return map(self.event, range(count))


def collection() -> Collection:
    """The statistics of the real records of the repository."""
    return Collection([*events()])
