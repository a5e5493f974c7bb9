// The story of tests/contract/kinesis/test_languages.py with the AWS SDK for JavaScript 3, which
// speaks JSON over HTTP/2. It prints what it saw, as JSON.
import * as kinesis from "@aws-sdk/client-kinesis";

const [endpoint, stream] = process.argv.slice(2);
const client = new kinesis.KinesisClient({
  endpoint,
  region: "us-east-1",
  credentials: { accessKeyId: "local", secretAccessKey: "local" },
});
const call = (name, input) => client.send(new kinesis[`${name}Command`](input));
const named = { StreamName: stream };
const hex = (record) => Buffer.from(record.Data).toString("hex");
const shard = "shardId-000000000000";

await call("CreateStream", { ...named, ShardCount: 1 });
const { StreamDescriptionSummary: summary } = await call("DescribeStreamSummary", named);
await call("PutRecord", { ...named, PartitionKey: "k", Data: Buffer.from("00ff", "hex") });
const records = ["one", "two"].map((text) => ({ PartitionKey: "é", Data: Buffer.from(text) }));
await call("PutRecords", { ...named, Records: records });

const start = { ...named, ShardId: shard, ShardIteratorType: "TRIM_HORIZON" };
const { ShardIterator } = await call("GetShardIterator", start);
const { Records: read } = await call("GetRecords", { ShardIterator });

const consumer = { StreamARN: summary.StreamARN, ConsumerName: "reader" };
const { Consumer } = await call("RegisterStreamConsumer", consumer);
let status = Consumer.ConsumerStatus;
while (status !== "ACTIVE") {
  const { ConsumerDescription } = await call("DescribeStreamConsumer", consumer);
  status = ConsumerDescription.ConsumerStatus;
}
const { EventStream } = await call("SubscribeToShard", {
  ConsumerARN: Consumer.ConsumerARN,
  ShardId: shard,
  StartingPosition: { Type: "TRIM_HORIZON" },
});
const pushed = [];
let children = [];
let split = false;
for await (const { SubscribeToShardEvent: event } of EventStream) {
  pushed.push(...event.Records);
  children = event.ChildShards ?? [];
  if (!split && pushed.length === 3) {
    split = true;
    await call("PutRecord", { ...named, PartitionKey: "k", Data: Buffer.from("last") });
    await call("SplitShard", { ...named, ShardToSplit: shard, NewStartingHashKey: "1000" });
  }
}

let refused = "";
try {
  await call("DescribeStreamSummary", { StreamName: "nowhere" });
} catch (error) {
  refused = error.name;
}
await call("DeleteStream", { ...named, EnforceConsumerDeletion: true });
console.log(
  JSON.stringify({
    created: summary.StreamCreationTimestamp.getTime(),
    read: read.map(hex),
    arrived: read.map((record) => record.ApproximateArrivalTimestamp.getTime()),
    pushed: pushed.map(hex),
    children: children.map((child) => child.ShardId),
    refused,
  }),
);
client.destroy();
