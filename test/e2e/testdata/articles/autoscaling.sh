# Register scalable target
aws application-autoscaling register-scalable-target \
  --service-namespace lambda \
  --resource-id function:api-handler:prod \
  --scalable-dimension lambda:function:ProvisionedConcurrency \
  --min-capacity 2 \
  --max-capacity 20

# Create target tracking policy (scale when utilisation > 70%)
aws application-autoscaling put-scaling-policy \
  --service-namespace lambda \
  --resource-id function:api-handler:prod \
  --scalable-dimension lambda:function:ProvisionedConcurrency \
  --policy-name pc-utilisation-policy \
  --policy-type TargetTrackingScaling \
  --target-tracking-scaling-policy-configuration '{
    "TargetValue": 0.7,
    "PredefinedMetricSpecification": {
      "PredefinedMetricType": "LambdaProvisionedConcurrencyUtilization"
    }
  }'
