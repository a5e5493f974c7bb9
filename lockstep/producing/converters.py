"""Convert records of any shape into events, field by field, as a mapping file says.

A mapping file is TOML or JSON; docs/guides/producing.md shows one. Every field of a source record
is converted unless the mapping file says otherwise.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Raw

from lockstep.console.errors import UserError
from shared import event
from shared.event import MAX_TAGS, Event, Image, InvalidEventError
from shared.nesting import nests_too_deep

_BUILT_IN = resources.files("lockstep.producing") / "mappings"

MAX_DEPTH = 16
SEPARATOR = "; "  # between the items of an array that becomes one string

_ATTRIBUTE = "attributes."
_EVENT_FIELDS = frozenset(Event.__struct_fields__) - {"image"}
_IMAGE_FIELDS = frozenset(Image.__struct_fields__) - {"attributes"}
_NUMBERS = frozenset(
    name
    for kind in msgspec.json.schema_components([Event])[1].values()
    for name, field in kind["properties"].items()
    if field.get("type") == "integer"
)
# The field in a message of the validator: `$.image.tags[3]`, `$.image.attributes.artist`.
_PLACE = re.compile(r"\$\.(?:image\.)?((?:attributes\.)?[\w-]+)")
_MISSING = re.compile(r"missing required field `(\w+)`")
_WHOLE_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)")


class MappingError(UserError):
    """A mapping file is invalid or missing; the message says where, why and what to do."""


class FieldMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mapping file: which event field gets the value of each source field."""

    fields: dict[str, str]
    """Source field to event field. A field inside an object has a dotted name: `exif.width`.
    Event fields are those of the event and of its image, by name alone (`image_id`, `name`, `url`,
    ...), and `attributes.NAME`."""
    defaults: dict[str, str | int | list[str]] = {}
    """Event field to value, for records that have no value for it; also for constants."""
    rest: Literal["refuse", "attributes", "ignore"] = "refuse"
    """What to do with source fields that `fields` does not name."""
    more_tags: str | None = None
    """The attribute for the tags that an image has no room for; without it, a record with too many
    tags is refused."""

    def convert(self, line: bytes) -> bytes:
        """Convert a source record into an event, both as JSON. The event may be invalid.

        Raises:
            InvalidEventError: the record cannot be converted.
        """
        source = _source(line)
        found: dict[str, Any] = {}
        for name, target in self.fields.items():
            _set_field(found, target, name, source.get(name))
        if self.rest != "ignore":
            self._set_rest(found, source)
        for target, value in self.defaults.items():
            found.setdefault(target, value)
        self._cut_tags(found)
        return msgspec.json.encode(_event(found))

    def origin(self, finding: str) -> str | None:
        """The source field that a message of the validator is about; None if there is none."""
        if place := _MISSING.search(finding) or _PLACE.search(finding):
            for name, target in self.fields.items():
                if target == place[1]:
                    return name
        return None

    def _set_rest(self, found: dict[str, Any], source: Mapping[str, Raw]) -> None:
        for name in source:
            if name in self.fields:
                continue
            if self.rest == "refuse":
                detail = (
                    f"field `{name}` is not in the mapping file: add it under [fields], or set "
                    '`rest` to "attributes" or "ignore"'
                )
                raise InvalidEventError("schema", detail)
            _set_field(found, _ATTRIBUTE + name.replace(".", "_"), name, source[name])

    def _cut_tags(self, found: dict[str, Any]) -> None:
        tags = found.get("tags")
        if self.more_tags is not None and isinstance(tags, list) and len(tags) > MAX_TAGS:
            beyond = SEPARATOR.join(tags[MAX_TAGS:])
            _set_field(found, _ATTRIBUTE + self.more_tags, "tags", Raw(msgspec.json.encode(beyond)))
            found["tags"] = tags[:MAX_TAGS]


