"""The quarantine of a stack: finds, reads and redrives its records."""

import datetime as dt
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import batched

from functions.write_to_es.sink import ImageIndex
from lockstep.console.errors import UserError
from lockstep.quarantine.bucket import AT_ONCE
from lockstep.quarantine.cases import Case, FoundCases, Wanted
from lockstep.quarantine.direct_indexing import DirectIndexing
from lockstep.quarantine.discarding import Discarder
from lockstep.quarantine.failure_documents import Fetched, fetch
from lockstep.quarantine.finding import find
from lockstep.quarantine.records import ForeignObjectError, event_bytes, read_record
from lockstep.quarantine.redrive import Redrive
from lockstep.stack.clients import CONNECT_SECONDS, READ_SECONDS, S3_CONNECTIONS, Clients
from lockstep.stack.use_cases.put import put
from lockstep.stack.use_cases.stores import NO_LIMIT, table_reader
from lockstep.stores.contents import ContentReader, index_lookup, table_lookup
from lockstep.stores.corrections import Corrections
from lockstep.stores.quick_objects import QuickObjects
from lockstep.stream.kinesis import KinesisStream
from lockstep.stream.stream import StreamUnavailableError
from shared.quarantine import CONSUMERS, QuarantinedRecord

NO_ID = "the ID must not be empty: see `lockstep quarantine list`"


class CaseError(UserError):
    """A case cannot be found or read; the message says why."""


class StackQuarantine:
    """A stack's quarantine, and what settling its records needs of the stores and the stream."""

    def __init__(self, clients: Clients) -> None:
        """Set up what the stack's clients can do."""
        stack = clients.stack
        self.objects = QuickObjects(
            clients.s3,
            stack.bucket,
            clients.session,
            timeout=(CONNECT_SECONDS, READ_SECONDS),
        )
        self.stores = ContentReader(
            table_lookup(clients.dynamodb, stack.table, clients.clock.now),
            index_lookup(clients.opensearch, stack.index, clients.clock.now),
        )
        self._clients = clients
        self._executor = ThreadPoolExecutor(S3_CONNECTIONS)
        self.clock = clients.clock
        self._consumers = {name: stack.functions.get(name, name) for name in CONSUMERS}
        self.redrive = Redrive(
            self.objects,
            lambda events, clock: put(clients, events, clock=clock),
            stack.table_mapping,
            index=DirectIndexing(
                sink=ImageIndex(clients.opensearch, stack.index, longest_request=NO_LIMIT),
                corrections=Corrections(clients.opensearch, stack.index),
                table=table_reader(clients),
            ),
            clock=clients.clock,
            executor=self._executor,
            changes_stream=stack.changes_stream,
        )
        self.discarder = Discarder(
            self.objects,
            stack.table_mapping,
            clock=clients.clock,
            executor=self._executor,
            changes_stream=stack.changes_stream,
        )

    def find(self, wanted: Wanted, pointers: Iterable[bytes] = ()) -> FoundCases:
        """The cases in quarantine now.

        Args:
            wanted: which cases to return.
            pointers: failure documents from SQS or SNS, one a line, whose records are read from
                the stream.

        Raises:
            CaseError: the stream does not answer.
        """
        stack = self._clients.stack
        try:
            return find(
                self.objects,
                stack.table_mapping,
                now=dt.datetime.fromtimestamp(self.clock.now(), dt.UTC),
                executor=self._executor,
                pointers=pointers,
                fetch=self._fetch,
                wanted=wanted,
                changes_stream=stack.changes_stream,
            )
        except StreamUnavailableError as error:
            raise CaseError(f"stream {stack.stream}: {error}") from error

    def one(self, case_id: str, found: FoundCases) -> Case:
        """The only case whose ID starts with `case_id`.

        Raises:
            CaseError: there is none, or more than one.
        """
        if not case_id:
            raise CaseError(NO_ID)
        cases = [case for case in found.cases if case.id.startswith(case_id)]
        if len(cases) == 1:
            return cases[0]
        if cases:
            raise CaseError(f"{case_id}: {len(cases)} IDs start with this: add more characters")
        raise CaseError(
            f"{case_id}: no quarantined record has this ID: see `lockstep quarantine list`"
        )

    def record(self, case: Case, found: FoundCases) -> QuarantinedRecord:
        """A case's record with its whole payload.

        Raises:
            CaseError: another redrive has moved it, or its object is not a quarantined record.
        """
        for key in case.keys:
            if key in found.fetched:
                return found.fetched[key]
            body = self.objects.read(key)
            if body is not None:
                try:
                    held = read_record(key, body)
                except ForeignObjectError as error:
                    raise CaseError(f"{key}: {error}") from error
                if case.is_about(held):
                    return held
        for document in case.documents:
            for held in self.redrive.records_of(document):
                if held.key in case.keys and case.is_about(held):
                    return held
        raise CaseError(f"{case.id}: another redrive has settled it: list the quarantine again")

    def payloads(self, cases: Iterable[Case], found: FoundCases) -> Iterator[bytes | CaseError]:
        """The events of cases, as `redrive --mend` reads them, in this order.

        A case that another redrive has moved, or whose object is damaged, is an error in its place.
        """

        def read(case: Case) -> bytes | CaseError:
            try:
                return event_bytes(self.record(case, found))
            except CaseError as error:
                return error

        for some in batched(cases, AT_ONCE):
            yield from self._executor.map(read, some)

    def _fetch(self, line: bytes) -> Fetched:
        stack = self._clients.stack
        stream = KinesisStream(self._clients.kinesis, stack.stream)
        return fetch(line, self._consumers, stack.stream, stream.reader, self.clock.sleep)
