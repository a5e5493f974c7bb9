"""The report of an audit of a replica: reads what the audit itself does not keep."""

from collections.abc import Sequence

from lockstep.reports.content import AuditedWith, DifferenceExample, Examples, ReportContent
from lockstep.reports.gathering import GatheredKinds
from lockstep.reports.replica_audit import replica_report, with_repair
from lockstep.reports.row_examples import row_examples
from lockstep.stack.clients import Clients, ReplicaClients
from lockstep.stack.replica import ReplicaStack, replica_rows, row_repair
from lockstep.stack.use_cases.audit_report import whole_seconds
from lockstep.stores.items import TableItems
from lockstep.stores.readers import StoreUnreadableError
from lockstep.tablestore.audit import ReplicaAudit, RowDifference
from lockstep.tablestore.key_states import KeyState, KeyStates
from lockstep.tablestore.readers import item_key
from lockstep.tablestore.repairing import RepairedRows, RowPlan
from shared.sink import SinkError


class ReplicaReport:
    """The report of an audit of a replica: gathers the differences while the audit finds them."""

    def __init__(
        self, clients: Clients | ReplicaClients, replica: ReplicaStack, name: str, *, values: bool
    ) -> None:
        """Begin without differences.

        Args:
            clients: the clients of the stack.
            replica: what the stack says.
            name: what the report calls the stack.
            values: as the option of the audit.
        """
        self._clients = clients
        self._replica = replica
        self._name = name
        self._values = values
        self._began = clients.clock.now()
        self._gathered = GatheredKinds[RowDifference](self._began)

    def add(self, found: RowDifference) -> None:
        """Add a difference that the audit found."""
        at = found.arrived_at
        self._gathered.count(found.kind, [] if at is None else [int(at.timestamp() * 1000)], found)

    def content(
        self, found: ReplicaAudit, plan: RowPlan | None, todo: Sequence[str] = ()
    ) -> ReportContent:
        """The report. It has no examples if a store does not answer any more.

        Args:
            found: the result of the audit.
            plan: what a repair would do.
            todo: what can be done next.
        """
        clients = self._clients
        region = clients.stack.region if isinstance(clients, Clients) else clients.region
        compared = "all columns" if self._values else "keys, removals and versions"
        return replica_report(
            AuditedWith(self._name, region, whole_seconds(self._began), compared),
            found,
            self._gathered,
            examples=self._examples(),
            plan=plan,
            todo=todo,
        )

    def with_repair(
        self, content: ReportContent, done: RepairedRows, after: ReplicaAudit, todo: Sequence[str]
    ) -> ReportContent:
        """See `with_repair`."""
        return with_repair(content, done, after, todo)

    def _examples(self) -> Examples:
        some: list[DifferenceExample] = []
        unread = None
        differences = self._gathered.examples
        try:
            some += row_examples(differences, self._states(differences))
        except (StoreUnreadableError, SinkError) as error:
            unread = str(error)
        return Examples(some, whole_seconds(self._clients.clock.now()), unread)

    def _states(self, differences: Sequence[RowDifference]) -> Sequence[KeyState]:
        if not differences:
            return []
        conversion = self._replica.settings.conversion
        states = KeyStates(
            TableItems(self._clients.dynamodb, self._replica.table),
            replica_rows(self._replica).read,
            row_repair(self._clients, self._replica),
            conversion,
        )
        return states.of([item_key(one.key, conversion) for one in differences])
