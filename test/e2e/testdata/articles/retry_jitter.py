# Handle throttling in synchronous callers
import boto3
import time
from botocore.exceptions import ClientError

lambda_client = boto3.client('lambda')

def invoke_with_retry(function_name: str, payload: dict, max_retries: int = 3):
    """Invoke Lambda with exponential backoff on throttling"""
    for attempt in range(max_retries):
        try:
            response = lambda_client.invoke(
                FunctionName=function_name,
                InvocationType='RequestResponse',
                Payload=json.dumps(payload)
            )
            return response
        except ClientError as e:
            if e.response['Error']['Code'] == 'TooManyRequestsException':
                wait_time = (2 ** attempt) + random.uniform(0, 1)
                print(f'Throttled. Retrying in {wait_time:.1f}s (attempt {attempt + 1}/{max_retries})')
                time.sleep(wait_time)
            else:
                raise
    raise Exception(f'Max retries exceeded for {function_name}')
