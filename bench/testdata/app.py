import time

def handler(event, context):
    if event.get("sleep"):
        time.sleep(event["sleep"])
    return event
