"""Who may do what in the index, for a domain that is asked itself: fine-grained access control.

OpenSearch Dashboards names indices in the bodies of its requests, so with it the paths in IAM's
policies bind nobody (docs/guides/dashboards.md): these roles do. Each stands for the indices
behind one alias, whichever number they have.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from opensearchpy import OpenSearch

from functions.write_to_es.connect import in_sink_words

# writers: the consumer that keeps the index. readers: see no tombstones. dashboards: may keep
# their charts; they are readers besides. operators: audit, repair, rebuild.
type RoleName = Literal["writers", "readers", "dashboards", "operators"]
ROLE_NAMES: tuple[RoleName, ...] = get_args(RoleName.__value__)

_API = "/_plugins/_security/api"
# What readers see: the filter of the reading alias, for whichever name they use.
_NO_TOMBSTONES = '{"term":{"deleted":false}}'
_WRITING = (
    "indices:data/write/bulk*",
    "indices:data/write/delete",
    "indices:data/write/index",
    "indices:data/write/update",  # beside a removal
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
# Where Dashboards keeps charts, under its names of all times.
_CHARTS = (".kibana*", ".opensearch_dashboards*")


def role(alias: str, name: RoleName) -> Mapping[str, Any]:
    """What this role may do, as the security plugin is told."""
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
        case "operators":
            cluster = ["cluster_composite_ops", "cluster_monitor", "manage_point_in_time"]
            permitted = [{**images, "allowed_actions": ["indices_all"]}]
    return {"cluster_permissions": cluster, "index_permissions": permitted}


def ensure_roles(
    client: OpenSearch, alias: str, members: Mapping[RoleName, Sequence[str]]
) -> Sequence[str]:
    """Make the roles what they are here, with these members and no others; safe to run twice.

    Args:
        client: of a master user.
        alias: the writing alias.
        members: ARNs of IAM roles; a role that is not named has none.

    Returns:
        The roles' names.

    Raises:
        MisconfiguredError: the client may not, or the domain has no such access control.
        RequestFailedError: OpenSearch did not answer.
        RequestRefusedError: OpenSearch refuses what we ask for.
    """
    with in_sink_words(alias):
        for name in ROLE_NAMES:
            put = client.transport.perform_request
            put("PUT", f"{_API}/roles/{alias}_{name}", body=role(alias, name))
            backends = {"backend_roles": [*members.get(name, ())]}
            put("PUT", f"{_API}/rolesmapping/{alias}_{name}", body=backends)
    return [f"{alias}_{name}" for name in ROLE_NAMES]
