"""What the articles' handlers call and leave to the reader: it is put before them."""
import json
import os


def process_message(body):
    note = json.dumps({"Kind": "sqs", "Text": body}) + "\n"
    with open(os.environ["LEDGER"].removeprefix("at="), "a") as ledger:
        ledger.write(note)


def process_record(record):
    process_message(record["body"])
    if "bad" in record["body"]:
        raise ValueError(record["body"])


