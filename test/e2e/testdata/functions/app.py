import os
import time

count = 0


def handler(event, context):
    global count
    do = event["do"]
    if do == "who":
        return {"language": "python", "version": context.function_version}
    if do == "context":
        return {
            "request": context.aws_request_id, "arn": context.invoked_function_arn, "function": context.function_name,
            "version": context.function_version, "memory": str(context.memory_limit_in_mb),
            "group": context.log_group_name, "stream": context.log_stream_name,
            "remaining": context.get_remaining_time_in_millis(),
            "client": context.client_context and context.client_context.custom,
        }
    if do == "environment":
        return dict(os.environ)
    if do == "count":
        count += 1
        return count
    if do == "log":
        print(event["text"])
        return None
    if do == "sleep":
        time.sleep(event["ms"] / 1000)
        return "awake"
    if do == "fail":
        raise ValueError(event["text"])
    if do == "exit":
        os._exit(3)
    if do == "reserved":
        return reserved(event["name"])
    raise ValueError("do what? " + do)


def reserved(name):
    """Asks weir itself, from inside, what is reserved for a function."""
    try:
        import boto3
    except ImportError as e:
        return str(e)
    client = boto3.client("lambda", endpoint_url=os.environ["AWS_ENDPOINT_URL"])  # boto3 before 1.28 needs it said
    return client.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"]
