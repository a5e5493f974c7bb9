"""Write the JSON Schema of what each command prints with `--json`: `python -m tools.json_schemas`.

`make generated` runs it. The schemas are in docs/json/, one file for each command, and
docs/guides/json.md describes them.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec
from msgspec import inspect

from functions.search_images.search import SearchResult
from lockstep.audit.audit import Audit
from lockstep.cli import main
from lockstep.commands.alarms import Drilled
from lockstep.commands.answering import Answering
from lockstep.commands.audit import Repairing
from lockstep.commands.backfill import Imported
from lockstep.commands.cases import ListedCases
from lockstep.commands.delete import DeletedImages
from lockstep.commands.discard import DiscardedCases
from lockstep.commands.erase import ErasedImages
from lockstep.commands.get import ShownImage
from lockstep.commands.picture_import import ImportedPictures
from lockstep.commands.put import PutEvents
from lockstep.commands.quarantine import CaseStats, ShownCase
from lockstep.commands.rebuild import Abandoned
from lockstep.commands.redrive import Redriven, SettledCases
from lockstep.commands.tablestore.audit import ReplicaRepairing
from lockstep.commands.tablestore.keys import ListedKeys
from lockstep.commands.tablestore.load import Loaded
from lockstep.commands.tablestore.purge import PurgedRows
from lockstep.commands.tablestore.quarantine import ShownKey
from lockstep.commands.tablestore.redrive import RedrivenKeys
from lockstep.commands.trace import Traced
from lockstep.commands.upload import UploadedFiles
from lockstep.console.terminal import JSON_FORMAT
from lockstep.images.outcomes import ChangedImage
from lockstep.plan.parameters import PlannedStack
from lockstep.rebuild.rebuild import RebuildPlan, Rebuilt
from lockstep.repair.purge import Purged
from lockstep.replay.replay import Replayed, ReplayPlan
from lockstep.simulation.run import Report
from lockstep.stack.alarms import AlarmCheck
from lockstep.stack.demo import Demo
from lockstep.stack.smoke import Smoke
from lockstep.stack.status import Status
from lockstep.stack.use_cases.erasure_proof import ErasureProof
from lockstep.stack.use_cases.picture_audit import PicturesAudited
from lockstep.stack.use_cases.prepare import Prepared
from lockstep.stream.losses import Acknowledgement
from lockstep.tablestore.audit import ReplicaAudit
from lockstep.watching.lines import Line
from shared.schema import schemas

FOLDER = Path(__file__).parents[1] / "docs" / "json"

ANSWERS: Mapping[str, Sequence[type[msgspec.Struct]]] = {
    "alarms check": [AlarmCheck],
    "alarms drill": [Drilled],
    "audit": [Audit, Repairing, Answering, Acknowledgement],
    "delete": [DeletedImages],
    "demo": [Demo],
    "erase": [ErasedImages, ErasureProof],
    "get": [ShownImage],
    "import": [Imported, ImportedPictures],
    "pictures audit": [PicturesAudited],
    "plan": [PlannedStack],
    "prepare": [Prepared],
    "purge": [Purged],
    "put": [PutEvents],
    "quarantine discard": [DiscardedCases],
    "quarantine list": [ListedCases],
    "quarantine show": [ShownCase],
    "quarantine stats": [CaseStats],
    "rebuild": [RebuildPlan, Rebuilt, Abandoned],
    "redrive": [Redriven, SettledCases],
    "replay": [ReplayPlan, Replayed],
    "search": [SearchResult],
    "simulate": [Report],
    "smoke": [Smoke],
    "status": [Status],
    "tablestore audit": [ReplicaAudit, ReplicaRepairing],
    "tablestore load": [Loaded],
    "tablestore purge": [PurgedRows],
    "tablestore quarantine list": [ListedKeys],
    "tablestore quarantine show": [ShownKey],
    "tablestore redrive": [RedrivenKeys],
    "trace": [Traced],
    "update": [ChangedImage],
    "upload": [UploadedFiles],
    "watch": [Line],
}
"""What each command prints, by its name. A command with several answers prints one of them."""


def commands_with_json(
    group: click.Group = main, prefix: str = ""
) -> Iterator[tuple[str, click.Command]]:
    """The commands that have `--json`, by name."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands_with_json(command, f"{prefix}{name} ")
        elif command is not None and any("--json" in one.opts for one in command.params):
            yield f"{prefix}{name}", command


def schema_of(name: str, command: click.Command) -> dict[str, Any]:
    """The JSON Schema (2020-12) of an answer of this command.

    It allows fields that it does not list: a later release may add some.

    Raises:
        KeyError: `ANSWERS` does not have the command.
    """
    answers = ANSWERS[name]
    found, definitions = schemas(answers, "#/$defs/{name}")
    for struct in _structs(inspect.multi_type_info(answers), {}).values():
        if not struct.cls.__struct_config__.omit_defaults:
            definitions[struct.cls.__name__]["required"] = [
                field.encode_name for field in struct.fields if _is_written(field)
            ]
    head: dict[str, Any] = {"format": {"const": JSON_FORMAT}}
    if any(one.name == "applies" for one in command.params):
        head["applied"] = {
            "description": "Whether the command made changes (`--apply`).",
            "type": "boolean",
        }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"lockstep {name} --json",
        "type": "object",
        "properties": head,
        "required": [*head],
        **(found[0] if len(found) == 1 else {"anyOf": list(found)}),
        "$defs": definitions,
    }


def file_of(name: str) -> Path:
    """The file of this command's schema."""
    return FOLDER / f"{name.replace(' ', '-')}.schema.json"


def encoded(schema: Mapping[str, Any]) -> bytes:
    """The schema, as its file has it."""
    return msgspec.json.format(msgspec.json.encode(schema)) + b"\n"


def _is_written(field: inspect.Field) -> bool:
    """Whether a field is always written: one with a default is, but not one that may be unset."""
    return field.required or (field.default, field.default_factory) != (
        msgspec.NODEFAULT,
        msgspec.NODEFAULT,
    )


def _structs(
    types: Sequence[inspect.Type], found: dict[type[Any], inspect.StructType]
) -> Mapping[type[Any], inspect.StructType]:
    """All structs in these types, added to `found`."""
    for one in types:
        match one:
            case inspect.StructType(cls=struct) if struct not in found:
                found[struct] = one
                _structs([field.type for field in one.fields], found)
            case inspect.CollectionType(item_type=item):
                _structs([item], found)
            case inspect.TupleType(item_types=items) | inspect.UnionType(types=items):
                _structs(items, found)
            case inspect.DictType(value_type=value):
                _structs([value], found)
            case _:
                pass
    return found


if __name__ == "__main__":
    for known in FOLDER.glob("*.schema.json"):
        known.unlink()
    for each, its_command in commands_with_json():
        file_of(each).write_bytes(encoded(schema_of(each, its_command)))
