"""A function that sends a subsegment by X-Ray's daemon protocol, and calls weir."""

import json
import os
import secrets
import socket
import time
import urllib.request


def handler(event, context):
    trace = dict(part.split("=", 1) for part in os.environ["_X_AMZN_TRACE_ID"].split(";"))
    now = time.time()
    segment = {
        "id": secrets.token_hex(8), "name": "of my own", "type": "subsegment",
        "trace_id": trace["Root"], "parent_id": trace["Parent"], "start_time": now, "end_time": now,
    }
    host, port = os.environ["AWS_XRAY_DAEMON_ADDRESS"].split(":")
    datagram = '{"format":"json","version":1}\n' + json.dumps(segment)
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(datagram.encode(), (host, int(port)))
    health = urllib.request.urlopen(os.environ["AWS_ENDPOINT_URL"] + "/_weir/health", timeout=5)
    return {"trace": trace["Root"], "health": health.status}
