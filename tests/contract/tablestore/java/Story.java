import com.alicloud.openservices.tablestore.ClientConfiguration;
import com.alicloud.openservices.tablestore.SyncClient;
import com.alicloud.openservices.tablestore.TableStoreException;
import com.alicloud.openservices.tablestore.core.auth.CredentialsProvider;
import com.alicloud.openservices.tablestore.core.auth.DefaultCredentialProvider;
import com.alicloud.openservices.tablestore.core.auth.DefaultCredentials;
import com.alicloud.openservices.tablestore.core.auth.ServiceCredentials;
import com.alicloud.openservices.tablestore.core.auth.V4Credentials;
import com.alicloud.openservices.tablestore.model.BatchGetRowRequest;
import com.alicloud.openservices.tablestore.model.BatchGetRowResponse;
import com.alicloud.openservices.tablestore.model.BatchWriteRowRequest;
import com.alicloud.openservices.tablestore.model.BatchWriteRowResponse;
import com.alicloud.openservices.tablestore.model.CapacityUnit;
import com.alicloud.openservices.tablestore.model.Column;
import com.alicloud.openservices.tablestore.model.ColumnValue;
import com.alicloud.openservices.tablestore.model.Condition;
import com.alicloud.openservices.tablestore.model.ConsumedCapacity;
import com.alicloud.openservices.tablestore.model.CreateTableRequest;
import com.alicloud.openservices.tablestore.model.DeleteRowRequest;
import com.alicloud.openservices.tablestore.model.DeleteTableRequest;
import com.alicloud.openservices.tablestore.model.DescribeTableRequest;
import com.alicloud.openservices.tablestore.model.Direction;
import com.alicloud.openservices.tablestore.model.Error;
import com.alicloud.openservices.tablestore.model.GetRangeRequest;
import com.alicloud.openservices.tablestore.model.GetRowRequest;
import com.alicloud.openservices.tablestore.model.MultiRowQueryCriteria;
import com.alicloud.openservices.tablestore.model.PrimaryKey;
import com.alicloud.openservices.tablestore.model.PrimaryKeyColumn;
import com.alicloud.openservices.tablestore.model.PrimaryKeySchema;
import com.alicloud.openservices.tablestore.model.PrimaryKeyType;
import com.alicloud.openservices.tablestore.model.PrimaryKeyValue;
import com.alicloud.openservices.tablestore.model.PutRowRequest;
import com.alicloud.openservices.tablestore.model.RangeRowQueryCriteria;
import com.alicloud.openservices.tablestore.model.ReservedThroughput;
import com.alicloud.openservices.tablestore.model.RetryStrategy;
import com.alicloud.openservices.tablestore.model.Row;
import com.alicloud.openservices.tablestore.model.RowChange;
import com.alicloud.openservices.tablestore.model.RowDeleteChange;
import com.alicloud.openservices.tablestore.model.RowExistenceExpectation;
import com.alicloud.openservices.tablestore.model.RowPutChange;
import com.alicloud.openservices.tablestore.model.RowQueryCriteria;
import com.alicloud.openservices.tablestore.model.RowUpdateChange;
import com.alicloud.openservices.tablestore.model.SingleRowQueryCriteria;
import com.alicloud.openservices.tablestore.model.TableMeta;
import com.alicloud.openservices.tablestore.model.TableOptions;
import com.alicloud.openservices.tablestore.model.UpdateRowRequest;
import com.alicloud.openservices.tablestore.model.UpdateTableRequest;
import com.alicloud.openservices.tablestore.model.condition.ColumnCondition;
import com.alicloud.openservices.tablestore.model.condition.CompositeColumnValueCondition;
import com.alicloud.openservices.tablestore.model.condition.CompositeColumnValueCondition.LogicOperator;
import com.alicloud.openservices.tablestore.model.condition.SingleColumnValueCondition;
import com.alicloud.openservices.tablestore.model.condition.SingleColumnValueCondition.CompareOperator;
import com.alicloud.openservices.tablestore.model.filter.Filter;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.gson.JsonPrimitive;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;

/**
 * Tells a story of tests/contract/tablestore/story.py with the SDK for Java. It reads the steps from
 * standard input, as JSON, and prints the answers, as JSON.
 */
public final class Story {
    private final SyncClient client;

    private Story(SyncClient client) {
        this.client = client;
    }

