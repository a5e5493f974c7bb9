"""Templates that allow too much, each with the test that must catch it."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from tests.package import test_production as production
from tests.package import test_table_options as table_options
from tests.package import test_template as whole
from tests.package.faults import Fault, allow, drop, on, put, without_condition

_BUCKET = "${QuarantineBucket.Arn}/"
_TABLES = "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/"
_AWS_POLICY = "arn:aws:iam::aws:policy/service-role/AWSLambdaKinesisExecutionRole"


def _index_consumer(template: Mapping[str, Any]) -> None:
    whole.test_the_indexs_consumer_reads_its_one_stream_and_may_do_no_more(
        template, "FromKinesis", whole.READ_IMAGE_STREAM
    )


TOO_MUCH = [
    Fault(
        "the table's consumer may delete items",
        allow("WriteToDynamodbRole", "WriteTheTable", "dynamodb:DeleteItem"),
        whole.test_the_tables_consumer_may_do_what_it_does_and_no_more,
    ),
    Fault(
        "the consumers may use every key",
        on("ConsumerPolicy", "UseTheKey", "*"),
        whole.test_the_tables_consumer_may_do_what_it_does_and_no_more,
    ),
    Fault(
        "a consumer may write everywhere in the bucket",
        on("WriteToDynamodbRole", "Quarantine", {"Fn::Sub": _BUCKET + "*"}),
        whole.test_no_role_of_the_stack_may_acknowledge_a_loss,
    ),
    Fault(
        "a consumer may write replaced documents",
        on("WriteToEsRole", "Quarantine", {"Fn::Sub": _BUCKET + "replaced/*"}),
        whole.test_no_role_of_the_stack_may_write_where_replaced_documents_are_kept,
    ),
    Fault(
        "the index's consumer may delete documents by id",
        allow("WriteToEsRole", "WriteTheIndex", "es:ESHttpDelete"),
        _index_consumer,
    ),
    Fault(
        "the index's consumer may read every stream",
        on("WriteToEsRole", "ReadTheStream", "*"),
        _index_consumer,
    ),
    Fault(
        "the index's consumer may write documents of the table's mapping",
        put("Resources.KeepOutOfTheTablesDocuments.Properties.Roles", []),
        whole.test_the_indexs_role_may_not_write_documents_of_the_tables_mapping,
    ),
    Fault(
        "the denial of the table's documents is of another mapping",
        on(
            "KeepOutOfTheTablesDocuments",
            "KeepOutOfTheTablesDocuments",
            {"Fn::Sub": _BUCKET + "aws/lambda/${WriteToEsStream}/*"},
        ),
        whole.test_the_indexs_role_may_not_write_documents_of_the_tables_mapping,
    ),
    Fault(
        "the deployment may delete an index",
        allow("IndexOnDeploymentRole", "MakeTheIndexAndAddToIt", "es:ESHttpDelete"),
        whole.test_the_deployment_may_make_the_index_and_add_to_it_but_never_delete,
    ),
    Fault(
        "the search may scan the table",
        allow("SearchImagesRole", "ReadOneImage", "dynamodb:Scan"),
        whole.test_the_search_may_read_what_is_not_deleted_and_one_item_and_write_nothing,
    ),
    Fault(
        "the search may read tombstones",
        on("SearchImagesRole", "Search", "*"),
        whole.test_the_search_may_read_what_is_not_deleted_and_one_item_and_write_nothing,
    ),
    Fault(
        "AWS Backup may restore",
        allow("BackupRole", "BackUp", "dynamodb:RestoreTableFromAwsBackup"),
        table_options.test_aws_backup_may_back_up_the_table_and_never_read_an_item_or_restore,
    ),
    Fault(
        "a role has a policy of AWS, which allows every stream",
        put("Resources.WriteToEsRole.Properties.ManagedPolicyArns", [_AWS_POLICY]),
        whole.test_no_policy_of_awss_own_is_attached,
    ),
    Fault(
        "the code of a function may change the network",
        without_condition("NetworkPolicy", "ConnectToTheVpc"),
        whole.test_the_code_of_a_function_may_not_change_the_network,
    ),
    Fault(
        "the table's key may be used without DynamoDB",
        without_condition("TableKeyPolicy", "UseTheKeyOfTheTable"),
        partial(
            production.test_who_reads_the_table_may_use_its_key_through_dynamodb_only,
            function="WriteToEs",
        ),
    ),
    Fault(
        "a reader of some images may scan all",
        drop("Resources.ImageReaderPolicy.Properties.PolicyDocument.Statement.0.Condition.Null"),
        table_options.test_a_reader_sees_some_images_and_some_attributes_and_only_by_their_ids,
    ),
    *(
        Fault(
            f"who restores may read and change {what}",
            on("RestorePolicy", sid, {"Fn::Sub": f"{_TABLES}{name}"}),
            partial(
                table_options.test_who_restores_may_change_and_read_the_tables_that_were_restored_for_this_stack,
                table=table,
                is_allowed=False,
            ),
        )
        for what, sid, name, table in (
            ("every table", "ReadTheRestoredTable", "*", "customers"),
            (
                "the tables of the stack",
                "PrepareTheRestoredTable",
                "${AWS::StackName}-*",
                "lockstep-ImageTable-1ABC",
            ),
            (
                "restored tables of other stacks",
                "SendTheTablesChanges",
                "*-restored*",
                "lockstep-prod-restored",
            ),
        )
    ),
    Fault(
        "the service may change every pool of users",
        on("DashboardsSignInRole", "UserPool", "*"),
        whole.test_the_service_may_tie_these_two_pools_and_no_others,
    ),
    Fault(
        "anybody may invoke the search",
        drop("Resources.SearchApiMayInvoke.Properties.SourceArn"),
        whole.test_only_this_api_may_invoke_the_search,
    ),
    Fault(
        "anybody may search",
        put("Resources.SearchRoute.Properties.AuthorizationType", "NONE"),
        whole.test_nobody_searches_without_signing_or_a_token,
    ),
    Fault(
        "pages of every origin may search",
        put(
            "Resources.SearchApi.Properties.CorsConfiguration",
            {"Fn::If": ["HasOrigins", {"AllowOrigins": ["*"]}, {"Ref": "AWS::NoValue"}]},
        ),
        whole.test_only_pages_of_the_named_origins_may_search,
    ),
    Fault(
        "the domain's own policy allows",
        put("Resources.ImageDomain.Properties.AccessPolicies.Statement.0.Effect", "Allow"),
        whole.test_the_domain_is_encrypted_and_closed,
    ),
    Fault(
        "a request may name another index in its body",
        put(
            "Resources.ImageDomain.Properties.AdvancedOptions",
            {"rest.action.multi.allow_explicit_index": "true"},
        ),
        whole.test_the_domain_is_encrypted_and_closed,
    ),
    Fault(
        "Dashboards are open without sign-in",
        put("Resources.DashboardsIdentities.Properties.AllowUnauthenticatedIdentities", value=True),
        whole.test_only_people_who_were_invited_and_signed_in_become_readers,
    ),
    Fault(
        "everybody may sign up for Dashboards",
        drop("Resources.DashboardsUsers.Properties.AdminCreateUserConfig"),
        whole.test_only_people_who_were_invited_and_signed_in_become_readers,
    ),
]
