"""What schemathesis is told beside what it is started with, by the test beside this file.

It writes the same few idempotency keys into all batches. A command under a key that another request has used is answered
for the key, whatever else is wrong with it, so what is wrong would be tried in the first batch alone. Here every command
has a key of its own; a key that is none stays none.
"""

import itertools

import schemathesis

# Keys have at most 255 characters: one that is near that stays as it is.
LENGTH_MAX = 200

numbers = itertools.count()


@schemathesis.hook
def before_call(context, case, kwargs):
    commands = case.body.get("commands") if isinstance(case.body, dict) else None
    for command in commands if isinstance(commands, list) else []:
        key = command.get("idempotency_key") if isinstance(command, dict) else None
        if isinstance(key, str) and 0 < len(key) <= LENGTH_MAX:
            command["idempotency_key"] = f"{key}-{next(numbers)}"


MISSING = "Array with invalid items: Missing required property: "


@schemathesis.hook
def filter_case(context, case):
    """It leaves fields out of commands as if they were required, and expects a refusal."""
    description = getattr(case.meta.phase.data, "description", None) if case.meta else None
    if case.path != "/transactions/batch" or MISSING not in (description or ""):
        return True
    schemas = case.operation.schema.raw_schema["components"]["schemas"]
    commands = [schema for name, schema in schemas.items() if name.endswith("Command")]
    field = description.rsplit(MISSING, 1)[1]
    return any(field in command.get("required", []) for command in commands)