    /** Arguments: the address, and a region, which may be empty: then signatures are of version 2. */
    public static void main(String[] arguments) {
        ClientConfiguration configuration = new ClientConfiguration();
        configuration.setRetryStrategy(new NoRetry());
        SyncClient client = new SyncClient(
                arguments[0], credentials(arguments[1]), "local", configuration, null);
        JsonArray answers = new JsonArray();
        try {
            Story story = new Story(client);
            InputStreamReader steps = new InputStreamReader(System.in, StandardCharsets.UTF_8);
            for (JsonElement step : JsonParser.parseReader(steps).getAsJsonArray()) {
                answers.add(story.told(step.getAsJsonObject()));
            }
        } finally {
            client.shutdown();
        }
        new PrintStream(System.out, true, StandardCharsets.UTF_8).println(answers);
    }

    private static CredentialsProvider credentials(String region) {
        ServiceCredentials credentials = new DefaultCredentials("local", "local");
        if (!region.isEmpty()) {
            credentials = V4Credentials.createByServiceCredentials(credentials, region);
        }
        return new DefaultCredentialProvider(credentials);
    }

    private JsonElement told(JsonObject step) {
        try {
            return answer(step);
        } catch (TableStoreException error) {
            JsonObject refused = refusal(error.getErrorCode(), error.getMessage());
            refused.addProperty("status", error.getHttpStatus());
            return refused;
        }
    }

    private JsonElement answer(JsonObject step) {
        String table = step.has("table") ? step.get("table").getAsString() : "";
        return switch (step.get("do").getAsString()) {
            case "create_table" -> {
                client.createTable(creation(table, step));
                yield JsonNull.INSTANCE;
            }
            case "update_table" -> {
                UpdateTableRequest request = new UpdateTableRequest(table);
                request.setTableOptionsForUpdate(options(step));
                client.updateTable(request);
                yield JsonNull.INSTANCE;
            }
            case "delete_table" -> {
                client.deleteTable(new DeleteTableRequest(table));
                yield JsonNull.INSTANCE;
            }
            case "list_table" -> {
                JsonArray names = new JsonArray();
                client.listTable().getTableNames().forEach(names::add);
                yield names;
            }
            case "describe_table" -> description(table);
            case "write" -> write(change(table, step));
            case "batch_write" -> batchWrite(table, step);
            case "get_row" -> {
                SingleRowQueryCriteria read = new SingleRowQueryCriteria(table, key(step.get("key")));
                select(read, step);
                var response = client.getRow(new GetRowRequest(read));
                JsonObject found = used(response.getConsumedCapacity());
                found.add("row", row(response.getRow()));
                yield found;
            }
            case "batch_get" -> batchGet(table, step);
            case "get_range" -> range(table, step);
            default -> throw new IllegalArgumentException(step.toString());
        };
    }

    private static CreateTableRequest creation(String table, JsonObject step) {
        TableMeta meta = new TableMeta(table);
        for (JsonElement column : step.getAsJsonArray("key")) {
            JsonArray pair = column.getAsJsonArray();
            meta.addPrimaryKeyColumn(new PrimaryKeySchema(
                    pair.get(0).getAsString(), PrimaryKeyType.valueOf(pair.get(1).getAsString())));
        }
        ReservedThroughput none = new ReservedThroughput(new CapacityUnit(0, 0));
        return new CreateTableRequest(meta, options(step), none);
    }

    private static TableOptions options(JsonObject step) {
        return new TableOptions(
                step.get("time_to_live").getAsInt(), step.get("max_versions").getAsInt());
    }

    private JsonObject description(String table) {
        var response = client.describeTable(new DescribeTableRequest(table));
        JsonArray key = new JsonArray();
        for (PrimaryKeySchema column : response.getTableMeta().getPrimaryKeyList()) {
            JsonArray pair = new JsonArray();
            pair.add(column.getName());
            pair.add(column.getType().name());
            key.add(pair);
        }
        JsonObject found = new JsonObject();
        found.add("key", key);
        found.addProperty("time_to_live", response.getTableOptions().getTimeToLive());
        found.addProperty("max_versions", response.getTableOptions().getMaxVersions());
        found.addProperty("deviation", response.getTableOptions().getMaxTimeDeviation());
        return found;
    }

    private JsonObject write(RowChange change) {
        if (change instanceof RowPutChange put) {
            return used(client.putRow(new PutRowRequest(put)).getConsumedCapacity());
        }
        if (change instanceof RowUpdateChange update) {
            return used(client.updateRow(new UpdateRowRequest(update)).getConsumedCapacity());
        }
        return used(client.deleteRow(new DeleteRowRequest((RowDeleteChange) change))
                .getConsumedCapacity());
    }

