-- What history-service has heard, and how far it has heard.
--
-- Every table is written by one transaction per batch of messages: rows, heads and offsets together or not at all.
-- Everything a wallet owns is keyed by wallet_id first, so the schema can be distributed by it. There are no foreign
-- keys: one writer decides under the head's lock, and a key from every event to its head costs about 8 % of the rate.

-- The events as they were heard, each once. (wallet_id, sequence) identifies an event: a unique index on event_id would
-- find nothing more and cost a fifth of the insert rate.
create table events (
    wallet_id uuid not null,
    sequence bigint not null,
    event_id uuid not null,
    schema_version smallint not null,
    -- "C": owners are compared, never sorted for people, and bytes compare faster than a language does.
    user_id text collate "C" not null,
    -- Open on purpose: the consumer refuses kinds it does not know, and a new one must not need a migration here.
    kind text not null,
    transaction_id uuid,
    -- Minor units, signed; null when the event moved no money.
    amount bigint,
    currency text not null,
    balance_after bigint not null,
    counterparty_wallet_id uuid,
    -- When it happened, by the ledger's clock; never decreases along a wallet's sequence.
    occurred_at timestamptz not null,
    -- When it was written here, by this database's clock. Nothing orders by it.
    recorded_at timestamptz not null default now(),
    actor text not null,
    correlation_id text,
    -- JSON text as it was hashed. As jsonb its keys would be reordered, and a \u0000 in it could not be stored at all.
    data text not null,
    -- The previous event's hash is the hash of the row before it, so it is not stored a second time.
    hash bytea not null,
    constraint events_pkey primary key (wallet_id, sequence),
    constraint events_sequence_check check (sequence >= 1),
    constraint events_user_id_check check (user_id <> ''),
    constraint events_kind_check check (length(kind) between 1 and 64),
    constraint events_currency_check check (length(currency) = 3),
    constraint events_amount_check check (amount <> 0),
    -- Money moves only as a leg of a transaction, which is how its other legs are found.
    constraint events_transaction_check check (amount is null or transaction_id is not null),
    constraint events_hash_check check (octet_length(hash) = 32)
)
-- Rows are never updated, so pages need no room for that.
with (fillfactor = 100);

-- GET /transactions/{id}: the legs of one transaction.
create index events_transaction_id_idx on events (transaction_id) where transaction_id is not null;

-- GET /users/{id}/activity, and the step from a moment to a sequence in GET /wallets/{id}/history.
create index events_activity_idx on events (user_id, occurred_at, wallet_id, sequence);

-- One row per wallet: the state after its last event. Its lock is what makes two writers take turns on a wallet.
create table wallet_heads (
    wallet_id uuid not null,
    user_id text collate "C" not null,
    currency text not null,
    last_sequence bigint not null,
    last_hash bytea not null,
    balance bigint not null,
    last_occurred_at timestamptz not null,
    updated_at timestamptz not null default now(),
    constraint wallet_heads_pkey primary key (wallet_id),
    constraint wallet_heads_last_sequence_check check (last_sequence >= 1),
    constraint wallet_heads_currency_check check (length(currency) = 3),
    constraint wallet_heads_last_hash_check check (octet_length(last_hash) = 32)
)
-- Updated in every batch and indexed by nothing that changes: with room on the page an update stays on it (HOT), and
-- early vacuuming keeps a busy wallet's versions few.
with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);

-- Where to go on in Kafka. It moves by compare-and-set only, so a consumer that lost its partition without noticing
-- cannot commit anything. Kafka's own committed offsets are a hint for monitoring and decide nothing.
create table consumer_offsets (
    topic text not null,
    partition integer not null,
    next_offset bigint not null,
    updated_at timestamptz not null default now(),
    constraint consumer_offsets_pkey primary key (topic, partition),
    constraint consumer_offsets_partition_check check (partition >= 0),
    constraint consumer_offsets_next_offset_check check (next_offset >= 0)
)
-- A few rows, each updated in every batch.
with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200);

-- Events that came before their predecessors. They move to `events` when the gap is filled. The hash belongs to the key
-- because only the predecessor tells which of two events with one number is the true one.
create table parked_events (
    wallet_id uuid not null,
    sequence bigint not null,
    hash bytea not null,
    topic text not null,
    partition integer not null,
    "offset" bigint not null,
    key bytea,
    value bytea not null,
    headers text not null,
    parked_at timestamptz not null default now(),
    constraint parked_events_pkey primary key (wallet_id, sequence, hash),
    constraint parked_events_sequence_check check (sequence >= 2),
    constraint parked_events_hash_check check (octet_length(hash) = 32)
)
with (autovacuum_vacuum_scale_factor = 0.05);

-- Messages that are no event this build understands, or none that fits its wallet's chain, with the bytes they came in.
create table quarantine (
    id bigint generated always as identity,
    topic text not null,
    partition integer not null,
    "offset" bigint not null,
    key bytea,
    value bytea,
    headers text not null,
    reason text not null,
    detail text not null,
    -- Known when the bytes could be read so far.
    wallet_id uuid,
    sequence bigint,
    -- SHA-256 of key and value. A topic that is deleted and made again counts from 0 again: without this a second
    -- poison message at an offset already seen would be taken for the first one and lost.
    content_hash bytea not null,
    recorded_at timestamptz not null default now(),
    constraint quarantine_pkey primary key (id),
    constraint quarantine_message_key unique (topic, partition, "offset", content_hash),
    constraint quarantine_content_hash_check check (octet_length(content_hash) = 32),
    constraint quarantine_reason_check check (reason in (
        'malformed', 'unknown_version', 'unknown_kind', 'wrong_hash', 'key_mismatch',
        'conflicting_event', 'chain_broken', 'not_storable'
    ))
);

-- Append-only, whoever asks: what was readable once stays as it was. Statement-level, so that even a statement that
-- would match no row is refused, and TRUNCATE with it.
create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only: % is refused', tg_table_name, tg_op
        using errcode = 'insufficient_privilege';
end
$$;

create trigger events_append_only before update or delete or truncate on events
    for each statement execute function refuse_change();

create trigger quarantine_append_only before update or delete or truncate on quarantine
    for each statement execute function refuse_change();
