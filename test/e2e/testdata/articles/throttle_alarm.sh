# What an article prints as a CloudFormation resource, LambdaThrottleAlarm, as a command.
aws cloudwatch put-metric-alarm \
  --alarm-name brand-api-throttles \
  --alarm-description "Lambda throttling detected" \
  --metric-name Throttles \
  --namespace AWS/Lambda \
  --dimensions Name=FunctionName,Value=brand-api \
  --statistic Sum \
  --period 60 \
  --evaluation-periods 1 \
  --threshold 10 \
  --comparison-operator GreaterThanThreshold \
  --alarm-actions "$AlertSNSTopic"
