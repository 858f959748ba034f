"""Every operation on queues, topics, event source mappings and asynchronous invocation by boto3.
Prints what the Go test expects of every client. The function "worker" is there."""

import json
import os
import time

import boto3
from botocore.exceptions import ClientError

sqs, sns, functions = (boto3.client(name, endpoint_url=os.environ["URL"]) for name in ("sqs", "sns", "lambda"))
arn = "arn:aws:sqs:" + os.environ["AWS_REGION"] + ":" + os.environ["ACCOUNT"] + ":"


def fails(call, **args):
    try:
        call(**args)
    except ClientError as e:
        return e.response["Error"]["Code"]
    return ""


def until_is(want, call):
    for _ in range(400):
        got = call()
        if got == want:
            break
        time.sleep(0.02)
    return got


def attribute(url, name):
    return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"].get(name)


def count():
    return attribute(work, "ApproximateNumberOfMessages")


def receive():
    got = sqs.receive_message(QueueUrl=work, MaxNumberOfMessages=10, WaitTimeSeconds=2, MessageAttributeNames=["All"])["Messages"]
    print("received", len(got))
    return [m["ReceiptHandle"] for m in got]


def entries(receipts, **more):
    return [dict(Id=str(i), ReceiptHandle=r, **more) for i, r in enumerate(receipts)]


def statement(policy):
    return '"Sid":"all"' if any(s["Sid"] == "all" for s in json.loads(policy)["Statement"]) else ""


work = sqs.create_queue(QueueName="work", Attributes={"VisibilityTimeout": "30"})["QueueUrl"]
dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
print("queues", work.split("/")[-1], dead.split("/")[-1])
if sqs.get_queue_url(QueueName="work")["QueueUrl"] == work:
    print("url is the same")
print("listed", len(sqs.list_queues()["QueueUrls"]))
sqs.set_queue_attributes(QueueUrl=work, Attributes={
    "VisibilityTimeout": "45", "RedrivePolicy": json.dumps({"deadLetterTargetArn": arn + "dead", "maxReceiveCount": 5})})
