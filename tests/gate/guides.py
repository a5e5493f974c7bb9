"""The rights of each command, as the tables of the guides list them."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lockstep.local.mapping.invocation import ACCOUNT, stream_arn
from lockstep.stack.stack import PictureStores, Stack
from tests.gate.policies import ACCESS_KEY, HASHES, KEY, log_group
from tests.gate.requests import (
    API,
    DOMAIN,
    RESTORED,
    alarms_arn,
    function_arn,
    shard_rule_arn,
    stack_arn,
    topic_arn,
)

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
_TABLE = re.compile(
    r"^\| rights of `lockstep (?P<name>[^`]+)` \| on \|\n\| --- \| --- \|\n(?P<rows>(?:\|.*\|\n)+)",
    re.MULTILINE,
)
_ALL_OF = re.compile(r"all rights of `lockstep ([^`]+)`")
_QUOTED = re.compile(r"`([^`]+)`")
_ALIAS = re.compile(r"\bimages\b")


class Right(NamedTuple):
    """An action, and where it is allowed: `kind` is that of a table's cell, `name` is inside it."""

    action: str
    kind: str
    name: str = ""

    def resource(self, stack: Stack) -> str | list[str]:
        """The pattern of ARNs, or several."""
        region = f"{stack.region}:{ACCOUNT}"
        name = _ALIAS.sub(stack.index, self.name)
        tables = f"arn:aws:dynamodb:{region}:table"
        pictures = stack.pictures or PictureStores("", "")
        by_kind: dict[str, str | list[str]] = {
            "the alarms of the stack": f"{alarms_arn(stack)}*",
            "the topics of the alarms": [topic_arn(stack, "page"), topic_arn(stack, "ticket")],
            "the stack": stack_arn(stack),
            "the stream": stream_arn(stack.stream, stack.region),
            "the stream of the table's changes": stream_arn(stack.changes_stream, stack.region),
            "the table": f"{tables}/{stack.table}",
            "the restored table": f"{tables}/{RESTORED}*",
            "the key, if you set `KmsKeyArn`": KEY,
            "the function": function_arn(stack),
            "the source": f"{tables}/{stack.table}",
            "the secret in `OtsSecretArn`": ACCESS_KEY,
            "the log": log_group(self.name, stack.region),
            "the secret, if you set `LogHashSecretArn`": HASHES,
            "all (AWS has no resources for it)": "*",
            "all (composite alarms need that)": "*",
            "the rule `STACK-shards`, with alarms": shard_rule_arn(stack),
            "the bucket": f"arn:aws:s3:::{stack.bucket}" + (name and f"/{name}"),
            "the picture bucket": _bucket(pictures.bucket, self.name),
            "the thumbnail bucket": _bucket(pictures.thumbnails, self.name),
            "the table of rows": f"{tables}/{pictures.rows}",
            "the domain": f"arn:aws:es:{region}:domain/{DOMAIN}/{name.removeprefix('/')}",
            "the search API": f"arn:aws:execute-api:{region}:{API}/*/{name.replace(' ', '')}",
        }
        return by_kind[self.kind]


def _bucket(bucket: str, name: str) -> str:
    return f"arn:aws:s3:::{bucket}" + (name and f"/{name}")


class Rights(NamedTuple):
    """The rights of a command. `own` are those that its table lists itself."""

    own: frozenset[Right]
    whole: frozenset[Right]


def policy_of(rights: Collection[Right], stack: Stack) -> Mapping[str, Any]:
    """The policy that allows these rights on a stack, and nothing else."""
    allowed = [
        {"Effect": "Allow", "Action": one.action, "Resource": one.resource(stack)} for one in rights
    ]
    return {"Version": "2012-10-17", "Statement": allowed}


def rights_in_guides() -> Mapping[str, Rights]:
    """The rights of each command, by its name without `lockstep`."""
    found: dict[str, Rights] = {}
    for table in _tables():
        name, rows = table["name"], table["rows"].splitlines()
        assert name not in found, f"two tables for {name}"
        inherited: frozenset[Right] = frozenset()
        own: set[Right] = set()
        for row in rows:
            rights, where = (cell.strip() for cell in row.strip("|").split("|"))
            if other := _ALL_OF.fullmatch(rights):
                inherited |= found[other[1]].whole
            else:
                own.update(_rights(_QUOTED.findall(rights), where))
        found[name] = Rights(frozenset(own), frozenset(own) | inherited)
    return found


def _tables() -> Sequence[re.Match[str]]:
    """Each table; those that are referred to come first."""
    texts = [guide.read_text("utf-8") for guide in sorted(GUIDES.glob("*.md"))]
    tables = [table for text in texts for table in _TABLE.finditer(text)]
    return sorted(tables, key=lambda table: "all rights of" in table["rows"])


def _rights(actions: Sequence[str], where: str) -> Iterator[Right]:
    kind, colon, names = where.partition(":")
    for action in actions:
        if colon:
            for name in _QUOTED.findall(names):
                yield Right(action, kind, name)
        else:
            yield Right(action, kind)
