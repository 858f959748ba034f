# Create an alias pointing to the version
aws lambda create-alias \
  --function-name api-handler \
  --name prod \
  --function-version $VERSION

# Set provisioned concurrency on the alias
aws lambda put-provisioned-concurrency-config \
  --function-name api-handler \
  --qualifier prod \
  --provisioned-concurrent-executions 10
