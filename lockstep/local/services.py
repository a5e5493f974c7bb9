"""The services of a local stack: the programs, how they start, and their addresses."""

import datetime as dt
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from msgspec.structs import asdict

from functions.search_images.page_settings import NO_SETTINGS, PageSettings
from functions.write_to_es.settings import AS_MANY_AS_FIT, IndexSettings
from lockstep.console.extras import READS_PICTURES
from lockstep.local.engines.class_archives import archive_classes
from lockstep.local.engines.download import Report, install
from lockstep.local.engines.dynamodb import dynamodb
from lockstep.local.engines.opensearch import opensearch
from lockstep.local.engines.pins import kits
from lockstep.local.engines.s3 import s3
from lockstep.local.mapping.invocation import mapping_uuid, stream_arn
from lockstep.local.ports import free_ports
from lockstep.local.processes import Service
from lockstep.local.replica import TABLESTORE, tablestore_module
from lockstep.local.state_folder import read_json
from lockstep.machine.files import write_json
from lockstep.stack.shipped import TABLESTORE_TEMPLATE, shipped
from lockstep.stack.stack import (
    FORWARDER,
    LOCAL_REGION,
    REPLICA_CONSUMER,
    SEARCH,
    Endpoints,
    IndexFrom,
    LocalReplica,
    PictureStores,
    Stack,
)
from lockstep.web.addresses import HOST
from shared.quarantine import CONSUMERS, TABLE_CONSUMER

PORTS = "ports.json"
# As in template.yaml.
REFRESH_INTERVAL = "500ms"
GATEWAY = f"gateway-{SEARCH}"

# Gets the state folder.
type Services = Callable[[Path], Sequence[Service]]


@dataclass(frozen=True, slots=True)
class ResourceNames:
    """The names of a local stack's resources, what feeds its index, its shards, facets and page.

    The names of the replica count only for a stack that has one.
    """

    stream: str = "lockstep-images"
    table: str = "lockstep-images"
    index: str = "images"
    bucket: str = "lockstep-quarantine"
    changes_stream: str = "lockstep-table-changes"
    replica_table: str = "lockstep_images"
    replica_bucket: str = "lockstep-replica-quarantine"
    picture_bucket: str = "lockstep-pictures"
    picture_rows: str = "lockstep-picture-rows"
    thumbnail_bucket: str = "lockstep-thumbnails"
    region: str = LOCAL_REGION
    index_from: IndexFrom = "Kinesis"
    index_shards: int = 1
    search_facets: tuple[str, ...] = ()
    page: PageSettings = NO_SETTINGS


def servers(
    cache: Path,
    report: Report,
    host: str = HOST,
    *,
    limits: bool = False,
    replicates: bool = False,
) -> Services:
    """The Kinesis endpoint and the engines, which are downloaded to `cache` if they are missing.

    They listen on `host`, on the same ports as last time if these are free. With `limits` the
    stream throttles its shards as Kinesis does. With `replicates` there is a Table Store, too.
    """

    def services(state: Path) -> Sequence[Service]:
        homes = install(kits().values(), cache, report)
        archive_classes(homes)
        names = ["opensearch", "dynamodb", "s3", "kinesis", *([TABLESTORE] if replicates else [])]
        ports = _ports(state, [*names, "opensearch-transport"], dict.fromkeys(names, host))
        transport = ports["opensearch-transport"]
        kinesis = [
            "lockstep.local.kinesis",
            *("--database", str(state / "kinesis.db")),
            *("--host", host, "--port", str(ports["kinesis"])),
            *("--metrics", str(state)),
            *(["--limits"] if limits else []),
        ]
        return [
            opensearch(homes["opensearch"], state, ports["opensearch"], transport, host=host),
            dynamodb(homes["dynamodb"], state, ports["dynamodb"], host=host),
            s3(homes["s3"], state, ports["s3"], host=host),
            python_service("kinesis", state, kinesis, port=ports["kinesis"], host=host),
            *([_tablestore(state, ports[TABLESTORE], host)] if replicates else []),
        ]

    return services


