"""What AWS answers where no engine does: CloudFormation, Lambda, CloudWatch, SQS, tables, others.

The forms of the answers are those of botocore's service models.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

import msgspec

from lockstep.local.mapping.invocation import stream_arn
from lockstep.local.tablestore.signatures import Account
from lockstep.stack.stack import Stack
from shared.quarantine import TABLE_CONSUMER
from tests.gate.policies import ACCESS_KEY
from tests.gate.requests import REPLICA, Asked, stack_arn, table_stream_arn, topic_arn

HOUR = 3600
# The stream is so old, in hours: losses are searched from its creation on.
AGE_HOURS = 60 * 24
JSON = "application/json"
_NAMESPACE = "http://cloudformation.amazonaws.com/doc/2010-05-15/"

# Who runs the commands.
CALLER = "arn:aws:sts::000000000000:assumed-role/operator/ann"
_CALLER = (
    '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
    f"<GetCallerIdentityResult><Arn>{CALLER}</Arn><UserId>AROA:ann</UserId>"
    "<Account>000000000000</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
)

# What a table has in AWS, and not in DynamoDB Local.
SETTINGS = frozenset(
    {
        "DescribeContinuousBackups",
        "DescribeKinesisStreamingDestination",
        "EnableKinesisStreamingDestination",
        "ListTagsOfResource",
        "TagResource",
        "UpdateContinuousBackups",
    }
)

type Answered = tuple[int, Mapping[str, str], bytes]


class Recorded:
    """The answers about one deployed stack.

    Attributes:
        outputs: the outputs of the stack.
        disabled: so many times more, an event source mapping is told to be disabled.
        settings: of each table, the settings that DynamoDB Local does not know.
        incoming: how many records arrived in each hour of the last ten days; none of them was read.
        finds: the ids of the images that the search API finds for a text.
        replica: the environment of the function of a replica in Table Store.
        alarms: the alarms of the stack, in the form of CloudWatch, by their name. One that goes on
            tells its topics at once.
    """

    def __init__(self, stack: Stack, outputs: Mapping[str, str]) -> None:
        self.stack = stack
        self.outputs = dict(outputs)
        self.disabled = 0
        self.incoming = 0
        self.replica: Mapping[str, str] = {}
        self.settings: defaultdict[str, dict[str, Any]] = defaultdict(dict)
        self.finds: Callable[[str], Sequence[str]] = lambda _: []
        self.alarms = {one["AlarmName"]: one for one in _alarms(stack)}
        self._told: list[dict[str, Any]] = []

    def answer(self, asked: Asked) -> Answered:
        """The answer to a request that is allowed."""
        match asked.service:
            case "cloudformation":
                return 200, {"content-type": "text/xml"}, self._of_the_stack(asked).encode()
            case "lambda":
                if asked.path.endswith("/configuration"):
                    return answered({"Environment": {"Variables": self.replica}})
                return answered(self._mappings(asked))
            case "cloudwatch":
                operation = asked.headers["x-amz-target"].rpartition(".")[2]
                return answered(self._watched(operation, msgspec.json.decode(asked.body)))
            case "sns":
                return 200, {"content-type": "text/xml"}, _subscriptions(asked).encode()
            case "logs" | "sqs":
                # A client reads what it asked for.
                return answered({"events": [], "searchedLogStreams": [], "MessageId": "1"})
            case "secretsmanager":
                secret = msgspec.json.decode(asked.body)["SecretId"]
                text = Account().secret if secret == ACCESS_KEY else "0123456789abcdef"
                return answered({"Name": "one", "SecretString": text})
            case "sts":
                return 200, {"content-type": "text/xml"}, _CALLER.encode()
            case "api":
                (text,) = parse_qs(urlsplit(asked.path).query).get("q", [""])
                hits = [{"image_id": one} for one in self.finds(text)]
                return answered({"status": "ok", "hits": hits})
            case _:
                raise NotImplementedError(asked.service)

    def of_a_setting(self, operation: str, body: Any) -> Any:
        """The answer to a request for one of `SETTINGS`."""
        arn = body.get("ResourceArn", "")
        own = self.settings[arn.rpartition("/")[2] or body["TableName"]]
        match operation:
            case "TagResource":
                own["tags"] = body["Tags"]
            case "UpdateContinuousBackups":
                own["recovery"] = "ENABLED"
            case "EnableKinesisStreamingDestination":
                own["destinations"] = [body | {"DestinationStatus": "ACTIVE"}]
        recovery = {"PointInTimeRecoveryStatus": own.get("recovery", "DISABLED")}
        # One answer for all: a client reads what it asked for.
        return {
            "Tags": own.get("tags", []),
            "KinesisDataStreamDestinations": own.get("destinations", []),
            "ContinuousBackupsDescription": {"PointInTimeRecoveryDescription": recovery},
        }

    def aged(self, body: bytes) -> bytes:
        """The answer of the Kinesis endpoint about the stream, but of an older one."""
        answer = msgspec.json.decode(body)
        created = time.time() - AGE_HOURS * HOUR
        answer["StreamDescriptionSummary"]["StreamCreationTimestamp"] = created
        return msgspec.json.encode(answer)

    def _of_the_stack(self, asked: Asked) -> str:
        (action,) = parse_qs(asked.body.decode())["Action"]
        return self._stacks() if action == "DescribeStacks" else self._resources()

    def _resources(self) -> str:
        members = "".join(
            f"<member><LogicalResourceId>One</LogicalResourceId>"
            f"<PhysicalResourceId>{name}</PhysicalResourceId>"
            "<ResourceType>AWS::CloudWatch::Alarm</ResourceType></member>"
            for name in self.alarms
        )
        return (
            f'<ListStackResourcesResponse xmlns="{_NAMESPACE}"><ListStackResourcesResult>'
            f"<StackResourceSummaries>{members}</StackResourceSummaries>"
            "</ListStackResourcesResult></ListStackResourcesResponse>"
        )

    def _watched(self, operation: str, body: Any) -> Any:
        """What CloudWatch answers: metrics, the alarms of the stack, or its busiest shard."""
        match operation:
            case "DescribeAlarms":
                return {
                    "MetricAlarms": [
                        self.alarms[one] for one in body.get("AlarmNames", self.alarms)
                    ]
                }
            case "SetAlarmState":
                alarm = self.alarms[body["AlarmName"]]
                alarm |= {key: body[key] for key in ("StateValue", "StateReason")}
                for topic in alarm["AlarmActions"]:
                    said = f"Successfully executed action {topic}"
                    self._told.append({"Timestamp": time.time(), "HistorySummary": said})
                return {}
            case "GetInsightRuleReport":
                busiest = {"Keys": ["shardId-000000000001"], "ApproximateAggregateValue": 3.0}
                return {"AggregateValue": 4.0, "Contributors": [busiest | {"Datapoints": []}]}
            case "DescribeAlarmHistory":
                return {"AlarmHistoryItems": self._told}
            case _:
                return self._metrics(body)

    def _stacks(self) -> str:
        outputs = "".join(
            f"<member><OutputKey>{key}</OutputKey><OutputValue>{escape(value)}</OutputValue></member>"
            for key, value in self.outputs.items()
        )
        return (
            f'<DescribeStacksResponse xmlns="{_NAMESPACE}"><DescribeStacksResult><Stacks><member>'
            f"<StackName>lockstep</StackName><StackId>{stack_arn(self.stack)}</StackId>"
            "<CreationTime>2026-11-01T00:00:00Z</CreationTime>"
            f"<StackStatus>CREATE_COMPLETE</StackStatus><Outputs>{outputs}</Outputs>"
            "</member></Stacks></DescribeStacksResult></DescribeStacksResponse>"
        )

    def _mappings(self, asked: Asked) -> Any:
        (function,) = parse_qs(urlsplit(asked.path).query)["FunctionName"]
        if function == REPLICA:
            arn = table_stream_arn(self.stack, self.replica["STREAM"])
            state = {"State": "Enabled", "LastProcessingResult": "OK"}
            return {"EventSourceMappings": [{"UUID": "1", "EventSourceArn": arn, **state}]}
        is_disabled = self.disabled > 0
        self.disabled -= is_disabled
        of_table = function == self.stack.functions[TABLE_CONSUMER]
        mapping = {
            "UUID": self.stack.table_mapping if of_table else "of-the-index",
            "State": "Disabled" if is_disabled else "Enabled",
            "EventSourceArn": stream_arn(self.stack.stream, self.stack.region),
            "LastModified": time.time() - AGE_HOURS * HOUR,
        }
        return {"EventSourceMappings": [mapping]}

    def _metrics(self, body: Any) -> Any:
        results = []
        for query in body["MetricDataQueries"]:
            found: dict[str, Any] = {"Id": query["Id"], "Timestamps": [], "Values": []}
            stat = query["MetricStat"]
            hourly = stat["Metric"]["MetricName"] == "IncomingRecords" and stat["Period"] == HOUR
            if hourly and self.incoming:
                last = int(body["EndTime"]) // HOUR * HOUR
                found["Timestamps"] = [last - HOUR * ago for ago in range(240, 0, -1)]
                found["Values"] = [float(self.incoming)] * 240
            results.append(found)
        return {"MetricDataResults": results}


def _alarms(stack: Stack) -> list[dict[str, Any]]:
    return [
        {
            "AlarmName": f"lockstep-{name}",
            "AlarmDescription": f"{severity}: It is on. docs/runbook/errors.md",
            "StateValue": "OK",
            "StateReason": "All is well.",
            "AlarmActions": [topic_arn(stack, severity)],
            "ActionsEnabled": True,
        }
        for name, severity in (("errors-table", "ticket"), ("outage", "page"))
    ]


def _subscriptions(asked: Asked) -> str:
    (topic,) = parse_qs(asked.body.decode())["TopicArn"]
    return (
        '<ListSubscriptionsByTopicResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/">'
        "<ListSubscriptionsByTopicResult><Subscriptions><member>"
        f"<TopicArn>{topic}</TopicArn><Protocol>email</Protocol>"
        f"<SubscriptionArn>{topic}:1</SubscriptionArn><Endpoint>somebody@example.com</Endpoint>"
        "</member></Subscriptions>"
        "</ListSubscriptionsByTopicResult></ListSubscriptionsByTopicResponse>"
    )


def answered(answer: Any) -> Answered:
    """An answer of a service that speaks JSON."""
    return 200, {"content-type": JSON}, msgspec.json.encode(answer)
