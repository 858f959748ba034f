"""Runs a file of an article as it stands: run.py FILE [FUNCTION PAYLOAD].

boto3 is told the endpoint, which its old versions do not take from the environment. With a
FUNCTION, the file's invoke_with_retry is called, and what came of it printed as JSON.
"""

import functools
import json
import os
import random
import runpy
import sys
import time

import boto3
from botocore.exceptions import ClientError

boto3.client = functools.partial(boto3.client, endpoint_url=os.environ["URL"])
if "NO_WAIT" in os.environ:
    time.sleep = lambda seconds: None

# One of the files was printed without two of its imports.
names = runpy.run_path(sys.argv[1], init_globals={"json": json, "random": random})
if len(sys.argv) > 2:
    function, payload = sys.argv[2], json.loads(sys.argv[3])
    result = {}
    try:
        answer = names["invoke_with_retry"](function, payload)
        result["answer"] = json.load(answer["Payload"])
    except Exception as e:
        result["error"] = str(e)
        try:
            names["lambda_client"].invoke(FunctionName=function)
        except ClientError as e:
            result.update(code=e.response["Error"]["Code"], message=e.response["Error"]["Message"], reason=e.response["Reason"],
                          status=e.response["ResponseMetadata"]["HTTPStatusCode"], retries=e.response["ResponseMetadata"]["RetryAttempts"])
    print(json.dumps(result))
