"""What schemathesis is told beside what it is started with, by the test beside this file.

It writes the same few idempotency keys into all batches. A command under a key that another request has used is answered
for the key, whatever else is wrong with it, so what is wrong would be tried in the first batch alone. Here every command
has a key of its own; a key that is none stays none.

It asks for events that nobody has written, which history rightly answers with 503. Here readers ask for what is there;
what is no sequence stays none.
"""

import itertools
import os
import re

import jsonschema_rs
import schemathesis

# Keys have at most 255 characters: one that is near that stays as it is.
LENGTH_MAX = 200

# A wallet with two events.
WALLET = os.environ["SCHEMATHESIS_WALLET"]
SEQUENCE = re.compile(r"[1-9][0-9]*")
AWAITED = {
    "sequence": (SEQUENCE, 1),
    "min_sequence": (SEQUENCE, 1),
    "min_sequences": (re.compile(r"[0-9A-Fa-f-]{36}:[1-9][0-9]*(,[0-9A-Fa-f-]{36}:[1-9][0-9]*)*"), f"{WALLET}:1"),
}

numbers = itertools.count()


@schemathesis.hook
def before_call(context, case, kwargs):
    commands = case.body.get("commands") if isinstance(case.body, dict) else None
    for command in commands if isinstance(commands, list) else []:
        key = command.get("idempotency_key") if isinstance(command, dict) else None
        if isinstance(key, str) and 0 < len(key) <= LENGTH_MAX:
            command["idempotency_key"] = f"{key}-{next(numbers)}"
    for name, (form, there) in AWAITED.items():
        asked = (case.query or {}).get(name)
        if asked is not None and form.fullmatch(str(asked)):
            case.query[name] = there


def is_described(schema, body):
    """Whether the document says that a batch may look like this."""
    document = {"$ref": "#/components/schemas/SubmitBatchRequest", "components": schema["components"]}
    return jsonschema_rs.validator_for(document).is_valid(body)


@schemathesis.hook
def filter_case(context, case):
    """It takes fields of commands for required or not null that are neither, and expects a refusal."""
    is_wrong = case.meta is not None and case.meta.generation.mode.is_negative
    if case.path != "/transactions/batch" or not is_wrong or not isinstance(case.body, dict):
        return True
    return not is_described(case.operation.schema.raw_schema, case.body)
