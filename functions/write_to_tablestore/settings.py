"""The settings of the consumer, from the environment of its function."""

import json
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from functions.write_to_tablestore.conversion import Conversion
from functions.write_to_tablestore.guard import normalized_label
from functions.write_to_tablestore.names import flaw_in_name
from shared.sink import MisconfiguredError

# https://www.alibabacloud.com/help/en/tablestore/developer-reference/endpoints
PUBLIC_ENDPOINT: Final = "https://{instance}.{region}.ots.aliyuncs.com"
_MOST_KEYS = 2

type Deletions = Literal["tombstone", "row"]
"""What a removal leaves: a tombstone, or nothing."""


class ReplicaSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the environment says.

    `region` is None if requests are signed without a region. `label` replaces the label of the
    stream in versions; None: the label in the ARN of each record.
    """

    instance: str
    endpoint: str
    region: str | None
    table: str
    conversion: Conversion
    deletions: Deletions
    label: str | None


class Credentials(msgspec.Struct, frozen=True):
    """An AccessKey of Alibaba Cloud. Its text does not show the secret."""

    key_id: str
    secret: str

    def __repr__(self) -> str:
        return f"Credentials({self.key_id})"


def settings_in(environment: Mapping[str, str]) -> ReplicaSettings:
    """Read the settings.

    Raises:
        MisconfiguredError: something is missing or wrong; one line names all of it that is missing,
            or the first that is wrong.
    """
    missing = [
        name for name in ("OTS_INSTANCE", "TABLE_NAME", "PRIMARY_KEY") if not environment.get(name)
    ]
    if not environment.get("OTS_ENDPOINT") and not environment.get("OTS_REGION"):
        missing.append("OTS_ENDPOINT or OTS_REGION")
    if missing:
        raise MisconfiguredError(f"set {', '.join(missing)}")
    instance, region = environment["OTS_INSTANCE"], environment.get("OTS_REGION") or None
    endpoint = environment.get("OTS_ENDPOINT") or PUBLIC_ENDPOINT.format(
        instance=instance, region=region
    )
    if not endpoint.startswith(("https://", "http://")):
        raise MisconfiguredError(
            f"OTS_ENDPOINT is {endpoint!r}: begin it with https://, for example "
            f"{PUBLIC_ENDPOINT.format(instance=instance, region='eu-central-1')}"
        )
    return ReplicaSettings(
        instance=instance,
        endpoint=endpoint,
        region=region,
        table=environment["TABLE_NAME"],
        conversion=_conversion(environment),
        deletions=_choice(environment, "DELETIONS", ("tombstone", "row")),
        label=_label(environment),
    )


def credentials_in(environment: Mapping[str, str], stored: str | None) -> Credentials:
    """The AccessKey: from the environment, or from a stored secret.

    Args:
        environment: `OTS_ID`, and `OTS_SECRET` if no secret is stored.
        stored: the text of the stored secret: the AccessKey secret, or a JSON object with `OTS_ID`
            and `OTS_SECRET`.

    Raises:
        MisconfiguredError: a part of it is missing.
    """
    found = {name: environment.get(name, "") for name in ("OTS_ID", "OTS_SECRET")}
    if stored is not None:
        found |= _stored(stored)
    missing = [name for name, value in found.items() if not value]
    if missing:
        raise MisconfiguredError(
            f"set {' and '.join(missing)}; a stored secret (OTS_SECRET_ARN) may hold both"
        )
    return Credentials(found["OTS_ID"], found["OTS_SECRET"])


def _stored(text: str) -> Mapping[str, str]:
    """What a stored secret sets. No message quotes it."""
    if not text.lstrip().startswith("{"):
        return {"OTS_SECRET": text.strip()}
    try:
        return msgspec.json.decode(text, type=dict[str, str])
    except msgspec.MsgspecError:
        raise MisconfiguredError(
            "the secret in OTS_SECRET_ARN begins like JSON: store an object of texts, OTS_ID and "
            "OTS_SECRET"
        ) from None


def _conversion(environment: Mapping[str, str]) -> Conversion:
    primary_key = tuple(name.strip() for name in environment["PRIMARY_KEY"].split(","))
    if not 1 <= len({*primary_key}) == len(primary_key) <= _MOST_KEYS or not all(primary_key):
        raise MisconfiguredError(
            f"PRIMARY_KEY is {environment['PRIMARY_KEY']!r}: name the one or two attributes of the "
            "source's key, separated by a comma"
        )
    conversion = Conversion(
        primary_key=primary_key,
        unfit=_choice(environment, "UNFIT_NUMBERS", ("refuse", "string")),
        nulls=_choice(environment, "NULLS", ("empty", "omit")),
        types=_object(
            environment, "COLUMN_TYPES", dict[str, Literal["integer", "double", "string"]]
        ),
        names=_object(environment, "COLUMN_NAMES", dict[str, str]),
    )
    columns = [*conversion.names.values()]
    for column in columns:
        if (flaw := flaw_in_name(column)) is not None:
            raise MisconfiguredError(f"COLUMN_NAMES has the column {column!r}: {flaw}")
        if columns.count(column) > 1:
            raise MisconfiguredError(f"COLUMN_NAMES has the column {column!r} twice")
    for column in conversion.key_columns:
        if (flaw := flaw_in_name(column)) is not None:
            raise MisconfiguredError(f"PRIMARY_KEY has the column {column!r}: {flaw}")
    return conversion


def _label(environment: Mapping[str, str]) -> str | None:
    label = environment.get("STREAM_LABEL")
    if not label:
        return None
    try:
        return normalized_label(label)
    except ValueError as error:
        raise MisconfiguredError(f"STREAM_LABEL: {error}") from None


def _choice[T: str](environment: Mapping[str, str], name: str, choices: tuple[T, ...]) -> T:
    """The chosen value; the first choice is the default."""
    chosen = environment.get(name) or choices[0]
    for choice in choices:
        if choice == chosen:
            return choice
    raise MisconfiguredError(f"{name} is {chosen!r}: set it to {' or '.join(choices)}")


def _object(environment: Mapping[str, str], name: str, kind: Any) -> Any:
    """A setting that is a JSON object."""
    text = environment.get(name) or "{}"
    try:
        return msgspec.convert(json.loads(text), kind)
    except (ValueError, msgspec.ValidationError) as error:
        raise MisconfiguredError(f"{name} is not such a JSON object: {error}") from None
