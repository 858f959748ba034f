"""The life of functions by boto3. Prints what the Go test expects of every client."""

import json
import os

import boto3
from botocore.exceptions import ClientError

aws = boto3.client("lambda", endpoint_url=os.environ["URL"])


def fails(call, **args):
    try:
        call(**args)
    except ClientError as e:
        return e.response["Error"]["Code"]
    return ""


def invoke(name):
    answer = aws.invoke(FunctionName=name, Payload=json.dumps({"do": "who"}))
    return answer["ExecutedVersion"], answer["Payload"].read().decode()


def until(wait, name):
    aws.get_waiter(wait).wait(FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 400})


for pair in os.environ["RUNTIMES"].split():
    f, runtime = pair.split("=")
    with open(f + ".zip", "rb") as code:
        made = aws.create_function(FunctionName=f, Runtime=runtime, Handler="app.handler", Timeout=10,
                                   Role="arn:aws:iam::000000000000:role/e2e", Code={"ZipFile": code.read()})
    print(f, "is created", made["State"])
    until("function_active", f)
    version, answer = invoke(f)
    print(f, "answers", version, answer)
    print(f, "is published as", aws.publish_version(FunctionName=f)["Version"])

aws.update_function_configuration(FunctionName="python", Description="second")
until("function_updated", "python")
print("python is published as", aws.publish_version(FunctionName="python")["Version"])
alias = aws.create_alias(FunctionName="python", Name="live", FunctionVersion="1",
                         RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}})
print("alias of", alias["FunctionVersion"], alias["RoutingConfig"]["AdditionalVersionWeights"]["2"])
seen = set()
for _ in range(40):
    seen.add(invoke("python:live")[0])
    if len(seen) == 2:
        break
print("alias runs", *sorted(seen))
aws.update_alias(FunctionName="python", Name="live", FunctionVersion="2", RoutingConfig={"AdditionalVersionWeights": {}})
print("alias runs", invoke("python:live")[0])

print("reserved", aws.put_function_concurrency(FunctionName="go", ReservedConcurrentExecutions=7)["ReservedConcurrentExecutions"])
print("reserved", aws.get_function_concurrency(FunctionName="go")["ReservedConcurrentExecutions"])
print("reserved", aws.get_function(FunctionName="go")["Concurrency"]["ReservedConcurrentExecutions"])
print("unreserved", aws.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"])
aws.put_function_concurrency(FunctionName="go", ReservedConcurrentExecutions=0)
print("turned off:", fails(aws.invoke, FunctionName="go"))
aws.delete_function_concurrency(FunctionName="go")
print("on again:", invoke("go")[0])
print("too much:", fails(aws.put_function_concurrency, FunctionName="go", ReservedConcurrentExecutions=901))

node = {"FunctionName": "node", "Qualifier": "1"}
print("provisioned", aws.put_provisioned_concurrency_config(ProvisionedConcurrentExecutions=2, **node)["Status"])
for _ in range(4000):
    p = aws.get_provisioned_concurrency_config(**node)
    if p["Status"] != "IN_PROGRESS":
        break
print("provisioned", p["Status"], p["AvailableProvisionedConcurrentExecutions"])
print("provisioned in all", len(aws.list_provisioned_concurrency_configs(FunctionName="node")["ProvisionedConcurrencyConfigs"]))
aws.delete_provisioned_concurrency_config(**node)
print("provisioned:", fails(aws.get_provisioned_concurrency_config, **node))

print("functions", *sorted(f["FunctionName"] for f in aws.list_functions()["Functions"]))
print("versions", *(v["Version"] for v in aws.list_versions_by_function(FunctionName="python")["Versions"]))
aws.delete_function(FunctionName="python")
print("deleted:", fails(aws.get_function, FunctionName="python"))
