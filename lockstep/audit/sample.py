"""Estimates from a random sample how many images of a whole store differ, at most."""

import math

CONFIDENCE = 0.95
# If the bound of each store holds with this probability, both hold together with `CONFIDENCE`.
_STORE_CONFIDENCE = 1 - (1 - CONFIDENCE) / 2


def share_at_most(samples: list[tuple[int, int]]) -> float:
    """The upper bound, with `CONFIDENCE`, of the share of differing images in either store.

    Args:
        samples: for each store, the number of images in the sample, and how many of them differ.
    """
    return max(upper_bound(images, differing, _STORE_CONFIDENCE) for images, differing in samples)


def upper_bound(images: int, differing: int, confidence: float) -> float:
    """The upper confidence bound of the share of differing images.

    The exact bound of Clopper and Pearson, found by bisection.
    """
    if differing >= images:
        return 1.0
    low, high = differing / images, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if _probability(images, differing, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def _probability(images: int, differing: int, share: float) -> float:
    """The probability that at most `differing` of `images` differ, if `share` of all differs."""
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
