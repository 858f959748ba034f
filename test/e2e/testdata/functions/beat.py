"""Prints a metric of high resolution, in the embedded metric format, among other lines."""
import json
import time


def handler(event, context):
    print("the backlog is", event["backlog"])
    print(json.dumps({
        "_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [{
            "Namespace": "shop", "Dimensions": [["Service"]],
            "Metrics": [{"Name": "Backlog", "Unit": "Count", "StorageResolution": 1}],
        }]},
        "Service": "checkout", "Backlog": event["backlog"],
    }))
