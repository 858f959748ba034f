# Create a function version (required for provisioned concurrency)
VERSION=$(aws lambda publish-version \
  --function-name api-handler \
  --query 'Version' --output text)

# Enable provisioned concurrency on that version
aws lambda put-provisioned-concurrency-config \
  --function-name api-handler \
  --qualifier $VERSION \
  --provisioned-concurrent-executions 10