print("visibility", attribute(work, "VisibilityTimeout"))
print("source", sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"][0].split("/")[-1])
sqs.tag_queue(QueueUrl=work, Tags={"team": "blue"})
print("tag", sqs.list_queue_tags(QueueUrl=work).get("Tags", {}).get("team"))
sqs.untag_queue(QueueUrl=work, TagKeys=["team"])
print("tag", sqs.list_queue_tags(QueueUrl=work).get("Tags", {}).get("team"))
sqs.add_permission(QueueUrl=work, Label="all", AWSAccountIds=["222222222222"], Actions=["SendMessage"])
print("policy", statement(attribute(work, "Policy")))
sqs.remove_permission(QueueUrl=work, Label="all")
sent = sqs.send_message(QueueUrl=work, MessageBody="one", MessageAttributes={"color": {"DataType": "String", "StringValue": "red"}})
print("sent", sent["MD5OfMessageBody"], sent["MD5OfMessageAttributes"])
sent = sqs.send_message_batch(QueueUrl=work, Entries=[{"Id": "a", "MessageBody": "two"}, {"Id": "b", "MessageBody": "three"}])
print("sent", len(sent["Successful"]))
receipts = receive()
sqs.change_message_visibility(QueueUrl=work, ReceiptHandle=receipts[0], VisibilityTimeout=0)
print("visible", len(sqs.change_message_visibility_batch(QueueUrl=work, Entries=entries(receipts[1:], VisibilityTimeout=0))["Successful"]))
receipts = receive()
sqs.delete_message(QueueUrl=work, ReceiptHandle=receipts[0])
print("deleted", len(sqs.delete_message_batch(QueueUrl=work, Entries=entries(receipts[1:]))["Successful"]))
sqs.send_message(QueueUrl=dead, MessageBody="moved")
sqs.start_message_move_task(SourceArn=arn + "dead", DestinationArn=arn + "work")
print("moved", until_is("1", count))
print("tasks", len(sqs.list_message_move_tasks(SourceArn=arn + "dead")["Results"]))
print("cancel:", fails(sqs.cancel_message_move_task, TaskHandle="eyJ0YXNrSWQiOiJub25lIn0="))
sqs.purge_queue(QueueUrl=work)
print("purged", until_is("0", count))

topic = sns.create_topic(Name="orders")["TopicArn"]
print("topic", topic.split(":")[-1] + ", listed", len(sns.list_topics()["Topics"]))
sns.set_topic_attributes(TopicArn=topic, AttributeName="DisplayName", AttributeValue="Orders")
print("name", sns.get_topic_attributes(TopicArn=topic)["Attributes"]["DisplayName"])
sub = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn + "work", ReturnSubscriptionArn=True)["SubscriptionArn"]
sns.set_subscription_attributes(SubscriptionArn=sub, AttributeName="RawMessageDelivery", AttributeValue="true")
print("raw", sns.get_subscription_attributes(SubscriptionArn=sub)["Attributes"]["RawMessageDelivery"])
print("subscriptions", len(sns.list_subscriptions()["Subscriptions"]), len(sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]))
print("confirm:", fails(sns.confirm_subscription, TopicArn=topic, Token="none"))
sns.publish(TopicArn=topic, Message="hello")
print("published", until_is("1", count))
batch = [{"Id": "a", "Message": "b"}, {"Id": "c", "Message": "d"}]
print("published", len(sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=batch)["Successful"]))
print("arrived", until_is("3", count))
sns.tag_resource(ResourceArn=topic, Tags=[{"Key": "team", "Value": "blue"}])
print("tags", len(sns.list_tags_for_resource(ResourceArn=topic)["Tags"]))
sns.untag_resource(ResourceArn=topic, TagKeys=["team"])
print("tags", len(sns.list_tags_for_resource(ResourceArn=topic)["Tags"]))
sns.add_permission(TopicArn=topic, Label="all", AWSAccountId=["222222222222"], ActionName=["Publish"])
print("policy", statement(sns.get_topic_attributes(TopicArn=topic)["Attributes"]["Policy"]))
sns.remove_permission(TopicArn=topic, Label="all")
sns.unsubscribe(SubscriptionArn=sub)
print("subscriptions", len(sns.list_subscriptions()["Subscriptions"]))
sns.delete_topic(TopicArn=topic)
print("topics", len(sns.list_topics()["Topics"]))

worker = {"FunctionName": "worker"}
print("retries", functions.put_function_event_invoke_config(MaximumRetryAttempts=1, **worker)["MaximumRetryAttempts"])
print("age", functions.update_function_event_invoke_config(MaximumEventAgeInSeconds=120, **worker)["MaximumEventAgeInSeconds"])
both = functions.get_function_event_invoke_config(**worker)
print("both", both["MaximumRetryAttempts"], both["MaximumEventAgeInSeconds"])
print("configurations", len(functions.list_function_event_invoke_configs(**worker)["FunctionEventInvokeConfigs"]))
functions.delete_function_event_invoke_config(**worker)
print("configuration:", fails(functions.get_function_event_invoke_config, **worker))
print("event", functions.invoke(InvocationType="Event", **worker)["StatusCode"])
made = functions.create_event_source_mapping(EventSourceArn=arn + "work", **worker)
mapping = {"UUID": made["UUID"]}


def state():
    return functions.get_event_source_mapping(**mapping)["State"]


print("mapping", made["State"], until_is("Enabled", state))
print("drained", until_is("0", count))
print("mappings", len(functions.list_event_source_mappings(**worker)["EventSourceMappings"]))
made = functions.update_event_source_mapping(BatchSize=5, **mapping)
print("updated", made["State"], made["BatchSize"], until_is("Enabled", state))
print("deleted", functions.delete_event_source_mapping(**mapping)["State"])
print("mapping:", until_is("ResourceNotFoundException", lambda: fails(functions.get_event_source_mapping, **mapping)))
sqs.delete_queue(QueueUrl=work)
print("gone:", fails(sqs.get_queue_url, QueueName="work"))
