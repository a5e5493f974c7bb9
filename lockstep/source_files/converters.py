"""Convert records of any shape into events, field by field, as a mapping file says.

A mapping file is TOML or JSON; docs/guides/producing.md shows one. Every field of a source record
is converted unless the mapping file says otherwise.
"""

import io
import re
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Raw

from lockstep.console.errors import UserError
from lockstep.source_files.field_rules import TIMES, FieldRule, check_rule, rule_of
from lockstep.source_files.mapped_ids import id_of
from lockstep.source_files.mapped_times import ISO, read_time
from lockstep.source_files.mapped_values import SEPARATOR, number, text, texts
from lockstep.source_files.mapping_shape import Rest, check_shape, toml_fault
from lockstep.source_files.source_fields import SourceFields, is_in, repeated_names, source_fields
from lockstep.source_files.text import utf8
from shared.event import (
    ATTRIBUTE_NAME_PATTERN,
    MAX_TAGS,
    Event,
    Image,
    InvalidEventError,
    decode,
)
from shared.refusal import why_refused

_BUILT_IN = resources.files("lockstep.source_files") / "mappings"

_ATTRIBUTE = "attributes."
_EVENT_FIELDS = frozenset(Event.__struct_fields__) - {"image"}
_IMAGE_FIELDS = frozenset(Image.__struct_fields__) - {"attributes"}
_NUMBERS = frozenset(
    name
    for kind in msgspec.json.schema_components([Event])[1].values()
    for name, field in kind["properties"].items()
    if field.get("type") == "integer"
)
# An event that is valid, so that a fault of it with other values is a fault of these.
_VALID = {"image_id": "1", "version": 1, "occurred_at": "2026-11-21T08:00:00Z", "name": "x"}
# The field in a message of the validator: `$.image.tags[3]`, `$.image.attributes.artist`.
_PLACE = re.compile(r"\$\.(?:image\.)?((?:attributes\.)?[\w-]+)")
_MISSING = re.compile(r"missing required field `(\w+)`")
_ATTRIBUTE_NAME = re.compile(ATTRIBUTE_NAME_PATTERN)
_NO_LETTERS = re.compile(r"[^A-Za-z0-9_-]+")
_ATTRIBUTE_NAME_RULE = "first a Latin letter, then letters, digits, `_` and `-`, at most 64 in all"


class MappingError(UserError):
    """A mapping file is invalid or missing; the message says where, why and what to do."""


class FieldMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """A mapping file: which event field gets the value of each source field."""

    fields: dict[str, str | FieldRule]
    """Source field to event field. A field inside an object has a dotted name: `exif.width`; a
    field of the objects in a list has `[]`: `people[].name`. Event fields are those of the event
    and of its image, by name alone (`image_id`, `name`, `url`, ...), and `attributes.NAME`."""
    defaults: dict[str, str | int | list[str]] = {}
    """Event field to value, for records that have no value for it; also for constants. The values
    are those of a valid event."""
    ignore: list[str] = []
    """Source fields to drop, also with all that is inside them."""
    rest: Rest = "refuse"
    """What to do with source fields that neither `fields` nor `ignore` names."""
    absent: list[str] = []
    """Texts that mean that a record has no value, such as `NULL`."""
    normalize_names: bool = False
    """Whether a field of the rest gets a valid attribute name: `Height (cm)` is `Height_cm`."""
    more_tags: str | None = None
    """The attribute for the tags that an image has no room for; without it, a record with too many
    tags is refused."""

    def convert(self, line: bytes) -> bytes:
        """Convert a source record into an event, both as JSON. The event may be invalid.

        Raises:
            InvalidEventError: the record cannot be converted.
        """
        values = self._found(line).values
        for target, value in self.defaults.items():
            values.setdefault(target, value)
        return msgspec.json.encode(event_of(values))

    def origin(self, finding: str, line: bytes) -> str | None:
        """The source field of a record that a message of the validator is about, if there is one.

        Args:
            finding: the message.
            line: the record, as it was converted.
        """
        place = _MISSING.search(finding) or _PLACE.search(finding)
        if place is None:
            return None
        try:
            names = self._found(line).names
        except InvalidEventError:
            names = {}
        if place[1] in names:
            return names[place[1]]
        return next((name for name, to in self._targets() if to == place[1]), None)

    @cached_property
    def _rules(self) -> Sequence[tuple[str, FieldRule]]:
        return [(name, rule_of(said)) for name, said in self.fields.items()]

    def _targets(self) -> list[tuple[str, str]]:
        return [(name, to) for name, rule in self._rules for to in rule.targets]

    def _found(self, line: bytes) -> "_Found":
        source = source_fields(line)
        self._check_repeated(source)
        self._check_mapped(source)
        found = _Found()
        for name, rule in self._rules:
            if (raw := source.values.get(name)) is not None and not self._is_absent(raw):
                found.set(rule, name, raw)
        if self.rest == "ignore":
            self._check_objects(source)
        else:
            self._set_rest(found, source)
        self._cut_tags(found)
        return found

    def _check_mapped(self, source: SourceFields) -> None:
        """Check that the record is not an object around an array of records."""
        if "image_id" in self.defaults or any(name in source.values for name in self.fields):
            return
        for name in source.values:
            around, is_list, _ = name.partition("[].")
            if is_list:
                detail = (
                    "the record has no field of the mapping file: if the records are the objects "
                    f"inside `{around}`, give each object as a record, or an array of them"
                )
                raise InvalidEventError("schema", detail)

    def _check_objects(self, source: SourceFields) -> None:
        """Check that no mapped field is an object, or a list of objects, that would be dropped."""
        for name in self.fields:
            if name in source.values:
                continue
            inner = [one for one in source.values if is_in(one, name)]
            if inner and not any(one in self.fields or self._is_ignored(one) for one in inner):
                detail = f"field `{name}` holds objects: map a field inside it, as `{inner[0]}`"
                raise InvalidEventError("schema", detail)

    def _check_repeated(self, source: SourceFields) -> None:
        for name in sorted(source.repeated):
            mapped = any(is_in(one, name) for one in self.fields)
            if mapped or (self.rest != "ignore" and not self._is_ignored(name)):
                detail = (
                    f"field `{name}` is in the record twice, and only one value can be kept: "
                    "rename one of them"
                )
                raise InvalidEventError("schema", detail)

    def _is_ignored(self, name: str) -> bool:
        return any(is_in(name, ignored) for ignored in self.ignore)

    def _set_rest(self, found: "_Found", source: SourceFields) -> None:
        for name, raw in source.values.items():
            if name in self.fields or self._is_ignored(name) or self._has_nothing(name, raw):
                continue
            if self.rest == "refuse":
                detail = (
                    f"field `{name}` is not in the mapping file: add it under [fields] or to "
                    '`ignore`, or set `rest` to "attributes" or "ignore"'
                )
                raise InvalidEventError("schema", detail)
            attribute = name.replace("[]", "").replace(".", "_")
            if self.normalize_names:
                attribute = _normalized(attribute)
            if not _ATTRIBUTE_NAME.match(attribute):
                or_so = "" if self.normalize_names else ", or set `normalize_names = true`"
                detail = (
                    f"field `{name}` cannot be the name of an attribute ({_ATTRIBUTE_NAME_RULE}): "
                    f"add the field under [fields] or to `ignore`{or_so}"
                )
                raise InvalidEventError("schema", detail)
            found.set(rule_of(_ATTRIBUTE + attribute), name, raw)

    def _has_nothing(self, name: str, raw: Raw) -> bool:
        """Whether it is absent, or a list without the objects whose fields are mapped."""
        return self._is_absent(raw) or (
            bytes(raw) == b"[]" and any(is_in(one, name) for one in self.fields)
        )

    def _is_absent(self, raw: Raw) -> bool:
        written = bytes(raw)
        if written.startswith(b'"') and self.absent:
            return msgspec.json.decode(written) in self.absent
        return written == b"null"

    def _cut_tags(self, found: "_Found") -> None:
        tags = found.values.get("tags")
        if self.more_tags is not None and isinstance(tags, list) and len(tags) > MAX_TAGS:
            beyond = Raw(msgspec.json.encode(SEPARATOR.join(tags[MAX_TAGS:])))
            found.set(rule_of(_ATTRIBUTE + self.more_tags), found.names["tags"], beyond)
            found.values["tags"] = tags[:MAX_TAGS]


