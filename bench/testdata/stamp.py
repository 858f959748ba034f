import time


def handler(event, context):
    at = time.time()
    time.sleep(event.get("sleep", 0))
    return {"n": event["n"], "at": at}
