def lambda_handler(event, context):
    for record in event["Records"]:
        process_message(record["body"])
    return {
        "processed": len(event["Records"])
    }
