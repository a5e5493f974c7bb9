"""What commands print with `--json`, checked against the schemas in docs/json/."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec
from jsonschema import Draft202012Validator

from tools.json_schemas import ANSWERS, file_of


def command_in(words: Sequence[str]) -> str | None:
    """The name of the command that these words type, if it has `--json`."""
    typed = f"{' '.join(words)} "
    return next((name for name in ANSWERS if typed.startswith(f"{name} ")), None)


def check(words: Sequence[str], printed: str) -> None:
    """Check what a command printed. A line that is no answer by its schema fails the test.

    Args:
        words: what was typed.
        printed: its standard output; empty if the command printed no answer.
    """
    name = command_in(words)
    # `--env-vars` prints a file of SAM CLI.
    if name is None or "--json" not in words or "--env-vars" in words:
        return
    for line in printed.splitlines():
        answer = msgspec.json.decode(line)
        flaws = [f"{one.json_path}: {one.message}" for one in _validator(name).iter_errors(answer)]
        assert not flaws, f"lockstep {' '.join(words)} printed {flaws}: {line[:2000]}"


@cache
def _validator(name: str) -> Draft202012Validator:
    """The schema, without room for fields that it does not list."""
    schema: dict[str, Any] = msgspec.json.decode(file_of(name).read_bytes())
    answers = schema.get("anyOf", [schema])
    roots = {one["$ref"].rpartition("/")[2] for one in answers}
    for title, definition in schema["$defs"].items():
        if "properties" in definition and title not in roots:
            definition["additionalProperties"] = False
    schema["unevaluatedProperties"] = False
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
