"""A plan as parameters of template.yaml: for `sam deploy`, and to compare with a deployed stack."""

import json
from collections.abc import Mapping, Sequence

import msgspec

from lockstep.plan.formulas import Value
from lockstep.plan.index import DISKS_GIB
from lockstep.plan.planning import CapacityPlan

STAGE = "planned"
"""The name of the stage in a file of parameters."""

_ALWAYS = {
    "ParallelizationFactor": "parallelization",
    "TableBatchSize": "table_batch",
    "IndexBatchSize": "index_batch",
    "ConsumerMemoryMiB": "memory_mib",
    "TableCapacity": "table_capacity",
    "AuditReadUnits": "audit_read_units",
}
_OF_TABLE = {
    "TableCapacity",
    "TableMaxReadUnits",
    "TableMaxWriteUnits",
    "TableReadUnits",
    "TableWriteUnits",
}
_PROVISIONED = {
    "TableReadUnits": "provisioned_read_units",
    "TableWriteUnits": "provisioned_write_units",
}
_DOMAIN = {
    "OpenSearchInstanceType": "node_type",
    "OpenSearchInstanceCount": "nodes",
    "OpenSearchVolumeGiB": "node_disk_gib",
    # Elsewhere, the default puts as many replicas as there are nodes for.
    "IndexReplicas": "replicas",
}
_MOST_SEARCH_RATE = 10_000  # of SearchRatePerSecond in template.yaml


class ParameterChange(msgspec.Struct, frozen=True):
    """A parameter of a deployed stack that the plan sets to another value.

    Attributes:
        name: of the parameter.
        deployed: the value that the stack has; None if its release does not have the parameter.
        planned: the value of the plan.
    """

    name: str
    deployed: str | None
    planned: str


class PlannedParameters(msgspec.Struct, frozen=True):
    """The parameters of a plan.

    Attributes:
        values: the value of each parameter, as `sam deploy` takes it.
        left_out: what the template cannot be given, a sentence each.
    """

    values: Mapping[str, str]
    left_out: Sequence[str]


class PlannedStack(CapacityPlan, frozen=True):
    """A plan, and the parameters that follow from it.

    Attributes:
        parameters: the parameters of template.yaml.
        left_out: what the template cannot be given, a sentence each.
        changes: with a deployed stack, the parameters that it has with another value.
        limits_below_the_peak: the limits, by their labels, that the peak exceeds: the stack does
            not take it.
    """

    parameters: Mapping[str, str] = {}
    left_out: Sequence[str] = ()
    changes: Sequence[ParameterChange] = ()
    limits_below_the_peak: Sequence[str] = ()


def planned_stack(planned: CapacityPlan, deployed: Mapping[str, str] | None = None) -> PlannedStack:
    """A plan with its parameters.

    Args:
        planned: the plan.
        deployed: the parameters of the stack for which it is; None if there is none.
    """
    found = parameters_of(planned, deployed)
    return PlannedStack(
        **{name: getattr(planned, name) for name in CapacityPlan.__struct_fields__},
        parameters=found.values,
        left_out=found.left_out,
        changes=() if deployed is None else changes_of(found, deployed),
        limits_below_the_peak=[
            one.label
            for one in planned.figures
            if one.section == "limits"
            and not isinstance(one.value, str)
            # Limits that are met exactly are calculated in binary fractions.
            and one.value < planned.load.peak_events_per_second * (1 - 1e-9)
        ],
    )


def parameters_of(
    planned: CapacityPlan, deployed: Mapping[str, str] | None = None
) -> PlannedParameters:
    """The parameters of template.yaml that a plan sets.

    Args:
        planned: the plan.
        deployed: the parameters of the stack for which it is; None if there is none. Those of a
            given table and of a given domain are not set.
    """
    is_ = {one.name: one.value for one in planned.figures}
    limit = {one.name: one.value for one in planned.sources}
    values = {"RetentionDays": _text(planned.load.retention_days)}
    left_out: list[str] = []

    def choose(names: Mapping[str, str]) -> None:
        values.update({name: _text(is_[figure]) for name, figure in names.items()})

    def choose_up_to(name: str, figure: str, most: float) -> None:
        if float(is_[figure]) <= most:
            choose({name: figure})
        else:
            left_out.append(
                f"{name}: the plan needs {_text(is_[figure])}, and the template takes {most:g}"
            )

    choose(_ALWAYS)
    if is_["stream_mode"] == "on-demand":
        values["ShardCount"] = "0"
    else:
        choose_up_to("ShardCount", "shards", limit["most_template_shards"])
    if is_["table_capacity"] == "provisioned":
        choose(_PROVISIONED)
        # The template refuses these limits with provisioned capacity.
        values.update(TableMaxReadUnits="0", TableMaxWriteUnits="0")
    choose_up_to("IndexShards", "primaries", limit["most_index_shards"])
    choose_up_to("SearchRatePerSecond", "search_rate", _MOST_SEARCH_RATE)
    has = deployed or {}
    if has.get("OpenSearchEndpoint"):
        left_out.append(
            "the domain: it is one of your own; the plan needs " + _domain_in_words(is_)
        )
    elif float(is_["nodes"]) <= limit["most_template_nodes"] and is_["node_disk_gib"] in DISKS_GIB:
        choose(_DOMAIN)
    else:
        left_out.append(
            f"the domain: the plan needs {_domain_in_words(is_)}: create it yourself, and set "
            "OpenSearchEndpoint and OpenSearchDomainName"
        )
    if has.get("TableName"):
        left_out.append(
            f"the table: it is one of your own; the plan needs {is_['table_capacity']} capacity"
        )
        values = {name: value for name, value in values.items() if name not in _OF_TABLE}
    return PlannedParameters(dict(sorted(values.items())), left_out)


def changes_of(found: PlannedParameters, deployed: Mapping[str, str]) -> Sequence[ParameterChange]:
    """The parameters of a deployed stack that differ from those of a plan."""
    return [
        ParameterChange(name, deployed.get(name), value)
        for name, value in found.values.items()
        if deployed.get(name) != value
        # `auto` is one replica, as the plan has at least two nodes.
        and not (name == "IndexReplicas" and deployed.get(name) == "auto")
    ]


def parameter_file(planned: PlannedStack) -> str:
    """A file in the form of samconfig.toml, for `sam deploy --config-file`."""
    lines = [
        f"# Calculated by `lockstep plan` with prices and limits of {json.dumps(planned.region)},",
        f"# {planned.as_of}. It was not tried on AWS. To deploy it:",
        f"# sam build && sam deploy --config-file THIS_FILE --config-env {STAGE} --stack-name NAME",
        *(f"# Not in this file: {one}." for one in planned.left_out),
        "version = 0.1",
        "",
        f"[{STAGE}.deploy.parameters]",
        "resolve_s3 = true",
        'capabilities = "CAPABILITY_IAM"',
        "confirm_changeset = true",
        "fail_on_empty_changeset = false",
        "parameter_overrides = [",
        *(f"    {json.dumps(f'{name}={value}')}," for name, value in planned.parameters.items()),
        "]",
    ]
    return "\n".join(lines) + "\n"


def _domain_in_words(is_: Mapping[str, Value]) -> str:
    nodes, disk = _text(is_["nodes"]), _text(is_["node_disk_gib"])
    return f"{nodes} nodes of type {is_['node_type']} with {disk} GiB each"


def _text(value: Value) -> str:
    """A value as a parameter of CloudFormation: numbers are whole."""
    return value if isinstance(value, str) else f"{value:.0f}"
