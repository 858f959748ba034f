# Set reserved concurrency via boto3
import boto3

lambda_client = boto3.client('lambda')

lambda_client.put_function_concurrency(
    FunctionName='brand-logo-processor',
    ReservedConcurrentExecutions=200  # max 200 concurrent executions
)
