# Every operation on queues, topics, event source mappings and asynchronous invocation by the AWS
# CLI. Prints what the Go test expects of every client. The function "worker" is there; ACCOUNT
# is the account, OLD says that the CLI is too old to move messages.
say() { printf '%s\n' "$*"; }
fails() { "$@" 2>&1 >/dev/null | sed -n 's/.*An error occurred (\([A-Za-z.]*\)).*/\1/p'; }
text() { aws "$@" --output text; }
count() { text sqs get-queue-attributes --queue-url "$1" --attribute-names ApproximateNumberOfMessages --query Attributes.ApproximateNumberOfMessages; }
until_is() { # WANT CMD...
	local want=$1 got
	shift
	for _ in $(seq 40); do
		got=$("$@" 2>&1)
		[ "$got" = "$want" ] && break
	done
	echo "$got"
}
receive() { text sqs receive-message --queue-url "$work" --max-number-of-messages 10 --wait-time-seconds 2 --query 'Messages[].ReceiptHandle' | tr '\t' '\n'; }
entries() { # RECEIPTS MORE
	local n=0 r
	for r in $1; do printf 'Id=%d,ReceiptHandle=%s%s ' $((n++)) "$r" "$2"; done
}
arn=arn:aws:sqs:$AWS_REGION:$ACCOUNT

work=$(text sqs create-queue --queue-name work --attributes VisibilityTimeout=30 --query QueueUrl)
dead=$(text sqs create-queue --queue-name dead --query QueueUrl)
say "queues ${work##*/} ${dead##*/}"
[ "$(text sqs get-queue-url --queue-name work --query QueueUrl)" = "$work" ] && say "url is the same"
say "listed $(text sqs list-queues --query 'length(QueueUrls)')"
aws sqs set-queue-attributes --queue-url "$work" --attributes '{"VisibilityTimeout": "45", "RedrivePolicy": "{\"deadLetterTargetArn\":\"'"$arn"':dead\",\"maxReceiveCount\":5}"}'
say "visibility $(text sqs get-queue-attributes --queue-url "$work" --attribute-names All --query Attributes.VisibilityTimeout)"
source=$(text sqs list-dead-letter-source-queues --queue-url "$dead" --query 'queueUrls[0]')
say "source ${source##*/}"
aws sqs tag-queue --queue-url "$work" --tags team=blue
say "tag $(text sqs list-queue-tags --queue-url "$work" --query Tags.team)"
aws sqs untag-queue --queue-url "$work" --tag-keys team
say "tag $(text sqs list-queue-tags --queue-url "$work" --query Tags.team)"
aws sqs add-permission --queue-url "$work" --label all --aws-account-ids 222222222222 --actions SendMessage
say "policy $(text sqs get-queue-attributes --queue-url "$work" --attribute-names Policy --query Attributes.Policy | grep -o '"Sid": *"all"' | tr -d ' ')"
aws sqs remove-permission --queue-url "$work" --label all
say "sent $(text sqs send-message --queue-url "$work" --message-body one --message-attributes 'color={DataType=String,StringValue=red}' --query '[MD5OfMessageBody, MD5OfMessageAttributes]' | tr '\t' ' ')"
say "sent $(text sqs send-message-batch --queue-url "$work" --entries Id=a,MessageBody=two Id=b,MessageBody=three --query 'length(Successful)')"
r=$(receive)
say "received" $(echo "$r" | wc -l)
aws sqs change-message-visibility --queue-url "$work" --receipt-handle "$(echo "$r" | head -1)" --visibility-timeout 0
say "visible $(text sqs change-message-visibility-batch --queue-url "$work" --entries $(entries "$(echo "$r" | tail -n +2)" ,VisibilityTimeout=0) --query 'length(Successful)')"
r=$(receive)
say "received" $(echo "$r" | wc -l)
aws sqs delete-message --queue-url "$work" --receipt-handle "$(echo "$r" | head -1)"
say "deleted $(text sqs delete-message-batch --queue-url "$work" --entries $(entries "$(echo "$r" | tail -n +2)") --query 'length(Successful)')"
if [ -z "$OLD" ]; then
	aws sqs send-message --queue-url "$dead" --message-body moved >/dev/null
	aws sqs start-message-move-task --source-arn "$arn:dead" --destination-arn "$arn:work" >/dev/null
	say "moved $(until_is 1 count "$work")"
	say "tasks $(text sqs list-message-move-tasks --source-arn "$arn:dead" --query 'length(Results)')"
	say "cancel: $(fails aws sqs cancel-message-move-task --task-handle eyJ0YXNrSWQiOiJub25lIn0=)"
