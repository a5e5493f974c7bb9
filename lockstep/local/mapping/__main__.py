"""The process of an event source mapping: `python -m lockstep.local.mapping`."""

import logging
import signal
import sys
import uuid
from contextlib import closing
from pathlib import Path

import click
import msgspec
from platformdirs import user_cache_path

from lockstep.local.mapping import invocation
from lockstep.local.mapping.announcements import Announcements
from lockstep.local.mapping.driver import Collaborators
from lockstep.local.mapping.failure import (
    BucketDestination,
    Destination,
    QueueDestination,
    TopicDestination,
)
from lockstep.local.mapping.intrinsics import TemplateError
from lockstep.local.mapping.invocation import EventSource
from lockstep.local.mapping.measures import EmittedMeasures, Measures
from lockstep.local.mapping.pool import Pool, lambda_environment
from lockstep.local.mapping.process import Process
from lockstep.local.mapping.settings import OnFailure, S3Bucket, SnsTopic, SqsQueue
from lockstep.local.mapping.template import FunctionMapping, function_mapping
from lockstep.local.metrics import MetricRecorder
from lockstep.local.replica import replica_parameters, with_local_secret
from lockstep.stack.clients import Clients
from lockstep.stack.shipped import TEMPLATE, shipped
from lockstep.stack.stack import REPLICA_CONSUMER, Stack, StackNotFoundError, read_local
from lockstep.stream.checkpoints import Checkpoints, CheckpointsError
from lockstep.stream.kinesis import KinesisStream
from lockstep.stream.table import NoTableStreamError, TableStream, latest_stream

log = logging.getLogger("lockstep.local.mapping")


@click.command()
@click.option(
    "--state", required=True, type=click.Path(path_type=Path), help="The local stack's folder."
)
@click.option(
    "--function", "name", required=True, help="The NAME in functions.NAME.handler.handle."
)
@click.option(
    "--template",
    default=lambda: shipped(TEMPLATE),
    show_default="the one that comes with Lockstep",
    type=click.Path(path_type=Path),
    help="The SAM template. The handlers' import paths start in its folder.",
)
@click.option("--sqs", envvar="AWS_ENDPOINT_URL_SQS", help="Endpoint for OnFailure queues.")
@click.option("--sns", envvar="AWS_ENDPOINT_URL_SNS", help="Endpoint for OnFailure topics.")
def main(*, state: Path, name: str, template: Path, sqs: str | None, sns: str | None) -> None:
    """Invoke one function with the records of its stream until SIGTERM or SIGINT.

    It differs from Lambda in two ways. LATEST is the time of the mapping's first start, so that no
    record is missed; Lambda can miss records while a mapping is created or changed. OnFailure does
    not support a Kafka topic.
    """
    logging.basicConfig(
        stream=sys.stdout, format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING
    )
    log.setLevel(logging.INFO)
    # It would warn about usage metrics.
    logging.getLogger("samtranslator").setLevel(logging.ERROR)
    template = template.resolve()
    cache = user_cache_path("lockstep") / "templates"
    try:
        stack = read_local(state)
        replicates = name == REPLICA_CONSUMER
        parameters = replica_parameters(stack) if replicates else {}
        found = function_mapping(template, name, stack, cache=cache, parameters=parameters)
        found = with_local_secret(found) if replicates else found
    except (StackNotFoundError, TemplateError) as error:
        sys.exit(f"mapping: {error}")
    if not found.settings.enabled:
        log.info("%s: the mapping is disabled in %s", name, template)
        return
    try:
        clients = Clients(stack)
        if ":dynamodb:" in found.stream_arn:
            arn = latest_stream(clients.dynamodb, stack.table)
            found = msgspec.structs.replace(found, stream_arn=arn)
        destination = _destination(found, clients, sqs=sqs, sns=sns)
        recorder = MetricRecorder(state.resolve())
        measures = EmittedMeasures(
            recorder.emit,
            mapping_uuid=invocation.mapping_uuid(found.function.name, found.stream_arn),
            function=found.function.deployed_name,
        )
        process = _process(
            found,
            stack,
            clients,
            destination,
            measures,
            state=state.resolve(),
            root=template.parent,
        )
    except (CheckpointsError, NoTableStreamError, TemplateError) as error:
        sys.exit(f"mapping: {error}")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: process.stop())
    log.info("%s: from %s with %s", name, found.stream_arn, found.settings)
    with closing(recorder):
        process.run()
    log.info("%s: stopped", name)


def _destination(
    found: FunctionMapping, clients: Clients, *, sqs: str | None, sns: str | None
) -> Destination | None:
    """The on-failure destination.

    Raises:
        TemplateError: it is a queue or topic, and no endpoint for it is set.
    """
    on_failure: OnFailure | None = found.settings.on_failure
    match on_failure:
        case None:
            return None
        case S3Bucket(name):
            return BucketDestination(
                clients.s3.put_object,
                name,
                mapping_uuid=invocation.mapping_uuid(found.function.name, found.stream_arn),
                new_id=lambda: str(uuid.uuid4()),
            )
        case SqsQueue() as queue if sqs:
            client = clients.messaging("sqs", sqs)
            return QueueDestination(client.get_queue_url, client.send_message, queue)
        case SnsTopic() as topic if sns:
            return TopicDestination(clients.messaging("sns", sns).publish, topic)
    service = "SQS" if isinstance(on_failure, SqsQueue) else "SNS"
    raise TemplateError(
        f"DestinationConfig.OnFailure: {on_failure.arn}: the local stack has no {service}: "
        f"set its endpoint in AWS_ENDPOINT_URL_{service}, or use a bucket"
    )


def _process(
    found: FunctionMapping,
    stack: Stack,
    clients: Clients,
    destination: Destination | None,
    measures: Measures,
    *,
    state: Path,
    root: Path,
) -> Process:
    """Build the mapping's process."""
    function, settings = found.function, found.settings
    uuid_of_mapping = invocation.mapping_uuid(function.name, found.stream_arn)
    endpoints = {
        service: url
        for service, url in (
            ("DYNAMODB", stack.endpoints.dynamodb),
            ("KINESIS", stack.endpoints.kinesis),
            ("S3", stack.endpoints.s3),
        )
        if url is not None
    }
    of_table = ":dynamodb:" in found.stream_arn
    collaborators = Collaborators(
        stream=TableStream(clients.dynamodbstreams, found.stream_arn, stack.region)
        if of_table
        else KinesisStream(clients.kinesis, found.stream_arn.rpartition("/")[2]),
        invoker=Pool(
            function,
            stack.region,
            lambda_environment(function, region=stack.region, root=root, endpoints=endpoints),
            root=root,
            log=state / "logs" / f"{function.name}.log",
        ),
        checkpoints=Checkpoints(
            state / "checkpoints.db",
            uuid=uuid_of_mapping,
            function=function.name,
            stream_arn=found.stream_arn,
        ),
        destination=destination,
        entry=invocation.table_entry if of_table else invocation.entry,
        measures=measures,
        announcements=None
        if of_table or stack.endpoints.kinesis is None
        else Announcements(stack.endpoints.kinesis),
    )
    source = EventSource(
        stream_arn=invocation.table_stream_arn(found.stream_arn, stack.region)
        if of_table
        else found.stream_arn,
        shard_id="",
        region=stack.region,
        function_arn=invocation.function_arn(function.deployed_name, stack.region),
        role_arn=function.role_arn,
    )
    return Process(settings, source, collaborators)


if __name__ == "__main__":
    main()
