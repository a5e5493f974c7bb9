"""A local stack whose processes a test stops, starts and spoils, and the alarms over it."""

import re
import shlex
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import cache, wraps
from pathlib import Path
from typing import Any

import msgspec
from click.testing import CliRunner, Result
from platformdirs import user_cache_path
from rich.console import Console
from samtranslator.yaml_helper import yaml_parse

from lockstep.cli import main
from lockstep.local.engines.download import progress_on
from lockstep.local.gateway.event import API_ID
from lockstep.local.kinesis.store import NewRecord, Store
from lockstep.local.mapping.intrinsics import Resolver
from lockstep.local.mapping.invocation import ACCOUNT, Function, mapping_uuid, stream_arn
from lockstep.local.mapping.pool import WorkerProcess, lambda_environment
from lockstep.local.mapping.response import Returned
from lockstep.local.mapping.translation import translated
from lockstep.local.metrics import EmittedMetric, MetricRecorder
from lockstep.local.prepare import prepare
from lockstep.local.processes import Child, Service, start, stop, wait_until_ready
from lockstep.local.services import (
    GATEWAY,
    ResourceNames,
    event_source_mappings,
    search_api,
    servers,
    stack_of,
)
from lockstep.stack.clients import Clients
from lockstep.stack.stack import (
    LOCAL_NAME,
    LOCAL_REGION,
    REPLICA_CONSUMER,
    SEARCH,
    write_local,
)
from lockstep.stream.shards import hash_key
from lockstep.stream.table import latest_stream
from shared.quarantine import CONSUMERS, INDEX_CONSUMER, TABLE_CONSUMER
from tests.alarm_evaluator import MORE_PERIODS, Names, breaches_in, period_of, state_of
from tests.flow.timeline import Timeline
from tools.template.alarms import EVERY_ALARM, RUNBOOK, TemplateAlarm, alarms
from tools.template.rendering import Resources, render
from tools.template.updates import REPLICA_TEMPLATE, TEMPLATE

PLAYED: dict[str, str] = {}
"""Each alarm whose trouble a test causes, and the test."""

