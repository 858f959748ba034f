# scale_provisioned.py — run this as a scheduled Lambda or local script
import boto3

lambda_client = boto3.client('lambda')
aas_client = boto3.client('application-autoscaling')

# Register the function alias as a scalable target
aas_client.register_scalable_target(
    ServiceNamespace='lambda',
    ResourceId='function:brand-api:prod',
    ScalableDimension='lambda:function:ProvisionedConcurrency',
    MinCapacity=2,
    MaxCapacity=100
)

# Scale up at 8 AM UTC (business hours start)
aas_client.put_scheduled_action(
    ServiceNamespace='lambda',
    ResourceId='function:brand-api:prod',
    ScheduledActionName='scale-up-morning',
    Schedule='cron(0 8 * * ? *)',
    ScalableDimension='lambda:function:ProvisionedConcurrency',
    ScalableTargetAction={'MinCapacity': 50, 'MaxCapacity': 50}
)

# Scale down at 8 PM UTC
aas_client.put_scheduled_action(
    ServiceNamespace='lambda',
    ResourceId='function:brand-api:prod',
    ScheduledActionName='scale-down-evening',
    Schedule='cron(0 20 * * ? *)',
    ScalableDimension='lambda:function:ProvisionedConcurrency',
    ScalableTargetAction={'MinCapacity': 5, 'MaxCapacity': 5}
)
