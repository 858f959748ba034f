# Set reserved concurrency
aws lambda put-function-concurrency \
  --function-name payment-processor \
  --reserved-concurrent-executions 100

# Check current setting
aws lambda get-function-concurrency \
  --function-name payment-processor

# Remove reserved concurrency (return to unreserved pool)
aws lambda delete-function-concurrency \
  --function-name payment-processor