# Longer than anything here takes on a machine that is busy.
PATIENCE_SECONDS = 240.0
LOOK, ACT = "What to look at", "What to do"
FUNCTIONS = (*(f"mapping-{name}" for name in CONSUMERS), GATEWAY)
# As `lockstep.local.services` names it.
REPLICA_MAPPING = f"mapping-{REPLICA_CONSUMER}"
_SECTION = re.compile(r"^## (.+?)$(.*?)(?=^## |\Z)", re.DOTALL | re.MULTILINE)
_BLOCK = re.compile(r"^```\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@cache
def resources() -> Resources:
    return render(translated(TEMPLATE, LOCAL_REGION), EVERY_ALARM)


@cache
def of_template() -> Mapping[str, TemplateAlarm]:
    """The alarms of both templates: that of the replica has other names, but for planned work."""
    replica = render(translated(REPLICA_TEMPLATE, LOCAL_REGION), EVERY_ALARM)
    return {one.name: one for one in (*alarms(replica), *alarms(resources()))}


class Stage:
    """A stack, the time of its alarms, and what a test may do to both.

    Args:
        state: the stack's folder.
        replicates: whether it has a replica in a Table Store, too.
    """

    def __init__(self, state: Path, *, replicates: bool = False) -> None:
        self.state = state
        self.replicates = replicates
        self.time = Timeline(state)
        self.measured = MetricRecorder(state)
        self.gone_on: set[str] = set()
        self.gone_off: set[str] = set()
        self.played: set[tuple[str, str]] = set()
        self._children: dict[str, Child] = {}
        report = progress_on(Console(stderr=True))
        cache_path = user_cache_path("lockstep")
        engines = servers(cache_path, report, limits=True, replicates=replicates)(state)
        (api,) = search_api()(state)
        self.stack = stack_of(state, ResourceNames(), {one.name: one for one in [*engines, api]})
        self._start(*engines)
        self.clients = Clients(self.stack)
        self.prepare()
        write_local(self.stack, state)
        self.start_functions()
        arn = stream_arn(self.stack.stream, LOCAL_REGION)
        self.names = Names(
            {
                "AWS::AccountId": ACCOUNT,
                "ImageStream": self.stack.stream,
                "SearchApi": API_ID,
                "SearchImages": SEARCH,
                "WriteToDynamodb": TABLE_CONSUMER,
                "WriteToDynamodbStream": mapping_uuid(TABLE_CONSUMER, arn),
                "WriteToEs": INDEX_CONSUMER,
                "WriteToEsStream": mapping_uuid(INDEX_CONSUMER, arn),
                **(self._names_of_replica() if replicates else {}),
            }
        )

    def _names_of_replica(self) -> Mapping[str, str]:
        arn = latest_stream(self.clients.dynamodb, self.stack.table)
        return {
            "WriteToTablestore": REPLICA_CONSUMER,
            "WriteToTablestoreStream": mapping_uuid(REPLICA_CONSUMER, arn),
        }

    def close(self) -> None:
        self.measured.close()
        stop(reversed(self._children.values()))

    # What runs.

    def _start(self, *services: Service) -> None:
        started = {service.name: start(service) for service in services}
        self._children |= started
        wait_until_ready(started.values(), seconds=PATIENCE_SECONDS)

    def start_functions(self, template: Path | None = None) -> None:
        """Start both mappings and the API, with the functions of this template."""
        mappings = event_source_mappings(replicates=self.replicates)
        services = [*mappings(self.state), *search_api()(self.state)]
        if template is not None:
            words = ["--template", str(template)]
            # The API may answer that it is throttled: then it is never ready.
            services = [replace(one, command=[*one.command, *words], port=None) for one in services]
        self._start(*services)

    def stop_functions(self) -> None:
        names = [*FUNCTIONS, *([REPLICA_MAPPING] if self.replicates else [])]
        stop([self._children.pop(name) for name in names])

    def start_replica(self, template: Path | None = None) -> None:
        """Start the mapping of the replica, with the function of this template."""
        (mapping,) = event_source_mappings([], replicates=True)(self.state)
        words = [] if template is None else ["--template", str(template)]
        self._start(replace(mapping, command=[*mapping.command, *words]))

    def stop_replica(self) -> None:
        """Stop the mapping of the replica."""
        stop([self._children.pop(REPLICA_MAPPING)])

    def prepare(self) -> None:
        """Make what is missing, as a deployment does."""
        prepare(self.stack, self.clients, shards=1)

    def changed_template(
        self, change: Callable[[dict[str, Any]], None], of: Path = TEMPLATE
    ) -> Path:
        """The template of the stack with a change."""
        template = yaml_parse(of.read_text())
        change(template)
        file = self.state / "changed.json"
        file.write_bytes(msgspec.json.encode(template))
        return file

    @contextmanager
    def opensearch_stuck(self) -> Iterator[None]:
        """The engine accepts connections and answers nothing."""
        process = self._children["opensearch"].process
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    @contextmanager
    def bucket_missing(self, name: str | None = None) -> Iterator[None]:
        """The bucket of the quarantine is not there; what it holds comes back with it."""
        bucket = self.state / "s3" / "objects" / (name or self.stack.bucket)
        away = bucket.rename(self.state / "s3" / bucket.name)
        try:
            yield
        finally:
            away.rename(bucket)

    def objects(self, prefix: str) -> Iterator[Path]:
        """The files of the objects in the bucket whose keys begin like this."""
        folder = self.state / "s3" / "objects" / self.stack.bucket / prefix
        return (file for file in folder.rglob("*") if file.is_file())

    def plan_work(self) -> None:
        """Emit what the command of the page emits."""
        (line,) = [
            line
            for line in (RUNBOOK / "planned-work.md").read_text().splitlines()
            if line.startswith("aws cloudwatch put-metric-data ")
        ]
        words = line.split()[3:]
        said = dict(zip(words[::2], words[1::2], strict=True))
        namespace = said["--namespace"].replace("NAME", LOCAL_NAME)
        metric = EmittedMetric(namespace, said["--metric-name"], ())
        self.measured.emit(metric, float(said["--value"]))
        self.measured.flush()

    def watch(self) -> None:
        """Run the watcher as its schedule does, until it could look at everything."""
        function = _watcher(self)
        endpoints = {"DYNAMODB": self.stack.endpoints.dynamodb, "S3": self.stack.endpoints.s3}
        environment = lambda_environment(
            function,
            region=LOCAL_REGION,
            root=TEMPLATE.parent,
            endpoints={name: str(url) for name, url in endpoints.items()},
        )
        log = self.state / "logs" / f"{function.name}.log"
        worker = WorkerProcess(function, LOCAL_REGION, environment, root=TEMPLATE.parent, log=log)
        try:
            self.wait_until(lambda: _looked(worker) and self.breaching("watcher-silent") is False)
        finally:
            worker.kill()

    # What arrives.

    def put(self, *events: dict[str, Any]) -> None:
        """Put events without the producer's checks."""
        for event in events:
            self.clients.kinesis.put_record(
                StreamName=self.stack.stream,
                Data=msgspec.json.encode(event),
                PartitionKey=event["image_id"],
            )

    def put_long_ago(self, event: dict[str, Any], *, days: float) -> None:
        """Put an event as if it had arrived so long ago, and nobody had read it."""
        database = self.state / "kinesis.db"
        key = event["image_id"]
        record = NewRecord(hash_key(key), key, msgspec.json.encode(event))
        with Store.open(database) as store:
            stream = store.find_stream(self.stack.stream)
            assert stream is not None
            # A shard takes no record that is older than its last one.
            with closing(sqlite3.connect(database, timeout=30)) as connection, connection:
                connection.execute("UPDATE shards SET last_arrival = 0")
            arrived_at = round((time.time() - days * 86_400) * 1000)
            store.append(stream, [record], admits=lambda *_: True, now=arrived_at)

    # What is seen.

    def run(self, *words: str, code: int | None = 0) -> Result:
        """Run a command of `lockstep`; with None it may end in any way but a wrong call."""
        result = CliRunner().invoke(main, [*words, "--state", str(self.state)])
        assert result.exception is None or isinstance(result.exception, SystemExit), (words, result)
        assert "Usage:" not in result.stderr, result.stderr
        if code is not None:
            assert result.exit_code == code, (words, result.output)
        return result

    def json(self, *words: str, code: int = 0) -> Any:
        return msgspec.json.decode(self.run(*words, "--json", code=code).stdout)

    def caught_up(self) -> None:
        self.run("status", "--wait", str(PATIENCE_SECONDS))

    def look(self, page: str, **named: str) -> None:
        """Play what a page says to look at: it may show trouble."""
        self.played.add((page, LOOK))
        for command in _commands(page, LOOK, named):
            self.run(*command, code=None)

    def act(self, page: str, **named: str) -> None:
        """Play what a page says to do, until its last command says that all is well.

        On a busy machine an engine may not answer in time: then people repeat a command, too.
        """
        self.played.add((page, ACT))
        commands = list(_commands(page, ACT, named))
        for command in commands[:-1]:
            self.run(*command, code=None)
        if commands:
            self.wait_until(lambda: self.run(*commands[-1], code=None).exit_code == 0)

    # The alarms.

    def set_off(self, *names: str, by: Callable[[], object]) -> None:
        """Cause trouble in one period after the other, until all these alarms are on, not sooner.

        The alarms have the same periods. `by` causes the trouble of one period.
        """
        found = [of_template()[name] for name in names]
        ((period, count),) = {(period_of(one), one.to_alarm) for one in found}
        for _ in range(count):
            assert "ALARM" not in self.states(*names).values()
            by()
            self.wait_for(*names)
            self.time.let_pass(period)
        self.is_on(*names)

    def wait_for(self, *names: str, breaching: bool = True) -> None:
        """Wait until what is fresh breaches each of these alarms, or has values that do not."""
        self.wait_until(lambda: all(self.breaching(name) is breaching for name in names))

    def wait_until(self, happened: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not happened():
            died = {name: one.died for name, one in self._children.items() if one.died}
            assert not died, f"see the logs in {self.state}"
            assert time.monotonic() < deadline, f"see the logs in {self.state}"
            time.sleep(0.2)

    def breaching(self, name: str) -> bool | None:
        """Whether what is fresh breaches this alarm; None if it has no value."""
        return breaches_in(of_template()[name], self.time.fresh(), self.names)

    def is_on(self, *names: str) -> None:
        assert self.states(*names) == dict.fromkeys(names, "ALARM")
        self.gone_on.update(names)

    def is_over(self, *names: str) -> None:
        """All these alarms go off when time passes without trouble."""
        found = [of_template()[name] for name in names]
        self.time.let_pass(max(period_of(one) * (one.periods + MORE_PERIODS) for one in found))
        # What was fresh came at the beginning: one more period passes it.
        self.time.let_pass(max(period_of(one) for one in found))
        self.is_off(*names)

    def goes_off(self, *names: str, by: Callable[[], object]) -> None:
        """All these alarms go off when something happens that has good values."""
        by()
        self.wait_for(*names, breaching=False)
        self.time.let_pass(max(period_of(of_template()[name]) for name in names))
        self.is_off(*names)

    def is_off(self, *names: str) -> None:
        assert self.states(*names) == dict.fromkeys(names, "OK")
        self.gone_off.update(names)

    def states(self, *names: str) -> dict[str, str]:
        """The state of each of these alarms now."""
        return {
            name: state_of(of_template()[name], self.time.points, self.names, at=self.time.now)
            for name in names
        }


def plays(*names: str) -> Callable[[Callable[[Stage], None]], Callable[[Stage], None]]:
    """The test sets off each of these alarms, plays its page, and sees it go off again."""

    def decorated(test: Callable[[Stage], None]) -> Callable[[Stage], None]:
        PLAYED.update(dict.fromkeys(names, test.__name__))

        @wraps(test)
        def played(stage: Stage) -> None:
            stage.gone_on.clear()
            stage.gone_off.clear()
            stage.played.clear()
            stage.time.begin()
            test(stage)
            assert stage.gone_on & stage.gone_off >= set(names)
            assert stage.played >= _with_commands(names)

        return played

    return decorated


def _with_commands(names: Sequence[str]) -> set[tuple[str, str]]:
    """The sections with commands of the pages of these alarms."""
    found = {one.page for one in of_template().values() if one.name in names}
    if "outage" in names:
        found.add("outage.md")
    return {
        (page, section)
        for page in (file.removesuffix(".md") for file in found)
        for section in (LOOK, ACT)
        if list(_commands(page, section, {}))
    }


def pair(*names: str) -> list[str]:
    """These alarms of both consumers."""
    return [f"{name}-{store}" for name in names for store in ("table", "index")]


# For a stack with few images, whose functions are not in Lambda.
_ON_A_SMALL_STACK: Mapping[str, Sequence[str]] = {
    "rebuild --apply": ["--settle", "1", "--at-most", "100"],
    "audit --repair --apply": ["--at-most", "100"],
    "tablestore audit --repair --apply": ["--at-most", "100"],
}


def _commands(page: str, section: str, named: Mapping[str, str]) -> Iterator[list[str]]:
    """The commands of `lockstep` in a section of a page, for the local stack."""
    sections = dict(_SECTION.findall((RUNBOOK / f"{page}.md").read_text()))
    for block in _BLOCK.findall(sections[section]):
        for line in block.splitlines():
            if line.startswith("lockstep "):
                words = shlex.split(line.replace(" --stack NAME", ""))[1:]
                more = _ON_A_SMALL_STACK.get(" ".join(words), ())
                yield [*(named.get(word, word) for word in words), *more]


def _looked(worker: WorkerProcess) -> bool:
    return isinstance(worker.invoke(b"{}", "request"), Returned)


@cache
def _watcher(stage: Stage) -> Function:
    """The watcher as the template has it, in this stack."""
    template = translated(TEMPLATE, LOCAL_REGION, user_cache_path("lockstep") / "templates")
    its = template["Resources"]["StackWatcher"]["Properties"]
    variables = Resolver(template, stage.stack).value(its["Environment"]["Variables"], "")
    return Function(
        name="stack_watcher",
        deployed_name="stack_watcher",
        handler=its["Handler"],
        role_arn=f"arn:aws:iam::{ACCOUNT}:role/stack_watcher",
        timeout=its["Timeout"],
        memory=its["MemorySize"],
        environment=variables,
    )