class _Found:
    """The event fields of one record, and the source field of each."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.names: dict[str, str] = {}

    def set(self, rule: FieldRule, name: str, raw: Raw) -> None:
        """Set an event field from a source field."""
        for target in rule.targets:
            if target in self.values:
                detail = (
                    f"fields `{self.names[target]}` and `{name}` are both mapped to `{target}`: "
                    "change one of them under [fields], or add it to `ignore`"
                )
                raise InvalidEventError("schema", detail)
            self.names[target] = name
            self.values[target] = _value(target, rule, name, raw)


def _value(target: str, rule: FieldRule, name: str, raw: Raw) -> Any:
    """The value of a source field, as this event field has it."""
    if target == "tags":
        return texts(name, raw, rule.split)
    if target in _NUMBERS:
        return number(name, raw)
    if target in TIMES and (rule.formats or rule.zone):
        return read_time(name, text(name, raw), rule.formats or (ISO,), rule.zone)
    if target == "image_id" and rule.id:
        return id_of(text(name, raw), rule.id)
    return text(name, raw)


def load_mapping(name: str) -> FieldMapping:
    """Load a mapping file.

    Args:
        name: a mapping that comes with Lockstep (`tate`), or the path of a .toml or .json file.

    Raises:
        MappingError: there is no such mapping file, or it is invalid.
        SourceError: it is not text.
    """
    built_in = {file.name.removesuffix(".toml"): file for file in _BUILT_IN.iterdir()}
    is_file = Path(name).suffix in {".toml", ".json"}
    if not is_file and name not in built_in:
        known = ", ".join(sorted(built_in))
        message = f"no mapping `{name}`: use {known}, or the path of a .toml or .json file"
        raise MappingError(message)
    try:
        data = Path(name).read_bytes() if is_file else built_in[name].read_bytes()
    except OSError as error:
        message = f"mapping {name}: {error.strerror}: use the path of a .toml or .json file"
        raise MappingError(message) from None
    text = utf8(io.BytesIO(data), f"mapping {name}").read()
    return parse_mapping(text, name, is_json=name.endswith(".json"))


def parse_mapping(data: bytes, name: str, *, is_json: bool) -> FieldMapping:
    """Parse a mapping file.

    Args:
        data: its content.
        name: its name, for messages.
        is_json: whether it is JSON; otherwise it is TOML.

    Raises:
        MappingError: it is invalid.
    """
    try:
        tree = _json(data, name) if is_json else tomllib.loads(data.decode())
        check_shape(tree, FieldMapping.__struct_fields__)
        mapping = msgspec.convert(tree, FieldMapping)
    except tomllib.TOMLDecodeError as error:
        raise MappingError(f"mapping {name}: {toml_fault(error)}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        message = f"mapping {name}: {error} (docs/guides/producing.md shows an example)"
        raise MappingError(message) from None
    except ValueError as error:
        raise MappingError(f"mapping {name}: {error}") from None
    _check_mapping(mapping, name)
    return mapping


def _json(data: bytes, name: str) -> Any:
    """Decode JSON, in which no name may be there twice, as in TOML."""
    try:
        tree = msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        raise MappingError(f"mapping {name}: {why_refused(data, error).detail}") from None
    if not isinstance(tree, dict):
        raise MappingError(f"mapping {name} is no JSON object: write {{...}}")
    parts = msgspec.json.decode(data, type=dict[str, Raw])
    for part in (data, *map(bytes, parts.values())):
        for repeated in repeated_names(part):
            raise MappingError(f"mapping {name}: `{repeated}` is there twice: keep one of them")
    return tree


def _check_mapping(mapping: FieldMapping, name: str) -> None:
    mapped = [target for _, target in mapping._targets()]  # noqa: SLF001 - the same module
    targets = [*mapped, *mapping.defaults]
    _check_targets(mapping, name)
    for target, count in Counter(mapped).items():
        if count > 1:
            message = f"mapping {name}: {count} fields are mapped to `{target}`: keep one of them"
            raise MappingError(message)
    for target in ("image_id", "name"):
        if target not in targets:
            message = f'mapping {name}: nothing sets `{target}`: add FIELD = "{target}"'
            raise MappingError(message)
    for field, said in mapping.fields.items():
        rule = rule_of(said)
        if field in mapping.ignore:
            message = f"mapping {name}: field `{field}` is under [fields] and in `ignore`"
            raise MappingError(f"{message}: keep one of them")
        try:
            check_rule(rule)
        except ValueError as error:
            raise MappingError(f"mapping {name}: field `{field}`: {error}") from None
    try:
        decode(msgspec.json.encode(event_of(_VALID | mapping.defaults)))
    except InvalidEventError as invalid:
        raise MappingError(f"mapping {name}: [defaults]: {invalid.detail}") from None


def _check_targets(mapping: FieldMapping, name: str) -> None:
    for field, target in mapping._targets():  # noqa: SLF001 - the same module
        _check_target(target, f"mapping {name}: field `{field}`")
    for target in mapping.defaults:
        _check_target(target, f"mapping {name}: [defaults]")
    if mapping.more_tags is not None:
        _check_target(_ATTRIBUTE + mapping.more_tags, f"mapping {name}: `more_tags`")


def _check_target(target: str, where: str) -> None:
    if target.startswith(_ATTRIBUTE):
        attribute = target.removeprefix(_ATTRIBUTE)
        if not _ATTRIBUTE_NAME.match(attribute):
            raise MappingError(
                f"{where}: `{attribute}` cannot be the name of an attribute: write "
                f"{_ATTRIBUTE_NAME_RULE}"
            )
    elif target not in _EVENT_FIELDS | _IMAGE_FIELDS:
        known = ", ".join(sorted(_EVENT_FIELDS | _IMAGE_FIELDS))
        message = f"{where}: no event field `{target}`; use {known}, attributes.NAME"
        raise MappingError(message)


def _normalized(name: str) -> str:
    """A name with Latin letters and digits only: without accents, and `_` for all else."""
    plain = "".join(
        letter
        for letter in unicodedata.normalize("NFKD", name)
        if not unicodedata.category(letter).startswith("M")
    )
    short = _NO_LETTERS.sub("_", plain).strip("_-")
    return f"x_{short}" if short[:1].isdigit() else short


def event_of(found: Mapping[str, Any]) -> dict[str, Any]:
    """Build an event from its fields by name: those of the event and of its image."""
    whole: dict[str, Any] = {"type": "image.uploaded"}
    image: dict[str, Any] = {}
    attributes: dict[str, Any] = {}
    for target, value in found.items():
        if target.startswith(_ATTRIBUTE):
            attributes[target.removeprefix(_ATTRIBUTE)] = value
        elif target in _EVENT_FIELDS:
            whole[target] = value
        else:
            image[target] = value
    if attributes:
        image["attributes"] = attributes
    return whole | {"image": image}