fi
aws sqs purge-queue --queue-url "$work"
say "purged $(until_is 0 count "$work")"

topic=$(text sns create-topic --name orders --query TopicArn)
say "topic ${topic##*:}, listed $(text sns list-topics --query 'length(Topics)')"
aws sns set-topic-attributes --topic-arn "$topic" --attribute-name DisplayName --attribute-value Orders
say "name $(text sns get-topic-attributes --topic-arn "$topic" --query Attributes.DisplayName)"
sub=$(text sns subscribe --topic-arn "$topic" --protocol sqs --notification-endpoint "$arn:work" --return-subscription-arn --query SubscriptionArn)
aws sns set-subscription-attributes --subscription-arn "$sub" --attribute-name RawMessageDelivery --attribute-value true
say "raw $(text sns get-subscription-attributes --subscription-arn "$sub" --query Attributes.RawMessageDelivery)"
say "subscriptions $(text sns list-subscriptions --query 'length(Subscriptions)') $(text sns list-subscriptions-by-topic --topic-arn "$topic" --query 'length(Subscriptions)')"
say "confirm: $(fails aws sns confirm-subscription --topic-arn "$topic" --token none)"
aws sns publish --topic-arn "$topic" --message hello >/dev/null
say "published $(until_is 1 count "$work")"
say "published $(text sns publish-batch --topic-arn "$topic" --publish-batch-request-entries Id=a,Message=b Id=c,Message=d --query 'length(Successful)')"
say "arrived $(until_is 3 count "$work")"
aws sns tag-resource --resource-arn "$topic" --tags Key=team,Value=blue
say "tags $(text sns list-tags-for-resource --resource-arn "$topic" --query 'length(Tags)')"
aws sns untag-resource --resource-arn "$topic" --tag-keys team
say "tags $(text sns list-tags-for-resource --resource-arn "$topic" --query 'length(Tags)')"
aws sns add-permission --topic-arn "$topic" --label all --aws-account-id 222222222222 --action-name Publish
say "policy $(text sns get-topic-attributes --topic-arn "$topic" --query Attributes.Policy | grep -o '"Sid": *"all"' | tr -d ' ')"
aws sns remove-permission --topic-arn "$topic" --label all
aws sns unsubscribe --subscription-arn "$sub"
say "subscriptions $(text sns list-subscriptions --query 'length(Subscriptions)')"
aws sns delete-topic --topic-arn "$topic"
say "topics $(text sns list-topics --query 'length(Topics)')"

say "retries $(text lambda put-function-event-invoke-config --function-name worker --maximum-retry-attempts 1 --query MaximumRetryAttempts)"
say "age $(text lambda update-function-event-invoke-config --function-name worker --maximum-event-age-in-seconds 120 --query MaximumEventAgeInSeconds)"
say "both $(text lambda get-function-event-invoke-config --function-name worker --query '[MaximumRetryAttempts, MaximumEventAgeInSeconds]' | tr '\t' ' ')"
say "configurations $(text lambda list-function-event-invoke-configs --function-name worker --query 'length(FunctionEventInvokeConfigs)')"
aws lambda delete-function-event-invoke-config --function-name worker
say "configuration: $(fails aws lambda get-function-event-invoke-config --function-name worker)"
say "event $(text lambda invoke --function-name worker --invocation-type Event out.json --query StatusCode)"
state() { text lambda get-event-source-mapping --uuid "$id" --query State; }
made=$(text lambda create-event-source-mapping --function-name worker --event-source-arn "$arn:work" --query '[UUID, State]')
id=${made%%$'\t'*}
say "mapping ${made##*$'\t'} $(until_is Enabled state)"
say "drained $(until_is 0 count "$work")"
say "mappings $(text lambda list-event-source-mappings --function-name worker --query 'length(EventSourceMappings)')"
say "updated $(text lambda update-event-source-mapping --uuid "$id" --batch-size 5 --query '[State, BatchSize]' | tr '\t' ' ') $(until_is Enabled state)"
say "deleted $(text lambda delete-event-source-mapping --uuid "$id" --query State)"
gone() { fails aws lambda get-event-source-mapping --uuid "$id"; }
say "mapping: $(until_is ResourceNotFoundException gone)"
aws sqs delete-queue --queue-url "$work"
say "gone: $(fails aws sqs get-queue-url --queue-name work)"
