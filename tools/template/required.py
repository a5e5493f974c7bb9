"""The values of the parameters of a template with which nothing is chosen."""

from collections.abc import Mapping
from typing import Any

# Of parameters that have no default: whoever deploys must give them.
_EXAMPLES = {
    "SourceStreamArn": (
        "arn:aws:dynamodb:eu-central-1:123456789012:table/orders/stream/2026-11-29T00:00:00.000"
    ),
    "OtsInstance": "orders-prod",
    "OtsSecretArn": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:ots-0a1b2c",
    "TableName": "orders",
    "PrimaryKey": "customer,order",
}
# A rule demands one of several parameters that have a default.
_DEMANDED = {"OtsRegion": "eu-central-1"}


def usual_values(template: Mapping[str, Any]) -> dict[str, str]:
    """The value of each parameter: its default, or an example.

    Raises:
        KeyError: a parameter has no default, and there is no example of it.
    """
    declared = template["Parameters"]
    return {
        name: str(its["Default"]) if "Default" in its else _EXAMPLES[name]
        for name, its in declared.items()
    } | {name: value for name, value in _DEMANDED.items() if name in declared}
