"""Fan-out as boto3 reads it: consumers, and the events of a subscription. Argument: the stream service's address."""

import sys
import time

import boto3
from botocore.config import Config

import checks

NAME = "python-fan-out"


def consumer(kinesis):
    """A consumer of a new stream of one shard: its ARN and the shard's id."""
    existing = kinesis.list_streams()["StreamNames"]
    if NAME in existing:
        kinesis.delete_stream(StreamName=NAME, EnforceConsumerDeletion=True)
    kinesis.create_stream(StreamName=NAME, ShardCount=1)
    kinesis.get_waiter("stream_exists").wait(StreamName=NAME)
    arn = kinesis.describe_stream_summary(StreamName=NAME)["StreamDescriptionSummary"]["StreamARN"]
    registered = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="boto")["Consumer"]
    while kinesis.describe_stream_consumer(ConsumerARN=registered["ConsumerARN"])["ConsumerDescription"]["ConsumerStatus"] != "ACTIVE":
        time.sleep(0.05)
    shard = kinesis.list_shards(StreamName=NAME)["Shards"][0]["ShardId"]
    return registered["ConsumerARN"], shard


def put(kinesis, numbers):
    return [kinesis.put_record(StreamName=NAME, Data=f"record {number}", PartitionKey=str(number))["SequenceNumber"] for number in numbers]


def subscribe(kinesis, arn, shard, **start):
    return iter(kinesis.subscribe_to_shard(ConsumerARN=arn, ShardId=shard, StartingPosition=start)["EventStream"])


def check_records_are_pushed_and_the_end_is_told(kinesis):
    arn, shard = consumer(kinesis)
    sequences = put(kinesis, range(3))
    events = subscribe(kinesis, arn, shard, Type="AFTER_SEQUENCE_NUMBER", SequenceNumber=sequences[0])
    event = next(events)["SubscribeToShardEvent"]
    checks.equal([record["Data"] for record in event["Records"]], [b"record 1", b"record 2"], "what there was")
    checks.equal([record["SequenceNumber"] for record in event["Records"]], sequences[1:], "its numbers")
    checks.equal(event["ContinuationSequenceNumber"], sequences[2], "where to go on")
    checks.equal(event["MillisBehindLatest"], 0, "distance to the tip")
    for number in range(3, 6):
        put(kinesis, [number])
        event = next(events)["SubscribeToShardEvent"]
        checks.equal([record["PartitionKey"] for record in event["Records"]], [str(number)], "what came")
    kinesis.split_shard(StreamName=NAME, ShardToSplit=shard, NewStartingHashKey=str(2**127))
    event = next(events)["SubscribeToShardEvent"]
    checks.equal("ContinuationSequenceNumber" in event, False, "somewhere to go on")
    checks.equal([child["ParentShards"] for child in event["ChildShards"]], [[shard], [shard]], "children")
    checks.equal(list(events), [], "events after the end")


def check_one_subscription_at_a_time(kinesis):
    arn, shard = consumer(kinesis)
    first = subscribe(kinesis, arn, shard, Type="LATEST")
    checks.raises(kinesis.exceptions.ResourceInUseException, lambda: subscribe(kinesis, arn, shard, Type="LATEST"), "another active subscription")
    put(kinesis, [7])
    checks.equal(next(first)["SubscribeToShardEvent"]["Records"][0]["Data"], b"record 7", "what the first gets")
    kinesis.deregister_stream_consumer(ConsumerARN=arn)
    checks.raises(Exception, lambda: next(first), "ResourceNotFoundException")


if __name__ == "__main__":
    service = boto3.client(
        "kinesis",
        endpoint_url=sys.argv[1],
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}, read_timeout=30),
    )
    checks.run(globals(), service)
