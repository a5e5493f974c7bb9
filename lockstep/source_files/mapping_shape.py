"""Check of what a mapping file consists of: each message names the field and what to write."""

from typing import Any, Literal, get_args

from lockstep.source_files.field_rules import FieldRule
from lockstep.source_files.mapped_ids import Rule

Rest = Literal["refuse", "attributes", "ignore"]


def check_shape(tree: dict[str, Any], settings: tuple[str, ...]) -> None:
    """Check the names in a mapping file, and the kinds of value under [fields].

    Args:
        tree: the mapping file, decoded.
        settings: the names that may be at its top.

    Raises:
        ValueError: a name or a value is wrong.
    """
    for name in tree:
        if name not in settings:
            raise ValueError(f"there is no setting `{name}`: use {', '.join(settings)}")
    if "rest" in tree and tree["rest"] not in get_args(Rest):
        raise ValueError(f"`rest` is {tree['rest']!r}: use {_either(get_args(Rest))}")
    defaults = tree.get("defaults")
    for target, value in defaults.items() if isinstance(defaults, dict) else ():
        _check_default(target, value)
    fields = tree.get("fields")
    for field, said in fields.items() if isinstance(fields, dict) else ():
        if _is_setting(field, said, settings):
            raise ValueError(f"`{field}` is under [fields]: write it above [fields]")
        _check_field(field, said)


def _check_default(target: str, value: Any) -> None:
    items = value if isinstance(value, list) else [value]
    if not isinstance(value, list) and isinstance(value, int) and not isinstance(value, bool):
        return
    if not all(isinstance(item, str) for item in items):
        raise ValueError(
            f"[defaults]: the value of `{target}` must be a text in quotes, an integer, or a list "
            "of texts"
        )


def _is_setting(field: str, said: Any, settings: tuple[str, ...]) -> bool:
    """Whether this is a setting after [fields]: TOML reads it as a field."""
    if field == "rest":
        return said in get_args(Rest)
    return field in settings and not isinstance(said, str | dict)


def _check_field(field: str, said: Any) -> None:
    if isinstance(said, str):
        return
    if not isinstance(said, dict):
        message = f'field `{field}`: write the event field in quotes: "name"'
        raise ValueError(message)  # noqa: TRY004 - the user's mistake, like the others
    if "to" not in said:
        inner = next(iter(said), "NAME")
        raise ValueError(
            f"field `{field}` lacks `to`; for a field inside an object, write its name in quotes: "
            f'"{field}.{inner}" = ...'
        )
    options = FieldRule.__struct_fields__
    for option in said:
        if option not in options:
            message = f"field `{field}`: there is no option `{option}`: use {', '.join(options)}"
            raise ValueError(message)
    if said.get("id") not in (None, *get_args(Rule)):
        raise ValueError(f"field `{field}`: `id` is {said['id']!r}: use {_either(get_args(Rule))}")


def _either(values: tuple[str, ...]) -> str:
    *most, last = (f'"{value}"' for value in values)
    return f"{', '.join(most)} or {last}"
