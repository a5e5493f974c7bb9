"""The toll of a proof of the audit: what was injected, what of it was found, what was invented."""

from collections import Counter
from collections.abc import Mapping


def toll(what: str, images: int, injected: Mapping[str, str], found: Mapping[str, str]) -> str:
    """One line; `injected` and `found` are kinds of difference by image."""
    kinds = ", ".join(
        f"{kind} {count:,}" for kind, count in sorted(Counter(injected.values()).items())
    )
    right = sum(found.get(image_id) == kind for image_id, kind in injected.items())
    return (
        f"{what}: {len(injected):,} injected among {images:,} images ({kinds or 'none'}), "
        f"{right:,} found, {len(found.keys() - injected.keys()):,} invented"
    )
