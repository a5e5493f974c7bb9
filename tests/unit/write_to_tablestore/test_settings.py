"""ReplicaSettings: what is missing or wrong is one line."""

from typing import Any

import pytest

from functions.write_to_tablestore.conversion import Conversion
from functions.write_to_tablestore.settings import (
    Credentials,
    ReplicaSettings,
    credentials_in,
    settings_in,
)
from shared.sink import MisconfiguredError

LEAST = {
    "OTS_INSTANCE": "inst",
    "OTS_REGION": "eu-central-1",
    "TABLE_NAME": "t",
    "PRIMARY_KEY": "id",
}


def wrong(**changed: str) -> str:
    with pytest.raises(MisconfiguredError) as said:
        settings_in(LEAST | changed)
    assert "\n" not in str(said.value)
    return str(said.value)


def test_a_region_stands_instead_of_the_endpoint() -> None:
    assert settings_in(LEAST) == ReplicaSettings(
        instance="inst",
        endpoint="https://inst.eu-central-1.ots.aliyuncs.com",
        region="eu-central-1",
        table="t",
        conversion=Conversion(primary_key=("id",)),
        deletions="tombstone",
        label=None,
    )


def test_each_setting_is_read() -> None:
    found = settings_in(
        {
            "OTS_INSTANCE": "inst",
            "OTS_ENDPOINT": "https://inst.vpc.example",
            "TABLE_NAME": "t",
            "PRIMARY_KEY": "part, sort",
            "UNFIT_NUMBERS": "string",
            "NULLS": "omit",
            "COLUMN_TYPES": '{"price": "double"}',
            "COLUMN_NAMES": '{"my price": "price"}',
            "DELETIONS": "row",
            "STREAM_LABEL": "2026-11-30T01:23:45",
        }
    )
    assert (found.endpoint, found.region) == ("https://inst.vpc.example", None)
    assert found.deletions == "row"
    assert found.label == "2026-11-30T01:23:45.000"
    assert found.conversion == Conversion(
        primary_key=("part", "sort"),
        unfit="string",
        nulls="omit",
        types={"price": "double"},
        names={"my price": "price"},
    )


def test_all_that_is_missing_is_in_one_line() -> None:
    with pytest.raises(MisconfiguredError) as said:
        settings_in({})
    assert str(said.value) == (
        "set OTS_INSTANCE, TABLE_NAME, PRIMARY_KEY, OTS_ENDPOINT or OTS_REGION"
    )


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"OTS_ENDPOINT": "inst.ots.aliyuncs.com"}, "begin it with https://"),
        ({"PRIMARY_KEY": "a,b,c"}, "name the one or two attributes"),
        ({"PRIMARY_KEY": "a,a"}, "name the one or two attributes"),
        ({"PRIMARY_KEY": "a,"}, "name the one or two attributes"),
        ({"UNFIT_NUMBERS": "round"}, "UNFIT_NUMBERS is 'round': set it to refuse or string"),
        ({"NULLS": "x"}, "NULLS is 'x': set it to empty or omit"),
        ({"DELETIONS": "x"}, "DELETIONS is 'x': set it to tombstone or row"),
        ({"COLUMN_TYPES": '{"a": "float"}'}, "COLUMN_TYPES is not such a JSON object"),
        ({"COLUMN_TYPES": "[]"}, "COLUMN_TYPES is not such a JSON object"),
        ({"COLUMN_NAMES": "{"}, "COLUMN_NAMES is not such a JSON object"),
        ({"COLUMN_NAMES": '{"a": "a-b"}'}, "COLUMN_NAMES has the column 'a-b'"),
        ({"COLUMN_NAMES": '{"a": "c", "b": "c"}'}, "COLUMN_NAMES has the column 'c' twice"),
        ({"PRIMARY_KEY": "a" * 300}, "PRIMARY_KEY has the column"),
        ({"STREAM_LABEL": "yesterday"}, "STREAM_LABEL: 'yesterday' is no label of a stream"),
    ],
)
def test_what_is_wrong_is_one_line(changed: dict[str, str], why: str) -> None:
    assert why in wrong(**changed)


@pytest.mark.parametrize(
    ("environment", "stored", "found"),
    [
        ({"OTS_ID": "i", "OTS_SECRET": "s"}, None, Credentials("i", "s")),
        ({"OTS_ID": "i"}, "s\n", Credentials("i", "s")),
        ({}, '{"OTS_ID": "i", "OTS_SECRET": "s"}', Credentials("i", "s")),
        ({"OTS_ID": "old"}, '{"OTS_ID": "i", "OTS_SECRET": "s"}', Credentials("i", "s")),
    ],
)
def test_credentials_come_from_the_environment_or_from_a_stored_secret(
    environment: dict[str, str], stored: str | None, found: Credentials
) -> None:
    assert credentials_in(environment, stored) == found


@pytest.mark.parametrize(
    ("environment", "stored", "why"),
    [
        ({}, None, "set OTS_ID and OTS_SECRET"),
        ({"OTS_ID": "i"}, None, "set OTS_SECRET"),
        ({}, "hidden", "set OTS_ID"),
        ({"OTS_ID": "i"}, '{"hidden": 1}', "store an object of texts"),
    ],
)
def test_missing_credentials_are_one_line_without_the_secret(
    environment: dict[str, str], stored: Any, why: str
) -> None:
    with pytest.raises(MisconfiguredError, match=why) as said:
        credentials_in(environment, stored)
    assert "hidden" not in str(said.value)


def test_a_secret_is_in_no_text_of_its_object() -> None:
    assert "hidden" not in repr(Credentials("i", "hidden"))
