"""CloudWatch Logs by boto3: a stream, its pages, JSON logs with levels, a subscription."""
import io, json, os, time, zipfile

import boto3

account = os.environ["AWS_ACCESS_KEY_ID"]
url = os.environ["URL"]
logs, functions = boto3.client("logs", endpoint_url=url), boto3.client("lambda", endpoint_url=url)

logs.create_log_group(logGroupName="mine", tags={"a": "b"})
try:
    logs.create_log_group(logGroupName="mine")
    raise AssertionError("a group was made twice")
except logs.exceptions.ResourceAlreadyExistsException:
    pass
logs.put_retention_policy(logGroupName="mine", retentionInDays=7)
logs.create_log_stream(logGroupName="mine", logStreamName="s")
now = int(time.time() * 1000)
logs.put_log_events(logGroupName="mine", logStreamName="s", logEvents=[{"timestamp": now - 100 + i, "message": "line %d" % i} for i in range(100)])
assert logs.describe_log_groups(logGroupNamePrefix="mi")["logGroups"][0]["retentionInDays"] == 7

seen, token = [], {}
while True:
    page = logs.get_log_events(logGroupName="mine", logStreamName="s", startFromHead=True, limit=30, **token)
    if token.get("nextToken") == page["nextForwardToken"]:
        break
    seen += [e["message"] for e in page["events"]]
    token = {"nextToken": page["nextForwardToken"]}
assert seen == ["line %d" % i for i in range(100)], seen

pages = logs.get_paginator("filter_log_events").paginate(logGroupName="mine", filterPattern='"line 1"', PaginationConfig={"PageSize": 4})
found = [e["message"] for p in pages for e in p["events"]]
assert found == ["line 1"] + ["line %d" % i for i in range(10, 20)], found


def zipped(source):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as z:
        z.writestr("app.py", source)
    return content.getvalue()


def create(name, source, **more):
    arn = functions.create_function(
        FunctionName=name, Runtime="python3.12", Role="arn:aws:iam::%s:role/e2e" % account,
        Handler="app.handler", Code={"ZipFile": zipped(source)}, **more)["FunctionArn"]
    functions.get_waiter("function_active_v2").wait(FunctionName=name)
    return arn


def messages(group):
    return [e["message"] for e in logs.filter_log_events(logGroupName=group)["events"]]


def eventually(what, condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


reader = create("reader", """
import base64, gzip, json
def handler(event, context):
    data = json.loads(gzip.decompress(base64.b64decode(event["awslogs"]["data"])))
    print("got", data["logGroup"], [e["message"] for e in data["logEvents"]])
""")
logs.put_subscription_filter(logGroupName="mine", filterName="f", filterPattern="ERROR", destinationArn=reader)
logs.put_log_events(logGroupName="mine", logStreamName="s", logEvents=[{"timestamp": now, "message": m} for m in ("fine", "ERROR 1")])
eventually("the subscribed function has logged", lambda: logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/reader")["logGroups"]
           and "got mine ['ERROR 1']\n" in messages("/aws/lambda/reader"))

if "LoggingConfig" in functions.meta.service_model.operation_model("CreateFunction").input_shape.members:
    create("structured", """
import logging
def handler(event, context):
    logging.getLogger().info("too quiet")
    logging.getLogger().warning("careful")
""", LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "WARN", "LogGroup": "structured"})
    functions.invoke(FunctionName="structured", Payload=b"{}")
    eventually("the invocation is reported", lambda: any("platform.report" in m for m in messages("structured")))
    lines = [json.loads(m) for m in messages("structured")]
    kinds = [x.get("type") or x["level"] for x in lines]
    assert kinds == ["platform.initStart", "platform.start", "WARN", "platform.report"] or \
        kinds == ["platform.initStart", "platform.start", "WARNING", "platform.report"], kinds
    assert lines[2]["message"] == "careful" and lines[3]["record"]["metrics"]["memorySizeMB"] == 128, lines
    name = logs.describe_log_streams(logGroupName="structured")["logStreams"][0]["logStreamName"]
    assert "/structured[$LATEST][" in name, name

logs.delete_log_group(logGroupName="mine")
print("all is well")
