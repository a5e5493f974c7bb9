// The story of tests/contract/kinesis/test_languages.py with the AWS SDK for Go 2, which speaks JSON
// over HTTP/1.1. It prints what it saw, as JSON.
package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
)

const shard = "shardId-000000000000"

type result struct {
	Created  int64    `json:"created"`
	Read     []string `json:"read"`
	Arrived  []int64  `json:"arrived"`
	Pushed   []string `json:"pushed"`
	Children []string `json:"children"`
	Refused  string   `json:"refused"`
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func main() {
	ctx := context.Background()
	client := kinesis.New(kinesis.Options{
		BaseEndpoint: aws.String(os.Args[1]),
		Region:       "us-east-1",
		Credentials:  credentials.NewStaticCredentialsProvider("local", "local", ""),
	})
	stream := aws.String(os.Args[2])
	var found result

	must(client.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: stream, ShardCount: aws.Int32(1)}))
	summary := must(client.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: stream}))
	arn := summary.StreamDescriptionSummary.StreamARN
	found.Created = summary.StreamDescriptionSummary.StreamCreationTimestamp.UnixMilli()
	put(ctx, client, stream, []byte{0x00, 0xff})
	must(client.PutRecords(ctx, &kinesis.PutRecordsInput{
		StreamName: stream,
		Records: []types.PutRecordsRequestEntry{
			{PartitionKey: aws.String("é"), Data: []byte("one")},
			{PartitionKey: aws.String("é"), Data: []byte("two")},
		},
	}))

	start := must(client.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{
		StreamName:        stream,
		ShardId:           aws.String(shard),
		ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
	}))
	read := must(client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: start.ShardIterator}))
	for _, record := range read.Records {
		found.Read = append(found.Read, hex.EncodeToString(record.Data))
		found.Arrived = append(found.Arrived, record.ApproximateArrivalTimestamp.UnixMilli())
	}

	name := aws.String("reader")
	registered := must(client.RegisterStreamConsumer(ctx, &kinesis.RegisterStreamConsumerInput{
		StreamARN: arn, ConsumerName: name,
	}))
	for status := registered.Consumer.ConsumerStatus; status != types.ConsumerStatusActive; {
		described := must(client.DescribeStreamConsumer(ctx, &kinesis.DescribeStreamConsumerInput{
			StreamARN: arn, ConsumerName: name,
		}))
		status = described.ConsumerDescription.ConsumerStatus
	}
	subscribed := must(client.SubscribeToShard(ctx, &kinesis.SubscribeToShardInput{
		ConsumerARN:      registered.Consumer.ConsumerARN,
		ShardId:          aws.String(shard),
		StartingPosition: &types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon},
	}))
	split := false
	for message := range subscribed.GetStream().Events() {
		event := message.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent).Value
		for _, record := range event.Records {
			found.Pushed = append(found.Pushed, hex.EncodeToString(record.Data))
		}
		for _, child := range event.ChildShards {
			found.Children = append(found.Children, *child.ShardId)
		}
		if !split && len(found.Pushed) == 3 {
			split = true
			put(ctx, client, stream, []byte("last"))
			must(client.SplitShard(ctx, &kinesis.SplitShardInput{
				StreamName:         stream,
				ShardToSplit:       aws.String(shard),
				NewStartingHashKey: aws.String("1000"),
			}))
		}
	}
	if err := subscribed.GetStream().Err(); err != nil {
		log.Fatal(err)
	}

	_, err := client.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: aws.String("nowhere")})
	var refusal smithy.APIError
	if errors.As(err, &refusal) {
		found.Refused = refusal.ErrorCode()
	}
	must(client.DeleteStream(ctx, &kinesis.DeleteStreamInput{
		StreamName: stream, EnforceConsumerDeletion: aws.Bool(true),
	}))
	if err := json.NewEncoder(os.Stdout).Encode(found); err != nil {
		log.Fatal(err)
	}
}

func put(ctx context.Context, client *kinesis.Client, stream *string, data []byte) {
	must(client.PutRecord(ctx, &kinesis.PutRecordInput{
		StreamName: stream, PartitionKey: aws.String("k"), Data: data,
	}))
}
