"""The roles of the index for a domain with fine-grained access control.

The paths in IAM policies do not restrict a request that names indices in its body: one of
OpenSearch Dashboards (docs/guides/dashboards.md), or a search (docs/guides/shared-domain.md). These
roles do. A role covers all indices behind one alias.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from opensearchpy import OpenSearch

from functions.write_to_es.connect import sink_errors

# writers: the consumer that writes the index. readers: search without tombstones. dashboards: may
# also store charts. auditors: read everything. operators: audit, repair, rebuild.
type RoleName = Literal["writers", "readers", "dashboards", "auditors", "operators"]
ROLE_NAMES: tuple[RoleName, ...] = get_args(RoleName.__value__)

_API = "/_plugins/_security/api"
# Hides tombstones from readers, with every name of the index that a request may use.
_NO_TOMBSTONES = '{"term":{"deleted":false}}'
_WRITING = (
    "indices:data/write/bulk*",
    "indices:data/write/delete",
    "indices:data/write/index",
    "indices:data/write/update",  # `bulk.removal` sends an update before a removal
    "indices:data/read/get",
    "indices:data/read/mget*",
    "indices:admin/get",
)
_READING = (
    "read",
    "indices:admin/aliases/get",
    "indices:admin/mappings/get",
    "indices:admin/resolve/index",
)
_AUDITING = (
    "read",
    "indices:admin/get",
    "indices:admin/refresh*",  # `status --wait`
)
# The indices in which old and new versions of Dashboards store charts.
_CHARTS = (".kibana*", ".opensearch_dashboards*")


def role(alias: str, name: RoleName) -> Mapping[str, Any]:
    """The permissions of this role, in the format of the security plugin."""
    images: Mapping[str, Any] = {"index_patterns": [f"{alias}-*"]}
    permitted: Sequence[Mapping[str, Any]]
    match name:
        case "writers":
            cluster = ["indices:data/write/bulk", "indices:data/read/mget"]
            permitted = [{**images, "allowed_actions": list(_WRITING)}]
        case "readers":
            cluster = ["cluster_composite_ops_ro", "manage_point_in_time"]
            permitted = [{**images, "allowed_actions": list(_READING), "dls": _NO_TOMBSTONES}]
        case "dashboards":
            cluster = ["cluster_composite_ops"]
            charts = ["read", "delete", "index", "manage"]
            permitted = [{"index_patterns": list(_CHARTS), "allowed_actions": charts}]
        case "auditors":
            cluster = ["cluster_composite_ops_ro", "cluster_monitor", "manage_point_in_time"]
            permitted = [{**images, "allowed_actions": list(_AUDITING)}]
        case "operators":
            cluster = ["cluster_composite_ops", "cluster_monitor", "manage_point_in_time"]
            permitted = [{**images, "allowed_actions": ["indices_all"]}]
    return {"cluster_permissions": cluster, "index_permissions": permitted}


def ensure_roles(
    client: OpenSearch, alias: str, members: Mapping[RoleName, Sequence[str]]
) -> Sequence[str]:
    """Create or replace the roles, with these members and no others. Safe to run twice.

    Args:
        client: the client of a master user.
        alias: the alias for writing.
        members: ARNs of IAM roles, by role; a role without an entry gets no members.

    Returns:
        The roles' names.

    Raises:
        MisconfiguredError: no permission, or the domain has no fine-grained access control.
        RequestFailedError: OpenSearch did not answer.
        RequestRefusedError: OpenSearch refuses the request.
    """
    with sink_errors(alias):
        for name in ROLE_NAMES:
            put = client.transport.perform_request
            put("PUT", f"{_API}/roles/{alias}_{name}", body=role(alias, name))
            backends = {"backend_roles": [*members.get(name, ())]}
            put("PUT", f"{_API}/rolesmapping/{alias}_{name}", body=backends)
    return [f"{alias}_{name}" for name in ROLE_NAMES]
