# The life of functions by the AWS CLI. Prints what the Go test expects of every client. The
# functions lie as $LANGUAGE.zip in the working directory; RUNTIMES is "LANGUAGE=RUNTIME ...".
say() { printf '%s\n' "$*"; }
fails() { "$@" 2>&1 >/dev/null | sed -n 's/.*An error occurred (\([A-Za-z]*\)).*/\1/p'; }
version() { aws lambda invoke --function-name "$1" --payload fileb://who.json --query ExecutedVersion --output text out.json; }
printf '{"do": "who"}' >who.json

for pair in $RUNTIMES; do
	f=${pair%%=*}
	say "$f is created $(aws lambda create-function --function-name "$f" --runtime "${pair#*=}" --handler app.handler --timeout 10 \
		--role arn:aws:iam::000000000000:role/e2e --zip-file "fileb://$f.zip" --query State --output text)"
	aws lambda wait function-active --function-name "$f"
	say "$f answers $(version "$f") $(cat out.json)"
	say "$f is published as $(aws lambda publish-version --function-name "$f" --query Version --output text)"
done

aws lambda update-function-configuration --function-name python --description second >/dev/null
aws lambda wait function-updated --function-name python
say "python is published as $(aws lambda publish-version --function-name python --query Version --output text)"
say "alias of $(aws lambda create-alias --function-name python --name live --function-version 1 \
	--routing-config AdditionalVersionWeights={2=0.5} --query '[FunctionVersion, RoutingConfig.AdditionalVersionWeights."2"]' --output text | tr '\t' ' ')"
seen=
for _ in $(seq 40); do
	seen=$(printf '%s\n' $seen "$(version python:live)" | sort -u)
	[ "$(echo $seen)" = "1 2" ] && break
done
say "alias runs" $seen
aws lambda update-alias --function-name python --name live --function-version 2 --routing-config AdditionalVersionWeights={} >/dev/null
say "alias runs $(version python:live)"

say "reserved $(aws lambda put-function-concurrency --function-name go --reserved-concurrent-executions 7 --query ReservedConcurrentExecutions)"
say "reserved $(aws lambda get-function-concurrency --function-name go --query ReservedConcurrentExecutions)"
say "reserved $(aws lambda get-function --function-name go --query Concurrency.ReservedConcurrentExecutions)"
say "unreserved $(aws lambda get-account-settings --query AccountLimit.UnreservedConcurrentExecutions)"
aws lambda put-function-concurrency --function-name go --reserved-concurrent-executions 0 >/dev/null
say "turned off: $(fails version go)"
aws lambda delete-function-concurrency --function-name go
say "on again: $(version go)"
say "too much: $(fails aws lambda put-function-concurrency --function-name go --reserved-concurrent-executions 901)"

say "provisioned $(aws lambda put-provisioned-concurrency-config --function-name node --qualifier 1 --provisioned-concurrent-executions 2 --query Status --output text)"
for _ in $(seq 40); do
	status=$(aws lambda get-provisioned-concurrency-config --function-name node --qualifier 1 --query '[Status, AvailableProvisionedConcurrentExecutions]' --output text)
	[ "${status%%$'\t'*}" = IN_PROGRESS ] || break
done
say "provisioned" $status
say "provisioned in all" $(aws lambda list-provisioned-concurrency-configs --function-name node --query 'length(ProvisionedConcurrencyConfigs)')
aws lambda delete-provisioned-concurrency-config --function-name node --qualifier 1
say "provisioned: $(fails aws lambda get-provisioned-concurrency-config --function-name node --qualifier 1)"

say "functions" $(aws lambda list-functions --query 'sort(Functions[].FunctionName)' --output text)
say "versions" $(aws lambda list-versions-by-function --function-name python --query 'Versions[].Version' --output text)
aws lambda delete-function --function-name python >/dev/null # newer ones print the status
say "deleted: $(fails aws lambda get-function --function-name python)"
