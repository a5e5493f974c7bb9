"""Decides as IAM does whether policies allow a request, for the parts of IAM that are used here.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html: a request
is denied unless a statement allows it, and an explicit Deny wins. What is not supported raises
`NotImplementedError`, so that a policy never seems to allow or deny something by mistake.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

# A condition key has no, one or several values.
type Context = Mapping[str, str | Sequence[str]]

EVERYTHING: Mapping[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
}

_SEGMENTS = 6  # arn:partition:service:region:account:resource
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_ELEMENTS = frozenset(
    {"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"}
)


class Call(msgspec.Struct, frozen=True, order=True):
    """One action on one resource; `context` has the condition keys and their values.

    `resource` is `*` if AWS defines no resource for the action.
    """

    action: str
    resource: str
    context: tuple[tuple[str, str | tuple[str, ...]], ...] = ()

    @property
    def keys(self) -> Context:
        """The values of the condition keys."""
        return dict(self.context)


def allows(policies: Iterable[Mapping[str, Any]], call: Call) -> bool:
    """Whether these policies together allow a call."""
    effects = {
        statement["Effect"]
        for policy in policies
        for statement in listed(policy["Statement"])
        if applies(statement, call)
    }
    return effects == {"Allow"}


def applies(statement: Mapping[str, Any], call: Call) -> bool:
    """Whether a statement is about a call.

    Raises:
        NotImplementedError: the statement uses something that is not supported here.
    """
    if unknown := statement.keys() - _ELEMENTS:
        raise NotImplementedError(f"elements {unknown}")
    return (
        _names(statement, "Action", lambda one: _matches(one.lower(), call.action.lower(), {}))
        and _names(statement, "Resource", lambda one: _is_resource(one, call))
        and all(
            _holds(operator, keys, call.keys)
            for operator, keys in statement.get("Condition", {}).items()
        )
    )


def listed(value: Any) -> list[Any]:
    """A list, or the list with this one value."""
    return value if isinstance(value, list) else [value]


def _names(statement: Mapping[str, Any], element: str, is_it: Callable[[str], bool]) -> bool:
    negated = f"Not{element}"
    if negated in statement:
        return not any(map(is_it, listed(statement[negated])))
    return any(map(is_it, listed(statement[element])))


def _is_resource(pattern: str, call: Call) -> bool:
    """An asterisk does not reach from one segment of an ARN into the next.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
    """
    if pattern == "*":
        return True
    patterns = pattern.split(":", _SEGMENTS - 1)
    segments = call.resource.split(":", _SEGMENTS - 1)
    return len(patterns) == len(segments) and all(
        _matches(one, segment, call.keys) for one, segment in zip(patterns, segments, strict=True)
    )


def _matches(pattern: str, text: str, keys: Context) -> bool:
    """Whether a pattern with `*`, `?` and variables matches; a value is taken as it is written.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
    """
    expression = ""
    at = 0
    for found in _VARIABLE.finditer(pattern):
        value = _variable(found[1], keys)
        if value is None:
            return False
        expression += _as_expression(pattern[at : found.start()]) + re.escape(value)
        at = found.end()
    expression += _as_expression(pattern[at:])
    return re.fullmatch(expression, text, re.DOTALL) is not None


def _as_expression(pattern: str) -> str:
    wild = {"*": ".*", "?": "."}
    return "".join(wild.get(one, re.escape(one)) for one in pattern)


def _variable(text: str, keys: Context) -> str | None:
    """The value of a variable; None if the request has no single value for it."""
    if text in {"*", "?", "$"}:
        return text
    name, comma, default = (part.strip() for part in text.partition(","))
    found = _values(name, keys)
    if len(found) == 1:
        return found[0]
    return default.strip("'") if comma and not found else None


def _values(name: str, keys: Context) -> list[str]:
    """The values of a condition key, whose name is the same in capitals."""
    for key, value in keys.items():
        if key.lower() == name.lower():
            return [value] if isinstance(value, str) else list(value)
    return []


def _holds(operator: str, wanted: Mapping[str, Any], keys: Context) -> bool:
    """Whether a condition holds for each of its keys.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
    """
    return all(
        _holds_for(operator, [str(one) for one in listed(values)], _values(name, keys), keys)
        for name, values in wanted.items()
    )


def _holds_for(operator: str, wanted: list[str], found: list[str], keys: Context) -> bool:
    quantifier, _, rest = operator.rpartition(":")
    if rest == "Null":
        return wanted == [str(not found).lower()]
    exists, optional = bool(found), rest.endswith("IfExists")
    name = rest.removesuffix("IfExists")
    if name not in _OPERATORS:
        raise NotImplementedError(operator)
    is_it, negated = _OPERATORS[name]

    def satisfies(value: str) -> bool:
        return any(is_it(one, value, keys) for one in wanted) != negated

    if not exists and optional:
        return True
    match quantifier:
        case "ForAllValues":
            return all(map(satisfies, found))  # also if the request has no value
        case "ForAnyValue":
            return any(map(satisfies, found))
        case "":
            # A negated operator holds for a key that the request does not have.
            return all(map(satisfies, found)) if exists else negated
        case _:
            raise NotImplementedError(operator)


def _equals(wanted: str, value: str, keys: Context) -> bool:
    return _matches(wanted.replace("*", "${*}").replace("?", "${?}"), value, keys)


def _equals_in_any_case(wanted: str, value: str, keys: Context) -> bool:
    return _equals(wanted.lower(), value.lower(), keys)


# Each operator, and whether it is negated.
_OPERATORS: Mapping[str, tuple[Callable[[str, str, Context], bool], bool]] = {
    "StringEquals": (_equals, False),
    "StringNotEquals": (_equals, True),
    "StringEqualsIgnoreCase": (_equals_in_any_case, False),
    "StringLike": (_matches, False),
    "StringNotLike": (_matches, True),
    "ArnLike": (_matches, False),
    "ArnEquals": (_matches, False),
    "ArnNotLike": (_matches, True),
    "Bool": (_equals_in_any_case, False),
}
