def lambda_handler(event, context):
    failed_items = []
    for record in event["Records"]:
        try:
            process_record(record)
        except Exception:
            failed_items.append({
                "itemIdentifier": record["messageId"]
            })
    return {
        "batchItemFailures": failed_items
    }