    private JsonArray batchWrite(String table, JsonObject step) {
        BatchWriteRowRequest request = new BatchWriteRowRequest();
        for (JsonElement one : step.getAsJsonArray("rows")) {
            request.addRowChange(change(table, one.getAsJsonObject()));
        }
        JsonArray rows = new JsonArray();
        for (BatchWriteRowResponse.RowResult one : client.batchWriteRow(request).getRowStatus(table)) {
            rows.add(one.isSucceed() ? used(one.getConsumedCapacity()) : refusal(one.getError()));
        }
        return rows;
    }

    private JsonArray batchGet(String table, JsonObject step) {
        MultiRowQueryCriteria read = new MultiRowQueryCriteria(table);
        step.getAsJsonArray("keys").forEach(one -> read.addRow(key(one)));
        select(read, step);
        BatchGetRowRequest request = new BatchGetRowRequest();
        request.addMultiRowQueryCriteria(read);
        JsonArray rows = new JsonArray();
        for (BatchGetRowResponse.RowResult one
                : client.batchGetRow(request).getBatchGetRowResult(table)) {
            if (one.isSucceed()) {
                JsonObject found = used(one.getConsumedCapacity());
                found.add("row", row(one.getRow()));
                rows.add(found);
            } else {
                rows.add(refusal(one.getError()));
            }
        }
        return rows;
    }

    private JsonObject range(String table, JsonObject step) {
        RangeRowQueryCriteria read = new RangeRowQueryCriteria(table);
        read.setDirection(Direction.valueOf(step.get("direction").getAsString()));
        read.setInclusiveStartPrimaryKey(key(step.get("start")));
        read.setExclusiveEndPrimaryKey(key(step.get("end")));
        if (step.has("limit")) {
            read.setLimit(step.get("limit").getAsInt());
        }
        select(read, step);
        var response = client.getRange(new GetRangeRequest(read));
        JsonArray rows = new JsonArray();
        response.getRows().forEach(one -> rows.add(row(one)));
        JsonObject found = used(response.getConsumedCapacity());
        found.add("rows", rows);
        PrimaryKey next = response.getNextStartPrimaryKey();
        found.add("next", next == null ? JsonNull.INSTANCE : key(next));
        return found;
    }

    private static RowChange change(String table, JsonObject step) {
        PrimaryKey key = key(step.get("key"));
        RowChange change = switch (step.get("kind").getAsString()) {
            case "put" -> {
                RowPutChange put = new RowPutChange(table, key);
                put.addColumns(columns(step.getAsJsonArray("columns")));
                yield put;
            }
            case "update" -> {
                RowUpdateChange update = new RowUpdateChange(table, key);
                update.put(columns(step.getAsJsonArray("columns")));
                step.getAsJsonArray("delete").forEach(one -> update.deleteColumns(one.getAsString()));
                columns(step.getAsJsonArray("increment")).forEach(update::increment);
                yield update;
            }
            default -> new RowDeleteChange(table, key);
        };
        Condition condition = new Condition(
                RowExistenceExpectation.valueOf(step.get("existence").getAsString()));
        if (step.has("condition")) {
            condition.setColumnCondition(condition(step.getAsJsonObject("condition")));
        }
        change.setCondition(condition);
        return change;
    }

    private static void select(RowQueryCriteria read, JsonObject step) {
        if (step.has("max_versions")) {
            read.setMaxVersions(step.get("max_versions").getAsInt());
        }
        if (step.has("columns")) {
            step.getAsJsonArray("columns").forEach(one -> read.addColumnsToGet(one.getAsString()));
        }
        if (step.has("filter")) {
            read.setFilter(filter(condition(step.getAsJsonObject("filter"))));
        }
    }

    private static ColumnCondition condition(JsonObject said) {
        if (said.has("column")) {
            SingleColumnValueCondition single = new SingleColumnValueCondition(
                    said.get("column").getAsString(),
                    CompareOperator.valueOf(said.get("compare").getAsString()),
                    columnValue(said.getAsJsonObject("value")));
            single.setPassIfMissing(said.get("pass_if_missing").getAsBoolean());
            return single;
        }
        CompositeColumnValueCondition all = new CompositeColumnValueCondition(
                LogicOperator.valueOf(said.get("combine").getAsString()));
        said.getAsJsonArray("parts").forEach(one -> all.addCondition(condition(one.getAsJsonObject())));
        return all;
    }

    private static Filter filter(ColumnCondition condition) {
        return condition instanceof SingleColumnValueCondition single
                ? single.toFilter()
                : ((CompositeColumnValueCondition) condition).toFilter();
    }

