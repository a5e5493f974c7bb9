"""The sample: a quick look at some images of each store, and how far it can be believed."""

import math

CONFIDENCE = 0.95
# Each store is sampled by itself: both bounds hold together where each is this certain.
_EACH = 1 - (1 - CONFIDENCE) / 2


def share_at_most(samples: list[tuple[int, int]]) -> float:
    """The share of a store's images that differs at most, in the worse store, with `CONFIDENCE`.

    Args:
        samples: for each store, how many images were looked at, and how many of them differ.
    """
    return max(upper_bound(images, differing, _EACH) for images, differing in samples)


def upper_bound(images: int, differing: int, confidence: float) -> float:
    """The greatest share with which so few out of so many would not be too great a luck.

    The exact bound of Clopper and Pearson, found by halving.
    """
    if differing >= images:
        return 1.0
    low, high = differing / images, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if _so_few(images, differing, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def _so_few(images: int, differing: int, share: float) -> float:
    """The chance of this many differing or fewer, if that share of all differs."""
    logs = math.log(share), math.log1p(-share)
    return math.fsum(
        math.exp(
            math.lgamma(images + 1)
            - math.lgamma(count + 1)
            - math.lgamma(images - count + 1)
            + count * logs[0]
            + (images - count) * logs[1]
        )
        for count in range(differing + 1)
    )
