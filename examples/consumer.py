#!/usr/bin/env python3
"""Keeps the balances of all wallets in a database of its own, from the topic alone.

    pip install -r examples/requirements.txt
    python3 examples/consumer.py --brokers 127.0.0.1:19092 --database balances.db
    python3 examples/consumer.py --database balances.db --show

It may be killed at any moment, started twice, or fed the topic once more: the balances stay right, by three rules.

1. The last sequence of each wallet is kept beside its balance, in one transaction. The next number is news, a smaller one a
   repetition, and a larger one waits until those before it are there.
2. An event is applied only if its `prev_hash` is the `hash` of the one before and its amounts add up. If not, that wallet waits,
   which is said, and the others go on.
3. Kafka is told how far it is after the database knows. What is read again after a crash is a repetition.
"""

import argparse
import json
import sqlite3
import sys
from decimal import Decimal

from confluent_kafka import Consumer, KafkaError, KafkaException

TABLES = """
CREATE TABLE IF NOT EXISTS balances (
    wallet_id TEXT PRIMARY KEY, user_id TEXT NOT NULL, currency TEXT NOT NULL,
    balance TEXT NOT NULL, held TEXT NOT NULL, sequence INTEGER NOT NULL, hash TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS waiting (
    wallet_id TEXT, sequence INTEGER, hash TEXT, event TEXT NOT NULL, PRIMARY KEY (wallet_id, sequence, hash)
);
"""


def take(database, text):
    """Takes a message: the event waits until its turn has come, which is at once as a rule."""
    try:
        event = json.loads(text)
        key = wallet_id, sequence, digest = event["wallet_id"], event["sequence"], event["hash"]
        if not (isinstance(wallet_id, str) and isinstance(digest, str) and 0 < sequence < 2**63):
            raise ValueError
    except (TypeError, ValueError, KeyError, RecursionError):
        return print(f"not an event, passed over: {text!r:.100}", file=sys.stderr)
    if sequence <= last(database, wallet_id)[1]:
        return  # A repetition.
    database.execute("INSERT OR IGNORE INTO waiting VALUES (?, ?, ?, ?)", [*key, json.dumps(event)])
    while apply_next(database, wallet_id):
        pass


def last(database, wallet_id):
    """Balance, sequence and hash of a wallet after its last event."""
    row = database.execute("SELECT balance, sequence, hash FROM balances WHERE wallet_id = ?", [wallet_id]).fetchone()
    return row or ("0", 0, "0" * 64)


def apply_next(database, wallet_id):
    """Applies the next event of a wallet, if it is there and follows the last."""
    balance, sequence, digest = last(database, wallet_id)
    candidates = database.execute(
        "SELECT event FROM waiting WHERE wallet_id = ? AND sequence = ?", [wallet_id, sequence + 1]
    ).fetchall()
    for (text,) in candidates:
        event = json.loads(text)
        if why := fault(event, balance, digest):
            print(f"wallet {wallet_id} waits before event {sequence + 1}: {why}", file=sys.stderr)
            continue
        fields = ("wallet_id", "user_id", "currency", "balance_after", "sequence", "hash")
        database.execute(
            "INSERT OR REPLACE INTO balances (wallet_id, user_id, currency, balance, sequence, hash, held) VALUES (?,?,?,?,?,?,?)",
            [*(event[field] for field in fields), event.get("held_after", "0")],
        )
        database.execute("DELETE FROM waiting WHERE wallet_id = ? AND sequence <= ?", [wallet_id, sequence + 1])
        return True
    return False


def fault(event, balance, digest):
    """Why an event cannot be the next one."""
    if event.get("schema_version") != 1:
        return f"its schema version {event.get('schema_version')} is not known here: this reader is too old"
    if event.get("prev_hash") != digest:
        return f"it follows {event.get('prev_hash')}, and the last one is {digest}"
    try:
        adds_up = Decimal(balance) + Decimal(event.get("amount", "0")) == Decimal(event["balance_after"])
    except (ArithmeticError, KeyError, TypeError, ValueError):
        adds_up = False
    return None if adds_up else f"{balance} and {event.get('amount')} are not {event.get('balance_after')}"


def follow(options, database):
    consumer = Consumer({
        "bootstrap.servers": options.brokers, "group.id": options.group,
        "auto.offset.reset": "earliest", "enable.auto.commit": False, "enable.partition.eof": True,
        "session.timeout.ms": 10_000,  # So long after a reader is killed another one takes over.
    })
    if options.to_end:  # Without a broker there is no end to wait for.
        try:
            consumer.list_topics(options.topic, timeout=10)
        except KafkaException as error:
            sys.exit(f"no broker answers at {options.brokers}: {error.args[0].str()}")
    consumer.subscribe([options.topic])
    at_end = set()
    while not (options.to_end and at_end and at_end >= {(p.topic, p.partition) for p in consumer.assignment()}):
        messages = consumer.consume(num_messages=500, timeout=1.0)
        with database:  # One transaction for all of them, and one process at a time.
            database.execute("BEGIN IMMEDIATE")
            for message in messages:
                error = message.error()
                if error is None:
                    at_end.discard((message.topic(), message.partition()))
                    take(database, message.value())
                elif error.code() == KafkaError._PARTITION_EOF:
                    at_end.add((message.topic(), message.partition()))
                else:
                    raise KafkaException(error)
        if any(message.error() is None for message in messages):
            consumer.commit(asynchronous=False)
    consumer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brokers", default="127.0.0.1:19092")
    parser.add_argument("--topic", default="wallet-events")
    parser.add_argument("--group", default="balances")
    parser.add_argument("--database", default="balances.db")
    parser.add_argument("--to-end", action="store_true", help="end when everything on the topic was read")
    parser.add_argument("--show", action="store_true", help="print the balances and what waits, a line of JSON each")
    options = parser.parse_args()
    database = sqlite3.connect(options.database, timeout=60, isolation_level=None)
    database.row_factory = sqlite3.Row
    database.executescript(TABLES)
    if not options.show:
        return follow(options, database)
    for table in ("balances", "waiting"):
        for row in database.execute(f"SELECT * FROM {table} ORDER BY wallet_id"):
            print(json.dumps({"table": table, **row}))


if __name__ == "__main__":
    main()