def event_source_mappings(
    functions: Sequence[str] = CONSUMERS, *, forwards: bool = False, replicates: bool = False
) -> Services:
    """One event source mapping for each function, each in its own process.

    With `forwards`, another process copies the table's changes to a Kinesis stream. With
    `replicates`, the consumer of the replica has a mapping, too.
    """

    def services(state: Path) -> Sequence[Service]:
        module = "lockstep.local.mapping"
        of_state = ["--state", str(state)]
        forwarder = python_service(FORWARDER, state, [f"{module}.forward", *of_state])
        mappings = [
            python_service(f"mapping-{name}", state, [module, *of_state, "--function", name])
            for name in functions
        ]
        if replicates:
            words = ["--function", REPLICA_CONSUMER]
            words += ["--template", str(shipped(TABLESTORE_TEMPLATE))]
            name = f"mapping-{REPLICA_CONSUMER}"
            mappings.append(python_service(name, state, [module, *of_state, *words]))
        return [forwarder, *mappings] if forwards else mappings

    return services


def search_api(host: str = HOST) -> Services:
    """The search API over HTTP, on `host`, on the same port as last time if it is free."""

    def services(state: Path) -> Sequence[Service]:
        port = _ports(state, [SEARCH], {SEARCH: host})[SEARCH]
        words = ["lockstep.local.gateway", "--state", str(state), "--function", SEARCH]
        words += ["--host", host, "--port", str(port)]
        return [python_service(GATEWAY, state, words, port=port, host=host, health="/health")]

    return services


def audits(every: dt.timedelta | None) -> Services:
    """The audit that runs by itself at this interval; nothing without one."""

    def services(state: Path) -> Sequence[Service]:
        if every is None:
            return []
        words = ["--state", str(state), "--every", f"{every.total_seconds():g}"]
        return [python_service("nightly-audit", state, ["lockstep.nightly.local", *words])]

    return services


def pictures(*, trouble: bool = False) -> Services:
    """What makes events and thumbnails of pictures; nothing without the extra `pictures`.

    With `trouble`, notifications come late, several times and out of order.
    """

    def services(state: Path) -> Sequence[Service]:
        if not has_pictures():
            return []
        words = ["--state", str(state), *(["--trouble"] if trouble else [])]
        return [
            python_service(name.replace("_", "-"), state, [f"lockstep.{name}.local", *words])
            for name in ("pictures_to_events", "make_thumbnails")
        ]

    return services


def has_pictures() -> bool:
    """Whether what reads pictures is installed, without the time that its import takes."""
    return all(find_spec(module) for module in READS_PICTURES)


def python_service(
    name: str,
    state: Path,
    module: Sequence[str],
    *,
    port: int | None = None,
    host: str = HOST,
    health: str = "/",
) -> Service:
    """A service that runs a module of this package with arguments; its log is line-buffered."""
    return Service(
        name=name,
        # -P: a folder `shared` in the user's working directory must not hide this package's.
        command=[sys.executable, "-P", "-u", "-m", *module],
        folder=Path.cwd(),
        log=state / "logs" / f"{name}.log",
        port=port,
        host=host,
        health=health,
    )


def stack_of(state: Path, names: ResourceNames, services: Mapping[str, Service]) -> Stack:
    """The description of the stack that these services form.

    `GATEWAY` is optional, and so is `TABLESTORE`: with it, the stack has a replica.
    """
    at = {name: f"http://{one.host}:{one.port}" for name, one in services.items()}
    engines = (at["kinesis"], at["dynamodb"], at["opensearch"], at["s3"])
    return Stack(
        endpoints=Endpoints(*engines, search=at.get(GATEWAY), tablestore=at.get(TABLESTORE)),
        stream=names.stream,
        table=names.table,
        index=names.index,
        bucket=names.bucket,
        region=names.region,
        functions={name: name for name in CONSUMERS},
        state=str(state),
        index_from=names.index_from,
        changes_stream=names.changes_stream,
        table_mapping=mapping_uuid(TABLE_CONSUMER, stream_arn(names.stream, names.region)),
        index_settings=IndexSettings(names.index_shards, AS_MANY_AS_FIT, REFRESH_INTERVAL),
        search_facets=names.search_facets,
        page=asdict(names.page),
        replica=LocalReplica(names.replica_table, names.replica_bucket)
        if TABLESTORE in at
        else None,
        pictures=PictureStores(names.picture_bucket, names.picture_rows, names.thumbnail_bucket),
    )


def _tablestore(state: Path, port: int, host: str) -> Service:
    module = tablestore_module(state, port, host)
    return python_service(TABLESTORE, state, module, port=port, host=host, health="/health")


def _ports(state: Path, names: Sequence[str], hosts: Mapping[str, str]) -> Mapping[str, int]:
    """A free port for each name; recorded, so that the next start prefers it."""
    before = read_json(state / PORTS, dict[str, int]) or {}
    ports = free_ports(names, before, hosts)
    write_json(state / PORTS, before | ports)
    return ports
