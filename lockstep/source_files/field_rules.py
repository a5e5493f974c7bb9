"""What a mapping file says about one source field."""

from functools import cached_property

import msgspec

from lockstep.source_files.mapped_ids import Rule
from lockstep.source_files.mapped_times import check_format, zone_of

TIMES = frozenset({"occurred_at", "taken_at"})


class FieldRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """What happens to one source field."""

    to: str | list[str]
    """The event field, or fields, that get its value."""
    split: str | None = None
    """A separator: the text becomes several tags."""
    formats: list[str] = []
    """The forms of a time, as of `strptime`, or "iso": the first one that fits decides."""
    zone: str | None = None
    """The zone of times without an offset."""
    id: Rule | None = None
    """How the text becomes an image ID."""

    @cached_property
    def targets(self) -> list[str]:
        """The event fields."""
        return [self.to] if isinstance(self.to, str) else self.to


def rule_of(said: str | FieldRule) -> FieldRule:
    """The rule of a field; an event field alone is a rule, too."""
    return FieldRule(said) if isinstance(said, str) else said


def check_rule(rule: FieldRule) -> None:
    """Check what is said about one field.

    Raises:
        ValueError: it does not fit the event fields, or it is invalid.
    """
    targets = frozenset(rule.targets)
    if not targets:
        raise ValueError("`to` has no event field")
    if rule.split is not None and not (rule.split and "tags" in targets):
        raise ValueError("`split` is a separator, only for `tags`")
    if (rule.formats or rule.zone is not None) and not targets & TIMES:
        raise ValueError(f"`formats` and `zone` are only for {' and '.join(sorted(TIMES))}")
    if rule.id is not None and "image_id" not in targets:
        raise ValueError("`id` is only for `image_id`")
    if rule.id == "hash" and len(targets) == 1:
        raise ValueError(
            "no ID shows the text that it is the hash of: keep the text in an attribute, "
            'with to = ["image_id", "attributes.NAME"]'
        )
    for form in rule.formats:
        check_format(form)
    if rule.zone is not None:
        zone_of(rule.zone)
