"""What AWS measures of a domain, asked of the engine of a local stack.

https://docs.aws.amazon.com/opensearch-service/latest/developerguide/managedomains-cloudwatchmetrics.html
AWS measures more: free disk, heap and processor of a node. These would say how large the machine of
the test is, not how the stack does.
"""

from opensearchpy import OpenSearch

from lockstep.local.mapping.invocation import ACCOUNT
from lockstep.local.metrics import Emit, EmittedMetric

DOMAIN = "lockstep-images"


def emit_metrics(opensearch: OpenSearch, emit: Emit) -> None:
    """Emit the health of the cluster, and whether it blocks writes."""
    status = opensearch.cluster.health()["status"]
    for color in ("green", "yellow", "red"):
        emit(_metric(f"ClusterStatus.{color}"), int(status == color))
    blocks = opensearch.cluster.state(metric="blocks")["blocks"]
    of_indices = blocks.get("indices", {}).values()
    found = [block for one in (blocks.get("global", {}), *of_indices) for block in one.values()]
    blocked = any("write" in block["levels"] for block in found)
    emit(_metric("ClusterIndexWritesBlocked"), int(blocked))


def _metric(name: str) -> EmittedMetric:
    return EmittedMetric("AWS/ES", name, (("ClientId", ACCOUNT), ("DomainName", DOMAIN)))
