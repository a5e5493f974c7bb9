import static java.nio.charset.StandardCharsets.UTF_8;

import java.net.URI;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Collectors;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.model.ChildShard;
import software.amazon.awssdk.services.kinesis.model.ConsumerStatus;
import software.amazon.awssdk.services.kinesis.model.PutRecordsRequestEntry;
import software.amazon.awssdk.services.kinesis.model.Record;
import software.amazon.awssdk.services.kinesis.model.ResourceNotFoundException;
import software.amazon.awssdk.services.kinesis.model.ShardIteratorType;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardResponseHandler;

/**
 * The story of tests/contract/kinesis/test_languages.py with the AWS SDK for Java 2, which speaks CBOR
 * over HTTP/2. It prints what it saw, as JSON.
 */
public final class Story {
    private static final String SHARD = "shardId-000000000000";

    private final KinesisAsyncClient client;
    private final String stream;

    private Story(KinesisAsyncClient client, String stream) {
        this.client = client;
        this.stream = stream;
    }

    public static void main(String[] arguments) {
        AwsBasicCredentials credentials = AwsBasicCredentials.create("local", "local");
        try (KinesisAsyncClient client = KinesisAsyncClient.builder()
                .endpointOverride(URI.create(arguments[0]))
                .region(Region.US_EAST_1)
                .credentialsProvider(StaticCredentialsProvider.create(credentials))
                .build()) {
            System.out.println(new Story(client, arguments[1]).tell());
        }
    }

    private String tell() {
        client.createStream(to -> to.streamName(stream).shardCount(1)).join();
        var summary = client.describeStreamSummary(to -> to.streamName(stream)).join()
                .streamDescriptionSummary();
        put(SdkBytes.fromByteArray(new byte[] {0x00, (byte) 0xff}));
        client.putRecords(to -> to.streamName(stream).records(entry("one"), entry("two"))).join();

        String iterator = client.getShardIterator(to -> to.streamName(stream).shardId(SHARD)
                .shardIteratorType(ShardIteratorType.TRIM_HORIZON)).join().shardIterator();
        List<Record> read = client.getRecords(to -> to.shardIterator(iterator)).join().records();

        String arn = summary.streamARN();
        String consumer = client.registerStreamConsumer(to -> to.streamARN(arn).consumerName("reader"))
                .join().consumer().consumerARN();
        while (client.describeStreamConsumer(to -> to.consumerARN(consumer)).join()
                .consumerDescription().consumerStatus() != ConsumerStatus.ACTIVE) {
            Thread.onSpinWait();
        }
        List<Record> pushed = new ArrayList<>();
        List<ChildShard> children = new ArrayList<>();
        SubscribeToShardResponseHandler handler = SubscribeToShardResponseHandler.builder()
                .subscriber(SubscribeToShardResponseHandler.Visitor.builder()
                        .onSubscribeToShardEvent(event -> {
                            boolean before = pushed.size() < 3;
                            pushed.addAll(event.records());
                            children.addAll(event.childShards());
                            if (before && pushed.size() >= 3) {
                                CompletableFuture.runAsync(this::split);
                            }
                        })
                        .build())
                .build();
        client.subscribeToShard(to -> to.consumerARN(consumer).shardId(SHARD)
                .startingPosition(from -> from.type(ShardIteratorType.TRIM_HORIZON)), handler).join();

        String refused = "";
        try {
            client.describeStreamSummary(to -> to.streamName("nowhere")).join();
        } catch (java.util.concurrent.CompletionException error) {
            if (error.getCause() instanceof ResourceNotFoundException) {
                refused = "ResourceNotFoundException";
            }
        }
        client.deleteStream(to -> to.streamName(stream).enforceConsumerDeletion(true)).join();
        List<Long> arrived = read.stream().map(Record::approximateArrivalTimestamp)
                .map(Instant::toEpochMilli).toList();
        return "{\"created\": " + summary.streamCreationTimestamp().toEpochMilli()
                + ", \"read\": " + texts(read.stream().map(Story::hex).toList())
                + ", \"arrived\": " + arrived
                + ", \"pushed\": " + texts(pushed.stream().map(Story::hex).toList())
                + ", \"children\": " + texts(children.stream().map(ChildShard::shardId).toList())
                + ", \"refused\": \"" + refused + "\"}";
    }

    private void split() {
        put(SdkBytes.fromUtf8String("last"));
        client.splitShard(to -> to.streamName(stream).shardToSplit(SHARD).newStartingHashKey("1000"))
                .join();
    }

    private void put(SdkBytes data) {
        client.putRecord(to -> to.streamName(stream).partitionKey("k").data(data)).join();
    }

    private static PutRecordsRequestEntry entry(String text) {
        SdkBytes data = SdkBytes.fromByteArray(text.getBytes(UTF_8));
        return PutRecordsRequestEntry.builder().partitionKey("é").data(data).build();
    }

    private static String hex(Record record) {
        return HexFormat.of().formatHex(record.data().asByteArray());
    }

    private static String texts(List<String> values) {
        return values.stream().map(each -> '"' + each + '"')
                .collect(Collectors.joining(", ", "[", "]"));
    }
}
