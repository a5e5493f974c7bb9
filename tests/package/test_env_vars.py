"""`lockstep status --env-vars` says what `sam local invoke --env-vars` needs, name by name."""

import msgspec
from samtranslator.yaml_helper import yaml_parse

from lockstep.local.mapping.template import function_mapping, function_named
from lockstep.local.replica import replica_parameters, with_local_secret
from lockstep.stack.sam import env_vars
from lockstep.stack.stack import (
    REPLICA_CONSUMER,
    SEARCH,
    Endpoints,
    LocalReplica,
    Stack,
)
from shared.quarantine import CONSUMERS
from tests.package.tools import FUNCTIONS, REPLICA_TEMPLATE, TEMPLATE


def _stack(endpoints: Endpoints) -> Stack:
    return Stack(
        endpoints=endpoints,
        stream="a-stream",
        table="a-table",
        index="an-alias",
        bucket="a-bucket",
        region="us-east-1",
        functions={consumer: consumer for consumer in CONSUMERS},
        changes_stream="some-changes" if endpoints.kinesis else "",
        index_from="KinesisDataStreamsForDynamoDB" if endpoints.kinesis else "Kinesis",
    )


LOCAL = _stack(
    Endpoints(
        kinesis="http://127.0.0.1:1",
        dynamodb="http://127.0.0.1:2",
        opensearch="http://127.0.0.1:3",
        s3="http://127.0.0.1:4",
    )
)
# The local event source mapping gives these to every function, template or not.
ENDPOINTS = {"AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_S3"}
DEPLOYED = _stack(
    Endpoints(kinesis=None, dynamodb=None, opensearch="https://search.example", s3=None)
)


def test_a_local_stacks_functions_meet_its_engines() -> None:
    assert env_vars(LOCAL) == {
        "WriteToDynamodb": {
            "TABLE_NAME": "a-table",
            "QUARANTINE_BUCKET": "a-bucket",
            "AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:2",
            "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:4",
        },
        "WriteToEs": {
            "OPENSEARCH_ENDPOINT": "http://127.0.0.1:3",
            "OPENSEARCH_SIGNING": "no",
            "INDEX_ALIAS": "an-alias",
            "TABLE_CHANGES_STREAM": "some-changes",
            "QUARANTINE_BUCKET": "a-bucket",
            "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:4",
        },
        "SearchImages": {
            "OPENSEARCH_ENDPOINT": "http://127.0.0.1:3",
            "OPENSEARCH_SIGNING": "no",
            "LIVE_ALIAS": "an-alias-live",
            "TABLE_NAME": "a-table",
            "AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:2",
        },
    }


def test_a_local_replica_meets_its_table_store() -> None:
    endpoints = msgspec.structs.replace(LOCAL.endpoints, tablestore="http://127.0.0.1:5")
    stack = msgspec.structs.replace(
        LOCAL, endpoints=endpoints, replica=LocalReplica("rows", "its-bucket")
    )
    said = env_vars(stack)
    assert said.keys() - env_vars(LOCAL).keys() == {"WriteToTablestore"}
    variables = said["WriteToTablestore"]
    assert variables == {
        "OTS_INSTANCE": "local",
        "OTS_ENDPOINT": "http://127.0.0.1:5",
        "OTS_ID": "local",
        "OTS_SECRET": "local",
        "OTS_SECRET_ARN": "",
        "TABLE_NAME": "rows",
        "PRIMARY_KEY": "image_id",
        "QUARANTINE_BUCKET": "its-bucket",
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:4",
    }
    # SAM CLI passes over a variable that the template does not name, without a word.
    its = yaml_parse(REPLICA_TEMPLATE.read_text())["Resources"]["WriteToTablestore"]
    assert variables.keys() <= its["Properties"]["Environment"]["Variables"].keys()
    # It agrees with what the function gets on one machine.
    mapping = function_mapping(
        REPLICA_TEMPLATE, REPLICA_CONSUMER, stack, parameters=replica_parameters(stack)
    )
    given = with_local_secret(mapping).function.environment
    assert {name for name in variables if name in given and given[name] != variables[name]} == set()
    assert {name for name in variables if name not in given} == {"AWS_ENDPOINT_URL_S3"}


def test_a_deployed_stacks_services_are_left_to_the_sdk() -> None:
    variables = {name for function in env_vars(DEPLOYED).values() for name in function}
    assert variables == {
        "TABLE_NAME",
        "QUARANTINE_BUCKET",
        "OPENSEARCH_ENDPOINT",
        "OPENSEARCH_SIGNING",
        "INDEX_ALIAS",
        "LIVE_ALIAS",
    }


def test_only_what_the_template_names_is_said() -> None:
    # SAM CLI passes over a variable that the template does not name, without a word.
    resources = yaml_parse(TEMPLATE.read_text())["Resources"]
    for function, variables in env_vars(LOCAL).items():
        assert (
            variables.keys() <= resources[function]["Properties"]["Environment"]["Variables"].keys()
        )


def test_it_agrees_with_what_the_functions_get_on_one_machine() -> None:
    for function, name in {**FUNCTIONS, "SearchImages": SEARCH}.items():
        given = function_named(TEMPLATE, name, LOCAL).environment
        said = env_vars(LOCAL)[function]
        assert {name for name in said if name in given and given[name] != said[name]} == set()
        assert {name for name in said if name not in given} <= ENDPOINTS
