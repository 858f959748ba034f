# Monitor Lambda concurrency with CloudWatch
import boto3

cloudwatch = boto3.client('cloudwatch')

# Get concurrent executions for the last 5 minutes
response = cloudwatch.get_metric_statistics(
    Namespace='AWS/Lambda',
    MetricName='ConcurrentExecutions',
    Dimensions=[{'Name': 'FunctionName', 'Value': 'brand-api'}],
    StartTime='2024-01-01T00:00:00Z',
    EndTime='2024-01-01T00:05:00Z',
    Period=60,
    Statistics=['Maximum']
)

for datapoint in response['Datapoints']:
    print(f"Max concurrency at {datapoint['Timestamp']}: {datapoint['Maximum']}")