def load_mapping(name: str) -> FieldMapping:
    """Load a mapping file.

    Args:
        name: a mapping that comes with Lockstep (`tate`), or the path of a .toml or .json file.

    Raises:
        MappingError: there is no such mapping file, or it is invalid.
    """
    built_in = {file.name.removesuffix(".toml"): file for file in _BUILT_IN.iterdir()}
    is_file = Path(name).suffix in {".toml", ".json"}
    if not is_file and name not in built_in:
        known = ", ".join(sorted(built_in))
        message = f"no mapping `{name}`: use one of {known}, or the path of a .toml or .json file"
        raise MappingError(message)
    try:
        data = Path(name).read_bytes() if is_file else built_in[name].read_bytes()
    except OSError as error:
        message = f"mapping {name}: {error.strerror}: use the path of a .toml or .json file"
        raise MappingError(message) from None
    return parse_mapping(data, name, is_json=name.endswith(".json"))


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
        tree = msgspec.json.decode(data) if is_json else tomllib.loads(data.decode())
        mapping = msgspec.convert(tree, FieldMapping)
    except (
        msgspec.MsgspecError,
        tomllib.TOMLDecodeError,
        UnicodeDecodeError,
        RecursionError,
    ) as error:
        message = f"mapping {name}: {error} (docs/guides/producing.md shows an example)"
        raise MappingError(message) from None
    targets = [*mapping.fields.values(), *mapping.defaults]
    for target in targets:
        if target not in _EVENT_FIELDS | _IMAGE_FIELDS and not target.startswith(_ATTRIBUTE):
            known = ", ".join(sorted(_EVENT_FIELDS | _IMAGE_FIELDS))
            message = f"mapping {name}: no event field `{target}`; use {known}, attributes.NAME"
            raise MappingError(message)
    for target, count in Counter(mapping.fields.values()).items():
        if count > 1:
            message = f"mapping {name}: {count} fields are mapped to `{target}`: keep one of them"
            raise MappingError(message)
    for target in ("image_id", "name"):
        if target not in targets:
            message = f'mapping {name}: nothing sets `{target}`: add FIELD = "{target}"'
            raise MappingError(message)
    return mapping


_sources = msgspec.json.Decoder(dict[str, Raw])
_items = msgspec.json.Decoder(list[Raw])


def _source(line: bytes) -> dict[str, Raw]:
    """The fields of a source record, values unchanged; of a repeated field, the last one."""
    try:
        line.decode()
        if nests_too_deep(line):
            raise InvalidEventError("schema", "too many levels: make the record flatter")
        fields = _sources.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        event.decode(line)  # raises: neither UTF-8, nor JSON, nor an object
        raise
    return dict(_flat(fields, "", MAX_DEPTH))


def _flat(fields: Mapping[str, Raw], prefix: str, depth: int) -> Iterator[tuple[str, Raw]]:
    """The fields; those inside an object have dotted names."""
    if not depth:
        detail = f"field `{prefix}` is nested deeper than {MAX_DEPTH}: flatten the record"
        raise InvalidEventError("schema", detail)
    for name, value in fields.items():
        if bytes(value).startswith(b"{"):
            yield from _flat(_sources.decode(value), f"{prefix}{name}.", depth - 1)
        else:
            yield prefix + name, value


def _set_field(found: dict[str, Any], target: str, name: str, raw: Raw | None) -> None:
    """Set an event field from a source field, unless that is absent or null."""
    if raw is None or bytes(raw) == b"null":
        return
    if target in found:
        detail = (
            f"field `{name}` and another field are both mapped to `{target}`: change one of them"
        )
        raise InvalidEventError("schema", detail)
    if target == "tags":
        found[target] = _texts(name, raw)
    elif target in _NUMBERS:
        found[target] = _number(raw)
    else:
        found[target] = _text(name, raw)


def _texts(name: str, raw: Raw) -> list[str]:
    """The items of an array as strings, without nulls; a single value is an array of one."""
    if not bytes(raw).startswith(b"["):
        return [_text(name, raw)]
    return [_text(name, item) for item in _items.decode(raw) if bytes(item) != b"null"]


def _text(name: str, raw: Raw) -> str:
    """A value as a string: numbers and booleans unchanged, arrays joined."""
    written = bytes(raw)
    if written.startswith(b'"'):
        return msgspec.json.decode(raw, type=str)
    if written.startswith(b"["):
        return SEPARATOR.join(_texts(name, raw))
    if written.startswith(b"{"):
        detail = f"field `{name}` is an array of objects: an event can hold an array of strings"
        raise InvalidEventError("schema", detail)
    return written.decode()


def _number(raw: Raw) -> Raw:
    """An integer, also one in a string; the validator judges every other value."""
    if bytes(raw).startswith(b'"'):
        text = msgspec.json.decode(raw, type=str)
        if _WHOLE_NUMBER.fullmatch(text):
            return Raw(text.encode())
    return raw


def _event(found: Mapping[str, Any]) -> dict[str, Any]:
    """Build the event from its fields by name."""
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
