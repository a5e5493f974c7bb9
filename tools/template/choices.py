"""The changes of parameters that matter, and combinations of them.

Each parameter has at least one change. Where AWS treats values differently, it has several.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

from tests.package.test_template_rules import refusals

_KEY = "arn:aws:kms:eu-central-1:123456789012:key/0a1b"
_HASHES = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:log-hash-0a1b2c"
_ROLE = "arn:aws:iam::123456789012:role/"
_TABLE_STREAM = (
    "arn:aws:dynamodb:eu-central-1:123456789012:table/restored/stream/2026-11-29T00:00:00.000"
)
_VAULT = "arn:aws:backup:eu-west-1:123456789012:backup-vault:copies"
_OWN_DOMAIN = {"OpenSearchEndpoint": "https://own.example", "OpenSearchDomainName": "own-domain"}
_NETWORK = {
    "SubnetIds": "subnet-0a1b2c3d4e5f60718,subnet-1b2c3d4e5f6071829,subnet-2c3d4e5f60718293a",
    "SecurityGroupIds": "sg-0a1b2c3d4e5f60718",
}
_THREE_NODES = {"OpenSearchInstanceCount": "3"}
_DASHBOARDS = {"Dashboards": "yes"}
_UNITS = {"TableCapacity": "provisioned"}
_REPLICA = {"TableReplicaRegion": "eu-west-1"}
_READERS = {"ReaderImages": "image-1,album-*"}
_BACKUPS = {"BackupSchedule": "cron(0 5 * * ? *)"}
_UPDATES = {"OpenSearchAutoUpdate": "yes"}
_TOKENS = {
    "SearchAuth": "JWT",
    "SearchIssuer": "https://issuer.example",
    "SearchAudience": "client-1",
}
_TOPIC = "arn:aws:sns:eu-central-1:123456789012:"
_AUDIT = {"AuditEveryNight": "yes"}
_PICTURES = {"Pictures": "yes"}
_MAIL = {"AlarmEmail": "on-call@example.com"}
_CHANGES_STREAM = {"IndexFrom": "KinesisDataStreamsForDynamoDB"}
_PARAMETER = "arn:aws:ssm:eu-central-1:123456789012:parameter/ots"
_OTHER_STREAM = (
    "arn:aws:dynamodb:eu-central-1:123456789012:table/orders/stream/2026-11-30T00:00:00.000"
)


class Choice(NamedTuple):
    """A change of one parameter, or of several that belong together."""

    changed: Mapping[str, str]
    """The new values. Before, these parameters have their defaults."""
    beside: Mapping[str, str] = {}
    """What else must be set, before and after."""

    @property
    def after(self) -> Mapping[str, str]:
        """The parameters after the change."""
        return {**self.beside, **self.changed}


def _alone(**changed: str) -> Iterator[Choice]:
    for name, value in changed.items():
        yield Choice({name: value})


CHOICES = (
    Choice({"RetentionDays": "2"}),
    Choice({"RetentionDays": "30"}),
    Choice({"IndexFrom": "DynamoDBStreams"}),
    Choice(_CHANGES_STREAM),
    *_alone(ShardCount="4", KmsKeyArn=_KEY, TableKmsKeyArn=_KEY),
    Choice({"TableName": "restored", "TableStreamArn": _TABLE_STREAM}),
    *_alone(TableDeletionProtection="yes", TableClass="STANDARD_INFREQUENT_ACCESS"),
    Choice(_UNITS),
    Choice({"TableReadUnits": "50"}, _UNITS),
    Choice({"TableWriteUnits": "20"}, _UNITS),
    *_alone(TableMaxReadUnits="1000", TableMaxWriteUnits="500"),
    Choice(_REPLICA),
    Choice({"TableReplicaRegion2": "us-west-2"}, _REPLICA),
    *_alone(TablePolicyReaders=f"{_ROLE}first,{_ROLE}second"),
    Choice(_READERS),
    Choice({"ReaderFields": "image_id,version"}, _READERS),
    Choice(_BACKUPS),
    Choice({"BackupDays": "14"}, _BACKUPS),
    Choice({"BackupCopyVaultArn": _VAULT}, _BACKUPS),
    Choice(_OWN_DOMAIN),
    Choice({"OpenSearchDomainName": "another-name"}),
    Choice({"OpenSearchSigning": "no"}, _OWN_DOMAIN),
    Choice(_NETWORK, _OWN_DOMAIN),
    Choice(_NETWORK),
    Choice({**_NETWORK, "OpenSearchDomainName": "another-name"}),
    Choice({"SecurityGroupIds": "sg-1b2c3d4e5f6071829"}, _NETWORK),
    *_alone(OpenSearchInstanceType="r7g.large.search", OpenSearchInstanceCount="2"),
    Choice(_THREE_NODES),
    *_alone(OpenSearchKmsKeyArn=_KEY),
    Choice(
        {"OpenSearchKmsKeyArn": _KEY, "OpenSearchDomainName": "another-name"},
    ),
    Choice({"OpenSearchMasterType": "m7g.medium.search"}, _THREE_NODES),
    *_alone(OpenSearchLogs="yes"),
    Choice({"OpenSearchAuditLog": "yes"}, _DASHBOARDS),
    Choice(_UPDATES),
    Choice({"OpenSearchOffPeakHour": "1"}, _UPDATES),
    *_alone(OpenSearchVolumeGiB="100", IndexAlias="photos", IndexShards="5"),
    Choice({"IndexReplicas": "1"}, _THREE_NODES),
    *_alone(RefreshInterval="1s"),
    Choice(_TOKENS),
    Choice({"SearchIssuer": "https://other.example"}, _TOKENS),
    Choice({"SearchAudience": "client-1,client-2"}, _TOKENS),
    *_alone(SearchOrigins="https://one.example,https://two.example"),
    *_alone(SearchRatePerSecond="100", SearchBurst="200"),
    *_alone(SearchFacets="artist,medium"),
    *_alone(PageTitle="Museum of Ships", PageAccent="#7a1f2b"),
    *_alone(PageLogo="https://museum.example/logo.svg", PictureHosts="images.example.org"),
    Choice(_PICTURES),
    Choice({"PictureChecksumMiB": "1024"}, _PICTURES),
    Choice({"PictureTimeZone": "Europe/Berlin"}, _PICTURES),
    Choice({"PicturePositions": "yes"}, _PICTURES),
    Choice(_DASHBOARDS),
    Choice({"OperatorRoleArn": f"{_ROLE}operator"}, _DASHBOARDS),
    Choice({"AuditorRoleArn": f"{_ROLE}auditor"}, _DASHBOARDS),
    *_alone(AuditEveryNight="no"),
    Choice({"AuditHour": "5"}, _AUDIT),
    Choice({"AuditReadUnits": "50"}, _AUDIT),
    *_alone(ParallelizationFactor="4", TableBatchSize="50", IndexBatchSize="1000"),
    *_alone(EnhancedFanOut="yes"),
    Choice({"EnhancedFanOut": "yes"}, _CHANGES_STREAM),
    *_alone(ConsumerMemoryMiB="1024", SearchMemoryMiB="1024", SearchReservedConcurrency="50"),
    Choice(_MAIL),
    Choice({"PageTopicArn": f"{_TOPIC}pages"}, _MAIL),
    Choice({"TicketTopicArn": f"{_TOPIC}tickets"}, _MAIL),
    Choice({"PageTopicArn": f"{_TOPIC}pages", "TicketTopicArn": f"{_TOPIC}tickets"}),
    *_alone(Tracing="yes", LogLevel="DEBUG", LogKmsKeyArn=_KEY, LogRetentionDays="90"),
    *_alone(LogHashSecretArn=_HASHES),
)
"""Of template.yaml. Each change is accepted by its rules, before and after."""

REPLICA_CHOICES = (
    *_alone(SourceStreamArn=_OTHER_STREAM, SourceKmsKeyArn=_KEY, KmsKeyArn=_KEY),
    *_alone(OtsInstance="other-instance", OtsEndpoint="https://ots.example", OtsId="LTAI"),
    Choice({"OtsRegion": "", "OtsEndpoint": "https://ots.example"}),
    Choice({"OtsSecretArn": _PARAMETER}),
    *_alone(OtsSecretKmsKeyArn=_KEY, TableName="others", PrimaryKey="order,customer"),
    *_alone(UnfitNumbers="string", Nulls="omit", Deletions="row"),
    *_alone(ColumnTypes='{"price": "double"}', ColumnNames='{"price": "price_eur"}'),
    *_alone(StreamLabel="2026-11-30T12:00:00.000", BatchSize="200", ParallelizationFactor="4"),
    *_alone(MemoryMiB="1024", PurgeSchedule="", PurgeReadUnits="100"),
    *_alone(PurgeSchedule="rate(7 days)"),
    Choice(_MAIL),
    Choice({"PageTopicArn": f"{_TOPIC}pages"}, _MAIL),
    Choice({"TicketTopicArn": f"{_TOPIC}tickets"}, _MAIL),
    Choice({"PageTopicArn": f"{_TOPIC}pages", "TicketTopicArn": f"{_TOPIC}tickets"}),
    *_alone(Tracing="yes", LogLevel="DEBUG", LogKmsKeyArn=_KEY, LogRetentionDays="90"),
    *_alone(LogHashSecretArn=_HASHES),
)
"""Of template-tablestore.yaml, likewise."""


def choices_of(template: Mapping[str, Any]) -> Sequence[Choice]:
    """The choices of a template: that of the replica has a stream of a table as its source."""
    return REPLICA_CHOICES if "SourceStreamArn" in template["Parameters"] else CHOICES


def together(template: Mapping[str, Any]) -> list[Mapping[str, str]]:
    """Few combinations of parameters, in which each pair of choices that agree is there once.

    The first one has the defaults only.
    """
    choices = choices_of(template)
    allowed = {
        pair
        for pair in combinations(range(len(choices)), 2)
        if (both := _merged(choices[pair[0]].after, choices[pair[1]].after)) is not None
        and not refusals(template, **both)
    }
    found: list[Mapping[str, str]] = [{}]
    left = set(allowed)
    while left:
        first, second = min(left)
        members = [first, second]
        chosen = {**choices[first].after, **choices[second].after}
        for more, choice in enumerate(choices):
            if more in members or not all(tuple(sorted((more, one))) in allowed for one in members):
                continue
            merged = _merged(chosen, choice.after)
            if merged is not None and not refusals(template, **merged):
                members.append(more)
                chosen = merged
        found.append(chosen)
        left -= set(combinations(sorted(members), 2))
    return found


def _merged(one: Mapping[str, str], other: Mapping[str, str]) -> dict[str, str] | None:
    """Both together; None if they contradict each other."""
    merged = {**one, **other}
    return merged if {**merged, **one} == merged else None