    private static PrimaryKey key(JsonElement said) {
        List<PrimaryKeyColumn> columns = new ArrayList<>();
        for (JsonElement one : said.getAsJsonArray()) {
            JsonArray pair = one.getAsJsonArray();
            columns.add(new PrimaryKeyColumn(
                    pair.get(0).getAsString(), keyValue(pair.get(1).getAsJsonObject())));
        }
        return new PrimaryKey(columns);
    }

    private static PrimaryKeyValue keyValue(JsonObject said) {
        if (said.has("bound")) {
            boolean lowest = said.get("bound").getAsString().equals("INF_MIN");
            return lowest ? PrimaryKeyValue.INF_MIN : PrimaryKeyValue.INF_MAX;
        }
        return PrimaryKeyValue.fromColumn(columnValue(said));
    }

    private static List<Column> columns(JsonArray said) {
        List<Column> columns = new ArrayList<>();
        for (JsonElement one : said) {
            JsonArray pair = one.getAsJsonArray();
            columns.add(new Column(
                    pair.get(0).getAsString(), columnValue(pair.get(1).getAsJsonObject())));
        }
        return columns;
    }

    private static ColumnValue columnValue(JsonObject said) {
        var entry = said.entrySet().iterator().next();
        JsonElement value = entry.getValue();
        return switch (entry.getKey()) {
            case "integer" -> ColumnValue.fromLong(Long.parseLong(value.getAsString()));
            case "double" -> ColumnValue.fromDouble(Double.longBitsToDouble(
                    Long.parseUnsignedLong(value.getAsString(), 16)));
            case "boolean" -> ColumnValue.fromBoolean(value.getAsBoolean());
            case "string" -> ColumnValue.fromString(value.getAsString());
            default -> ColumnValue.fromBinary(HexFormat.of().parseHex(value.getAsString()));
        };
    }

    private static JsonElement row(Row row) {
        if (row == null) {
            return JsonNull.INSTANCE;
        }
        JsonArray columns = new JsonArray();
        for (Column one : row.getColumns()) {
            columns.add(pair(one.getName(), value(one.getValue())));
        }
        JsonObject found = new JsonObject();
        found.add("key", key(row.getPrimaryKey()));
        found.add("columns", columns);
        return found;
    }

    private static JsonArray key(PrimaryKey key) {
        JsonArray columns = new JsonArray();
        for (PrimaryKeyColumn one : key.getPrimaryKeyColumns()) {
            columns.add(pair(one.getName(), value(plain(one.getValue()))));
        }
        return columns;
    }

    private static ColumnValue plain(PrimaryKeyValue value) {
        return switch (value.getType()) {
            case INTEGER -> ColumnValue.fromLong(value.asLong());
            case STRING -> ColumnValue.fromString(value.asString());
            default -> ColumnValue.fromBinary(value.asBinary());
        };
    }

    private static JsonObject value(ColumnValue value) {
        JsonObject said = new JsonObject();
        switch (value.getType()) {
            case INTEGER -> said.addProperty("integer", Long.toString(value.asLong()));
            case DOUBLE -> said.addProperty("double", HexFormat.of().toHexDigits(
                    Double.doubleToRawLongBits(value.asDouble())));
            case BOOLEAN -> said.addProperty("boolean", value.asBoolean());
            case STRING -> said.addProperty("string", value.asString());
            default -> said.addProperty("binary", HexFormat.of().formatHex(value.asBinary()));
        }
        return said;
    }

    private static JsonArray pair(String name, JsonElement value) {
        JsonArray pair = new JsonArray();
        pair.add(new JsonPrimitive(name));
        pair.add(value);
        return pair;
    }

    private static JsonObject used(ConsumedCapacity consumed) {
        JsonObject said = new JsonObject();
        said.addProperty("read", consumed.getCapacityUnit().getReadCapacityUnit());
        said.addProperty("write", consumed.getCapacityUnit().getWriteCapacityUnit());
        return said;
    }

    private static JsonObject refusal(Error error) {
        return refusal(error.getCode(), error.getMessage());
    }

    private static JsonObject refusal(String code, String message) {
        JsonObject refused = new JsonObject();
        refused.addProperty("code", code);
        refused.addProperty("message", message);
        return refused;
    }

    private static final class NoRetry implements RetryStrategy {
        @Override
        public RetryStrategy clone() {
            return new NoRetry();
        }

        @Override
        public int getRetries() {
            return 0;
        }

        @Override
        public long nextPause(String action, Exception failure) {
            return 0;
        }
    }
}
