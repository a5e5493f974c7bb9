import static java.nio.charset.StandardCharsets.UTF_8;

import java.net.URI;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.awscore.client.builder.AwsClientBuilder;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.cloudwatch.CloudWatchAsyncClient;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.kinesis.common.ConfigsBuilder;
import software.amazon.kinesis.common.InitialPositionInStream;
import software.amazon.kinesis.common.InitialPositionInStreamExtended;
import software.amazon.kinesis.coordinator.Scheduler;
import software.amazon.kinesis.exceptions.InvalidStateException;
import software.amazon.kinesis.exceptions.ShutdownException;
import software.amazon.kinesis.lifecycle.events.InitializationInput;
import software.amazon.kinesis.lifecycle.events.LeaseLostInput;
import software.amazon.kinesis.lifecycle.events.ProcessRecordsInput;
import software.amazon.kinesis.lifecycle.events.ShardEndedInput;
import software.amazon.kinesis.lifecycle.events.ShutdownRequestedInput;
import software.amazon.kinesis.metrics.NullMetricsFactory;
import software.amazon.kinesis.processor.ShardRecordProcessor;
import software.amazon.kinesis.processor.SingleStreamTracker;
import software.amazon.kinesis.retrieval.KinesisClientRecord;
import software.amazon.kinesis.retrieval.polling.PollingConfig;

/**
 * The story of tests/client_library/test_client_library.py with the Kinesis Client Library, which
 * keeps its leases in DynamoDB. It prints each record that it read, and ends after "last".
 *
 * <p>Arguments: the endpoints of Kinesis and DynamoDB, the stream, and "push" (SubscribeToShard) or
 * "poll" (GetRecords).
 */
public final class Consumer implements ShardRecordProcessor {
    private static final CountDownLatch DONE = new CountDownLatch(1);
    private static final Map<String, String> ENDED = new ConcurrentHashMap<>();

    private String shard;

    public static void main(String[] arguments) throws Exception {
        String stream = arguments[2];
        KinesisAsyncClient kinesis = local(KinesisAsyncClient.builder(), arguments[0]);
        DynamoDbAsyncClient dynamodb = local(DynamoDbAsyncClient.builder(), arguments[1]);
        // CloudWatch is asked for nothing: there are no metrics.
        CloudWatchAsyncClient cloudwatch = local(CloudWatchAsyncClient.builder(), arguments[1]);
        var tracker = new SingleStreamTracker(stream, InitialPositionInStreamExtended
                .newInitialPosition(InitialPositionInStream.TRIM_HORIZON));
        ConfigsBuilder configs = new ConfigsBuilder(
                tracker, stream, kinesis, dynamodb, cloudwatch, "worker", Consumer::new);
        var retrieval = configs.retrievalConfig();
        if (arguments[3].equals("poll")) {
            retrieval.retrievalSpecificConfig(new PollingConfig(stream, kinesis));
        }
        Scheduler scheduler = new Scheduler(
                configs.checkpointConfig(),
                configs.coordinatorConfig().parentShardPollIntervalMillis(500)
                        .shardConsumerDispatchPollIntervalMillis(200),
                configs.leaseManagementConfig().failoverTimeMillis(2_000)
                        .shardSyncIntervalMillis(2_000),
                configs.lifecycleConfig(),
                configs.metricsConfig().metricsFactory(new NullMetricsFactory()),
                configs.processorConfig(),
                retrieval);
        new Thread(scheduler, "scheduler").start();
        boolean read = DONE.await(120, TimeUnit.SECONDS);
        scheduler.startGracefulShutdown().get(30, TimeUnit.SECONDS);
        System.out.println("ended " + new TreeMap<>(ENDED).keySet());
        System.exit(read ? 0 : 1);
    }

    private static <B extends AwsClientBuilder<B, C>, C> C local(B builder, String endpoint) {
        AwsBasicCredentials credentials = AwsBasicCredentials.create("local", "local");
        return builder.endpointOverride(URI.create(endpoint)).region(Region.US_EAST_1)
                .credentialsProvider(StaticCredentialsProvider.create(credentials)).build();
    }

    @Override
    public void initialize(InitializationInput input) {
        shard = input.shardId();
    }

    @Override
    public void processRecords(ProcessRecordsInput input) {
        for (KinesisClientRecord record : input.records()) {
            String data = UTF_8.decode(record.data()).toString();
            System.out.println("read " + shard + " " + data);
            System.out.flush();
            if (data.equals("last")) {
                DONE.countDown();
            }
        }
        try {
            input.checkpointer().checkpoint();
        } catch (InvalidStateException | ShutdownException error) {
            throw new IllegalStateException(error);
        }
    }

    @Override
    public void leaseLost(LeaseLostInput input) {}

    @Override
    public void shardEnded(ShardEndedInput input) {
        try {
            input.checkpointer().checkpoint();
            ENDED.put(shard, "");
        } catch (InvalidStateException | ShutdownException error) {
            throw new IllegalStateException(error);
        }
    }

    @Override
    public void shutdownRequested(ShutdownRequestedInput input) {}
}
