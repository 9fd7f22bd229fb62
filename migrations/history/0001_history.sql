-- What history-service knows: the events of every wallet, how far Kafka was consumed, and what was set aside.
--
-- One transaction per batch of messages writes rows and offsets together or not at all. Distributable from the first day:
-- keys of per-wallet tables begin with the wallet, there are no foreign keys, and nothing orders by a number that spans
-- wallets.

-- The events, each once. (wallet_id, sequence) identifies an event and is taken once, which is what makes two writers of
-- a wallet take turns. Each further index costs the insert measurably, so there is one only for a query that exists.
create table events (
    wallet_id               uuid        not null,
    sequence                bigint      not null,
    event_id                uuid        not null,
    schema_version          smallint    not null,
    -- "C": owners are compared, never sorted for people, and bytes compare faster than a language does.
    user_id                 text        collate "C" not null,
    -- Open on purpose: the consumer refuses kinds it does not know, and a new one needs no migration here.
    kind                    text        not null,
    transaction_id          uuid,
    -- Minor units, signed; null when the event moved no money.
    amount                  bigint,
    currency                text        not null,
    balance_after           bigint      not null,
    -- How much of that was set aside: rows that say nothing of it had nothing.
    held_after              bigint      not null default 0,
    counterparty_wallet_id  uuid,
    -- When it happened, by the ledger's clock; never decreases along a wallet's sequence.
    occurred_at             timestamptz not null,
    -- When it was written here, by this database's clock. Nothing orders by it.
    recorded_at             timestamptz not null default now(),
    actor                   text        not null,
    subject                 text        collate "C",
    correlation_id          text,
    -- JSON text as it was hashed: jsonb would reorder its keys, and cannot hold a \u0000.
    data                    text        not null,
    -- The previous hash is the hash of sequence - 1.
    hash                    bytea       not null,

    constraint events_pkey primary key (wallet_id, sequence),
    constraint events_sequence_is_positive check (sequence >= 1),
    constraint events_sequence_has_a_next check (sequence < 9223372036854775807),
    constraint events_user_id_is_not_empty check (user_id <> ''),
    constraint events_kind_is_short check (length(kind) between 1 and 64),
    constraint events_currency_is_a_code check (length(currency) = 3),
    constraint events_amount_is_not_zero check (amount <> 0),
    -- Money moves only as a leg of a transaction, which is how its other legs are found.
    constraint events_amount_has_a_transaction check (amount is null or transaction_id is not null),
    constraint events_hash_is_a_hash check (octet_length(hash) = 32),
    -- RFC 3339 has four digits for a year: what it cannot write, nobody could be told.
    constraint events_occurred_at_has_a_year check (occurred_at >= '0001-01-01 00:00:00Z' and occurred_at < '10000-01-01 00:00:00Z'),
    constraint events_recorded_at_has_a_year check (recorded_at >= '0001-01-01 00:00:00Z' and recorded_at < '10000-01-01 00:00:00Z')
);

-- GET /transactions/{id}: the legs of one transaction.
create index events_transaction_id_idx on events (transaction_id) where transaction_id is not null;

-- The wallets that have events, with what never changes of them.
create table wallets (
    wallet_id  uuid not null,
    user_id    text collate "C" not null,
    currency   text not null,

    constraint wallets_pkey primary key (wallet_id),
    constraint wallets_currency_is_a_code check (length(currency) = 3)
);

-- GET /users/{id}/activity: the wallets of a user.
create index wallets_user_id_idx on wallets (user_id, wallet_id);

-- Events that were moved away, to files that are signed. What is moved of a wallet are its first events, up to one that
-- occurred before the cutoff, and never its last one: where a wallet is stays its last event.
create table archives (
    id             bigint      not null generated always as identity,
    cutoff         timestamptz not null,
    reason         text        not null,
    actor          text        not null,
    -- SHA-256 of the signed manifest, by which the next archive names this one.
    manifest_hash  bytea       not null,
    -- Where its files were written.
    folder         text        not null,
    wallets        bigint      not null,
    events         bigint      not null,
    begun_at       timestamptz not null default now(),
    -- When the last of its events had left.
    finished_at    timestamptz,
    -- When the last of them was back.
    restored_at    timestamptz,
    -- When, by whom and why its files were given up: what it held comes from the ledger.
    forgotten_at     timestamptz,
    forgotten_by     text,
    forgotten_reason text,

    constraint archives_pkey primary key (id),
    constraint archives_manifest_is_unique unique (manifest_hash),
    constraint archives_manifest_is_a_hash check (octet_length(manifest_hash) = 32),
    constraint archives_reason_is_not_empty check (reason <> ''),
    constraint archives_actor_is_not_empty check (actor <> ''),
    constraint archives_folder_is_not_empty check (folder <> ''),
    constraint archives_forgotten_is_said_by_whom_and_why check (
        (forgotten_at is null) = (coalesce(forgotten_by, '') = '') and
        (forgotten_at is null) = (coalesce(forgotten_reason, '') = '')
    )
);

-- Where the events of a wallet begin that are here: the state after the last one that is in an archive. The highest number
-- counts; those below it are what is right again when the archives above them are restored.
create table archived_wallets (
    wallet_id      uuid        not null,
    sequence       bigint      not null,
    archive_id     bigint      not null,
    hash           bytea       not null,
    balance_after  bigint      not null,
    held_after     bigint      not null,
    occurred_at    timestamptz not null,
    moved_at       timestamptz not null default now(),

    constraint archived_wallets_pkey primary key (wallet_id, sequence),
    constraint archived_wallets_archive_is_unique unique (archive_id, wallet_id),
    constraint archived_wallets_sequence_is_positive check (sequence >= 1),
    constraint archived_wallets_hash_is_a_hash check (octet_length(hash) = 32)
);

-- What archived events of a wallet came to in each month in UTC.
create table archived_months (
    wallet_id   uuid        not null,
    archive_id  bigint      not null,
    month       date        not null,
    kind        text        collate "C" not null,
    events      bigint      not null,
    credits     numeric(38) not null,
    debits      numeric(38) not null,

    constraint archived_months_pkey primary key (wallet_id, archive_id, month, kind)
);

-- What the events of an archive came to in each quarter of an hour: with it reports can be counted anew.
create table archived_quarters (
    archive_id  bigint      not null,
    currency    text        collate "C" not null,
    quarter     timestamptz not null,
    is_outside  boolean     not null,
    kind        text        collate "C" not null,
    events      bigint      not null,
    credits     numeric(38) not null,
    debits      numeric(38) not null,
    held        numeric(38) not null,
    freed       numeric(38) not null,

    constraint archived_quarters_pkey primary key (archive_id, currency, quarter, is_outside, kind)
);

-- Where each wallet is: the state after its last event, and up to which one its events are in an archive.
create view wallet_heads as
select wallets.wallet_id,
       wallets.user_id,
       wallets.currency,
       last.sequence      as last_sequence,
       last.hash          as last_hash,
       last.balance_after as balance,
       last.occurred_at   as last_occurred_at,
       base.sequence      as archived_to,
       base.occurred_at   as archived_until
from wallets
cross join lateral (
    select sequence, hash, balance_after, occurred_at
    from events
    where events.wallet_id = wallets.wallet_id
    order by sequence desc
    limit 1
) as last
left join lateral (
    select sequence, occurred_at
    from archived_wallets
    where archived_wallets.wallet_id = wallets.wallet_id
    order by sequence desc
    limit 1
) as base on true;

-- The number of the wallet's first event at or after the moment, or the number after its last one. Of what is in an archive
-- nothing is known: before it, the answer is the first event that is here.
--
-- A wallet's sequences have no gaps and its occurred_at never decreases, so a binary search over the primary key finds a
-- moment: one look-up for each doubling of the wallet's length, and no index on time.
--
-- Strict: without a moment nothing is looked up. The settings hold for the look-up only: its plan is made once for each
-- session, maybe while the table is empty, and must be the primary key even then.
create function first_sequence_since(head wallet_heads, moment timestamptz) returns bigint
language plpgsql stable strict parallel safe
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    -- What is looked for is in low..high.
    low bigint := coalesce(head.archived_to, 0) + 1;
    high bigint := head.last_sequence + 1;
    middle bigint;
    happened timestamptz;
begin
    if head.last_occurred_at < moment then
        return high;
    end if;
    while low < high loop
        middle := (low + high) / 2;
        select occurred_at into happened from events where wallet_id = head.wallet_id and sequence = middle;
        if happened < moment then
            low := middle + 1;
        else
            high := middle;
        end if;
    end loop;
    return low;
end
$$;

-- Where to go on in Kafka. It moves by compare-and-set only, so a consumer that lost its partition without noticing
-- cannot commit anything. Kafka's own committed offsets are for monitoring and decide nothing.
create table consumer_offsets (
    topic        text        not null,
    partition    integer     not null,
    next_offset  bigint      not null,
    -- Tells the message before that one from any other: when the topic holds another one there, or none, it was made again,
    -- truncated, or is another cluster's, and is read from its start. Null when nothing is known of it.
    previous_hash bytea,
    -- How often events were set aside: what a consumer remembers of heads from before may be of a branch that is gone.
    set_asides   bigint      not null default 0,
    updated_at   timestamptz not null default now(),

    constraint consumer_offsets_pkey primary key (topic, partition),
    constraint consumer_offsets_partition_is_not_negative check (partition >= 0),
    constraint consumer_offsets_next_offset_is_not_negative check (next_offset >= 0),
    constraint consumer_offsets_previous_hash_is_a_hash check (octet_length(previous_hash) = 32)
);

-- Events that came before their predecessors. They move to `events` when the gap is filled. The hash belongs to the key
-- because only the predecessor tells which of two events with one number is the true one.
create table parked_events (
    wallet_id  uuid        not null,
    sequence   bigint      not null,
    hash       bytea       not null,
    topic      text        not null,
    partition  integer     not null,
    "offset"   bigint      not null,
    key        bytea,
    value      bytea       not null,
    headers    text        not null,
    parked_at  timestamptz not null default now(),

    constraint parked_events_pkey primary key (wallet_id, sequence, hash),
    constraint parked_events_sequence_has_a_predecessor check (sequence >= 2),
    constraint parked_events_hash_is_a_hash check (octet_length(hash) = 32)
);

-- Messages that are no event, or none that fits its wallet's chain, with the bytes they came in. Those without a
-- resolution below are open: an operator has to decide on them.
create table quarantine (
    id            bigint      not null generated always as identity,
    topic         text        not null,
    partition     integer     not null,
    "offset"      bigint      not null,
    key           bytea,
    value         bytea,
    headers       text        not null,
    reason        text        not null,
    detail        text        not null,
    -- Known when the bytes could be read so far.
    wallet_id     uuid,
    sequence      bigint,
    -- SHA-256 of key and value, none of them being another than an empty one. It tells messages apart, and nothing else
    -- does: offsets begin anew in a topic that is made again, and a message that is sent again stands at another one and is
    -- the same fault.
    content_hash  bytea       not null,
    recorded_at   timestamptz not null default now(),

    constraint quarantine_pkey primary key (id),
    constraint quarantine_message_is_unique unique (content_hash),
    constraint quarantine_content_hash_is_a_hash check (octet_length(content_hash) = 32),
    constraint quarantine_reason_is_known check (reason in (
        'malformed', 'unknown_version', 'unknown_kind', 'wrong_hash', 'key_mismatch',
        'conflicting_event', 'chain_broken', 'not_storable'
    ))
);

-- What became of a quarantined message, and by whose word.
create table quarantine_resolutions (
    quarantine_id  bigint      not null,
    -- Replayed: decided once more, and settled. Discarded: nothing is missing without it. Superseded: of a branch of its
    -- wallet that the ledger does not have.
    resolution     text        not null,
    reason         text        not null,
    actor          text        not null,
    resolved_at    timestamptz not null default now(),

    constraint quarantine_resolutions_pkey primary key (quarantine_id),
    constraint quarantine_resolutions_resolution_is_known check (resolution in ('replayed', 'discarded', 'superseded')),
    constraint quarantine_resolutions_reason_is_not_empty check (reason <> ''),
    constraint quarantine_resolutions_actor_is_not_empty check (actor <> '')
);

-- Events of a kind or a version that the build which received them did not know. A build that does takes them up and
-- removes them here; until then their wallets' later events are parked behind them.
create table waiting_events (
    -- Of one sequence with the quarantine, so that an id names one message.
    id              bigint      not null default nextval('quarantine_id_seq'),
    topic           text        not null,
    partition       integer     not null,
    "offset"        bigint      not null,
    key             bytea,
    value           bytea       not null,
    headers         text        not null,
    schema_version  integer     not null,
    -- These are known when the bytes could be read so far.
    kind            text,
    wallet_id       uuid,
    sequence        bigint,
    content_hash    bytea       not null,
    waiting_since   timestamptz not null default now(),

    constraint waiting_events_pkey primary key (id),
    constraint waiting_events_message_is_unique unique (content_hash),
    constraint waiting_events_content_hash_is_a_hash check (octet_length(content_hash) = 32)
);

-- Those that a build knows, however many it does not.
create index waiting_events_kind_idx on waiting_events (schema_version, kind, id);

-- Wallets whose events have to be asked of the ledger: a row for each until history agrees with it.
create table refills (
    wallet_id        uuid        not null,
    reason           text        not null,
    state            text        not null default 'waiting',
    -- How often it was asked for: what was asked since it was taken up is not done with it.
    requests         bigint      not null default 1,
    requested_at     timestamptz not null default now(),
    -- When it is taken up next. Moved ahead by an instance that works on it, and after a failure.
    not_before       timestamptz not null default now(),
    failures         integer     not null default 0,
    -- Of a fork: the last number under which history and ledger have the same event.
    common_sequence  bigint,
    detail           text,
    -- An operator's word that the ledger wins.
    repair_reason    text,
    repair_actor     text,
    -- How far its rows were found to be what their hashes say; null when only its end is compared.
    rows_checked_to  bigint,
    -- What was done so far.
    events_added     bigint      not null default 0,
    events_set_aside bigint      not null default 0,
    -- The orders that asked for it and have not heard of it yet.
    rebuild_ids      bigint[]    not null default '{}',

    constraint refills_pkey primary key (wallet_id),
    constraint refills_reason_is_known check (reason in ('gap', 'conflict', 'comparison', 'rebuild', 'repair')),
    -- forked: history and ledger have other events under one number. unknown: the ledger has no such wallet. unreadable: this
    -- build cannot read what the ledger says. contradictory: the ledger's row or event does not follow from its journal.
    constraint refills_state_is_known
        check (state in ('waiting', 'forked', 'unknown', 'unreadable', 'contradictory')),
    constraint refills_common_sequence_is_not_negative check (common_sequence >= 0),
    constraint refills_repair_is_of_a_person check ((repair_reason is null) = (repair_actor is null))
);

create index refills_not_before_idx on refills (not_before);

-- Orders to bring history to the ledger's state: comparisons of all wallets, and what was asked for single ones. A
-- comparison goes on where it was when its instance ended.
create table rebuilds (
    id               bigint      not null generated always as identity,
    requested_at     timestamptz not null default now(),
    reason           text        not null,
    actor            text        not null,
    -- Only this wallet. Then, and when the ledger wins, there is nothing to compare first.
    wallet_id        uuid,
    ledger_wins      boolean     not null default false,
    -- Where it goes on: the ledger's cursor, and the last wallet that was compared.
    cursor           text,
    after_wallet     uuid,
    compared         bigint      not null default 0,
    -- Then every row is looked at, up to this one so far.
    ends_compared    boolean     not null default false,
    row_wallet       uuid,
    row_sequence     bigint      not null default 0,
    rows_checked     bigint      not null default 0,
    -- Wallets that were not as in the ledger, and what became of them since.
    queued           bigint      not null default 0,
    mended           bigint      not null default 0,
    unchanged        bigint      not null default 0,
    unknown          bigint      not null default 0,
    -- Those that only a person can decide about, or a newer build can read, and the first of them.
    stuck            bigint      not null default 0,
    first_stuck      uuid,
    events_added     bigint      not null default 0,
    events_set_aside bigint      not null default 0,
    not_before       timestamptz not null default now(),
    finished_at      timestamptz,
    -- When the sums of reports were counted anew, once all of its wallets were done with; and how many were wrong.
    recounted_at     timestamptz,
    totals_mended    bigint      not null default 0,
    -- By whom, and why, when a person ended it: without the ledger it cannot be made.
    ended_by         text,
    ended_reason     text,

    constraint rebuilds_pkey primary key (id),
    constraint rebuilds_actor_is_not_empty check (actor <> ''),
    constraint rebuilds_end_is_of_a_person
        check ((ended_by is null) = (ended_reason is null) and ended_by <> '' and (ended_by is null or finished_at is not null))
);

-- Events of a branch that the ledger does not have, and rows that were no event, as they were, with who set them aside and
-- why.
create table set_aside_events (
    wallet_id               uuid        not null,
    sequence                bigint      not null,
    event_id                uuid        not null,
    schema_version          smallint    not null,
    user_id                 text        collate "C" not null,
    kind                    text        not null,
    transaction_id          uuid,
    amount                  bigint,
    currency                text        not null,
    balance_after           bigint      not null,
    held_after              bigint      not null,
    counterparty_wallet_id  uuid,
    occurred_at             timestamptz not null,
    recorded_at             timestamptz not null,
    actor                   text        not null,
    subject                 text        collate "C",
    correlation_id          text,
    data                    text        not null,
    hash                    bytea       not null,
    set_aside_at            timestamptz not null default now(),
    set_aside_reason        text        not null,
    set_aside_by            text        not null,

    constraint set_aside_events_pkey primary key (wallet_id, sequence, set_aside_at),
    constraint set_aside_events_reason_is_not_empty check (set_aside_reason <> ''),
    constraint set_aside_events_actor_is_not_empty check (set_aside_by <> '')
);

-- How far each wallet is proved: every event up to this one was found to be what its hash says, the next one of its wallet,
-- and to lead to this balance. Nothing after the first fault is proved.
create table proofs (
    wallet_id   uuid        not null,
    -- 0: none of it is proved.
    sequence    bigint      not null,
    -- What the wallet's event of that number said when it was proved.
    hash        bytea       not null,
    balance     bigint      not null,
    held        bigint      not null,
    -- How often events of the wallet were set aside: what was read of them before is no proof any more.
    set_asides  bigint      not null default 0,
    proved_at   timestamptz not null default now(),
    -- When all of it was last proved from its first event on.
    whole_at    timestamptz,

    constraint proofs_pkey primary key (wallet_id),
    constraint proofs_sequence_is_not_negative check (sequence >= 0),
    constraint proofs_hash_is_a_hash check (octet_length(hash) = 32)
);

-- Where the proof is: one row. An instance that works on it moves not_before ahead, and one that hangs loses its claim. Two
-- rounds take turns: one over what is new in each wallet, and one over every event.
create table proof_state (
    id                  boolean     not null default true,
    claim               bigint      not null default 0,
    not_before          timestamptz not null default now(),
    -- The last wallet that was looked at.
    new_after           uuid,
    new_is_running      boolean     not null default false,
    new_begun_at        timestamptz,
    new_finished_at     timestamptz,
    -- The last row that was proved.
    whole_wallet        uuid,
    whole_sequence      bigint      not null default 0,
    whole_is_running    boolean     not null default false,
    whole_begun_at      timestamptz,
    whole_finished_at   timestamptz,
    -- When the ends of all wallets were last compared with the ledger's, and why they are not since then.
    ledger_compared_at  timestamptz,
    ledger_error        text,

    constraint proof_state_pkey primary key (id),
    constraint proof_state_is_one_row check (id)
);

insert into proof_state default values;

-- What the proof found to be wrong, until it finds it right.
create table drifts (
    wallet_id  uuid        not null,
    reason     text        not null,
    sequence   bigint      not null,
    detail     text        not null,
    found_at   timestamptz not null default now(),

    constraint drifts_pkey primary key (wallet_id, reason),
    -- event_broken: a row is not what its hash says, or does not follow on the one before it. event_missing: a number has no
    -- row. event_unknown: a row is of a kind or version that the build does not know. event_replaced: another event stands where one was proved. wallet_differs: the wallet's row says something else
    -- than its events. ledger_differs: the ledger has another event under that number.
    constraint drifts_reason_is_known check (reason in (
        'event_broken', 'event_missing', 'event_unknown', 'event_replaced', 'wallet_differs', 'ledger_differs'
    ))
);

-- What all wallets of a currency come to, counted while events are written: in each quarter of an hour by kind, and over the days
-- since the first event. Whoever writes adds to a shard of its own; a reader sums them.
create table report_quarters (
    currency    text        collate "C" not null,
    -- When it begins.
    quarter     timestamptz not null,
    -- Of wallets of the system, which stand for the world outside.
    is_outside  boolean     not null,
    kind        text        collate "C" not null,
    -- The partition that the events came from; -1 for what came otherwise.
    shard       integer     not null,
    events      bigint      not null,
    -- Minor units: what came in, what went out, what was set aside, and what of that was freed or captured.
    credits     numeric(38) not null,
    debits      numeric(38) not null,
    held        numeric(38) not null,
    freed       numeric(38) not null,

    constraint report_quarters_pkey primary key (currency, quarter, is_outside, kind, shard)
);

-- By how much balances, and what is held of them, changed on each day in UTC.
create table report_days (
    currency    text        collate "C" not null,
    day         date        not null,
    is_outside  boolean     not null,
    shard       integer     not null,
    balance     numeric(38) not null,
    held        numeric(38) not null,

    constraint report_days_pkey primary key (currency, day, is_outside, shard)
);

-- What a wallet did in each month in UTC, of wallets that have very many events, up to one of them. What comes behind that one is
-- summed up when it is asked for.
create table wallet_months_to (
    wallet_id  uuid   not null,
    sequence   bigint not null,

    constraint wallet_months_to_pkey primary key (wallet_id)
);

create table wallet_months (
    wallet_id  uuid        not null,
    month      date        not null,
    kind       text        collate "C" not null,
    events     bigint      not null,
    credits    numeric(38) not null,
    debits     numeric(38) not null,

    constraint wallet_months_pkey primary key (wallet_id, month, kind)
);

-- Whether these sums have to be counted anew: one row. What comes back beside the stream may have been counted before its rows
-- were lost, or may not, and nothing here tells. So whoever brings rows back asks, in the same transaction; what was asked for since
-- a count began is not done with it.
create table recount_state (
    id        boolean     not null default true,
    asked     bigint      not null default 0,
    done      bigint      not null default 0,
    -- When it was asked for last.
    asked_at  timestamptz not null default now(),

    constraint recount_state_pkey primary key (id),
    constraint recount_state_is_one_row check (id)
);

insert into recount_state default values;

-- Each event as it is counted.
create view counted_events as
select event.wallet_id,
       event.sequence,
       event.currency,
       date_bin('15 minutes', event.occurred_at, '2000-01-01 00:00:00+00') as quarter,
       event.user_id like '@%' as is_outside,
       event.kind,
       greatest(event.amount::numeric, 0) as credit,
       greatest(-event.amount::numeric, 0) as debit,
       greatest(event.held_after::numeric - coalesce(before.held_after, 0), 0) as held,
       greatest(coalesce(before.held_after, 0)::numeric - event.held_after, 0) as freed
from events as event
left join lateral (
    (select held_after from events as earlier
     where earlier.wallet_id = event.wallet_id and earlier.sequence = event.sequence - 1)
    union all
    (select held_after from archived_wallets as base
     where base.wallet_id = event.wallet_id and base.sequence = event.sequence - 1)
    limit 1
) as before on true;

-- Counts every event anew and puts right what was counted wrongly, which is possible only when rows were changed past the
-- service, or are missing. Says how many sums were wrong. One at a time: two would add the same difference. One statement sees
-- events and sums as they were at one moment, and what it adds is a difference, so that nobody who writes waits for it. It reads
-- every event once, whatever its caller tells the planner.
create function recount_reports() returns bigint
language sql
set enable_seqscan = on
as $$
    select pg_advisory_xact_lock(1751741300, 5);
    with counted as materialized (
        select currency, quarter, is_outside, kind, count(*) as events, sum(credit) as credits, sum(debit) as debits,
               sum(held) as held, sum(freed) as freed
        from counted_events
        group by 1, 2, 3, 4
        union all
        select currency, quarter, is_outside, kind, events, credits, debits, held, freed from archived_quarters
    ),
    wrong_quarters as materialized (
        select currency, quarter, is_outside, kind, sum(events)::bigint as events, sum(credits) as credits,
               sum(debits) as debits, sum(held) as held, sum(freed) as freed
        from (
            select currency, quarter, is_outside, kind, events, credits, debits, held, freed from counted
            union all
            select currency, quarter, is_outside, kind, -events, -credits, -debits, -held, -freed from report_quarters
        ) as summed
        group by 1, 2, 3, 4
        having (sum(events), sum(credits), sum(debits), sum(held), sum(freed)) <> (0, 0, 0, 0, 0)
    ),
    wrong_days as materialized (
        select currency, day, is_outside, sum(balance) as balance, sum(held) as held
        from (
            select currency, (quarter at time zone 'UTC')::date as day, is_outside, credits - debits as balance,
                   held - freed as held
            from counted
            union all
            select currency, day, is_outside, -balance, -held from report_days
        ) as summed
        group by 1, 2, 3
        having (sum(balance), sum(held)) <> (0, 0)
    ),
    days as (
        insert into report_days as stored (currency, day, is_outside, shard, balance, held)
        select currency, day, is_outside, -1, balance, held
        from wrong_days order by 1, 2, 3
        on conflict (currency, day, is_outside, shard) do update
        set balance = stored.balance + excluded.balance, held = stored.held + excluded.held
    ),
    quarters as (
        insert into report_quarters as stored
            (currency, quarter, is_outside, kind, shard, events, credits, debits, held, freed)
        select currency, quarter, is_outside, kind, -1, events, credits, debits, held, freed
        from wrong_quarters order by 1, 2, 3, 4
        on conflict (currency, quarter, is_outside, kind, shard) do update
        set events = stored.events + excluded.events, credits = stored.credits + excluded.credits,
            debits = stored.debits + excluded.debits, held = stored.held + excluded.held,
            freed = stored.freed + excluded.freed
    )
    select (select count(*) from wrong_quarters) + (select count(*) from wrong_days)
$$;

-- Forgets what a wallet's months were summed up to, so that they are summed up anew. Nothing is summed up or set aside
-- meanwhile: see HistoryLock in shared. It runs with the rights of the tables' owner, so that the role of the service
-- needs no right to delete sums.
create function recount_months(of_wallet uuid) returns void
language sql security definer as $$
    select pg_advisory_xact_lock(1751741300, 1);
    delete from wallet_months_to where wallet_id = of_wallet;
    delete from wallet_months where wallet_id = of_wallet;
$$;

-- Append-only, for the tables' owner as well: a statement trigger costs nothing on insert, and refuses even a statement
-- that would match no row.
create function refuse_change() returns trigger
language plpgsql as $$
begin
    raise exception '% is append-only: % is refused', tg_table_name, tg_op
        using errcode = 'insufficient_privilege';
end
$$;

create trigger events_are_append_only
    before update or truncate on events execute function refuse_change();

-- Events leave in two ways only: each of them set aside in the same transaction, which leaves no hole; or as the first ones of
-- their wallet, with the state after the last of them noted in the same transaction.
create function refuse_loss() returns trigger
language plpgsql as $$
begin
    if not exists (select from gone)
       or exists (
            select from gone
            left join (
                select base.wallet_id, base.sequence
                from gone as last
                join archived_wallets as base
                    on base.wallet_id = last.wallet_id and base.sequence = last.sequence
                   and base.hash = last.hash and base.moved_at = now()
            ) as archived on archived.wallet_id = gone.wallet_id and archived.sequence >= gone.sequence
            where archived.wallet_id is null
              and not exists (
                select from set_aside_events as kept
                where kept.wallet_id = gone.wallet_id and kept.sequence = gone.sequence
                  and kept.set_aside_at = now() and kept.hash = gone.hash
            )
       )
    then
        raise exception '% is append-only: % is refused', tg_table_name, tg_op
            using errcode = 'insufficient_privilege';
    end if;
    return null;
end
$$;

create trigger events_are_set_aside_and_not_lost
    after delete on events referencing old table as gone
    for each statement execute function refuse_loss();

-- At the end of the transaction: what went is the end of its wallet, or in an archive, or another event is in its place. The
-- last event of a wallet that has some in an archive stays: it says where the wallet is.
create function refuse_hole() returns trigger
language plpgsql as $$
declare
    archived_to bigint := (
        select max(sequence) from archived_wallets where wallet_id = old.wallet_id
    );
    -- Looked for from the end: whoever looks from the beginning passes over all that left in this transaction, for each of them.
    last bigint := (
        select max(sequence) from events where wallet_id = old.wallet_id
    );
begin
    if last > old.sequence then
        if old.sequence <= archived_to
           or exists (select from events where wallet_id = old.wallet_id and sequence = old.sequence)
        then
            return null;
        end if;
    elsif archived_to is null or last > archived_to then
        return null;
    end if;
    raise exception '% is append-only: % is refused', tg_table_name, tg_op
        using errcode = 'insufficient_privilege';
end
$$;

create constraint trigger events_leave_no_hole
    after delete on events deferrable initially deferred
    for each row execute function refuse_hole();

-- What a wallet has under these numbers leaves, and is kept aside with why and by whose word. It runs
-- with the rights of the tables' owner, so that the role of the service needs no right to delete events.
create function set_events_aside(of_wallet uuid, numbers bigint[], why text, who text) returns bigint
language sql security definer as $$
    with gone as (
        delete from events where wallet_id = of_wallet and sequence = any (numbers) returning *
    ),
    kept as (
        insert into set_aside_events (
            wallet_id, sequence, event_id, schema_version, user_id, kind, transaction_id, amount, currency,
            balance_after, held_after, counterparty_wallet_id, occurred_at, recorded_at, actor, subject, correlation_id,
            data, hash, set_aside_reason, set_aside_by)
        select wallet_id, sequence, event_id, schema_version, user_id, kind, transaction_id, amount, currency,
               balance_after, held_after, counterparty_wallet_id, occurred_at, recorded_at, actor, subject, correlation_id,
               data, hash, why, who
        from gone
        returning 1
    ),
    months as (
        delete from wallet_months where wallet_id = of_wallet
    ),
    months_to as (
        delete from wallet_months_to where wallet_id = of_wallet
    ),
    unproved as (
        insert into proofs as stored (wallet_id, sequence, hash, balance, held, set_asides)
        select of_wallet, 0, decode(repeat('00', 32), 'hex'), 0, 0, 1
        where exists (select from gone)
        on conflict (wallet_id) do update
        set sequence = 0, hash = excluded.hash, balance = 0, held = 0, set_asides = stored.set_asides + 1, whole_at = null
    )
    select count(*) from kept
$$;

-- The first events of wallets leave, each wallet's up to a number, and the state after it is noted. `lasts` and `last_hashes`
-- are where the archive ends in each wallet: an event of this number and hash is there still, or nothing is done. It is
-- called for a part of an archive at a time, so that nobody waits for it long; for the owner of the tables alone.
create function archive_events(
    of_archive bigint, of_wallets uuid[], uptos bigint[], lasts bigint[], last_hashes bytea[]
) returns bigint
language plpgsql security definer as $$
declare
    expected bigint;
    moved bigint;
begin
    -- Nobody sums up, mends or sets aside meanwhile. What arrives at the ends of wallets does not wait for it.
    perform pg_advisory_xact_lock(x'68697374'::integer, 1);
    if exists (
        select from unnest(of_wallets, uptos, lasts, last_hashes) as asked (wallet_id, upto, last, hash)
        where asked.upto > asked.last
           or not exists (
                select from events
                where events.wallet_id = asked.wallet_id and events.sequence = asked.last and events.hash = asked.hash
           )
           or not exists (
                select from events where events.wallet_id = asked.wallet_id and events.sequence > asked.last
           )
    ) then
        raise exception 'history is not as it was when the archive was written' using errcode = 'data_exception';
    end if;
    select sum(asked.upto - coalesce(base.sequence, 0)) into expected
    from unnest(of_wallets, uptos) as asked (wallet_id, upto)
    left join lateral (
        select max(sequence) as sequence from archived_wallets where archived_wallets.wallet_id = asked.wallet_id
    ) as base on true;

    insert into archived_quarters as stored
        (archive_id, currency, quarter, is_outside, kind, events, credits, debits, held, freed)
    select of_archive, event.currency, event.quarter, event.is_outside, event.kind, count(*), sum(event.credit), sum(event.debit),
           sum(event.held), sum(event.freed)
    from unnest(of_wallets, uptos) as asked (wallet_id, upto)
    cross join lateral (
        select * from counted_events
        where counted_events.wallet_id = asked.wallet_id and counted_events.sequence <= asked.upto
    ) as event
    group by 2, 3, 4, 5
    on conflict (archive_id, currency, quarter, is_outside, kind) do update
    set events = stored.events + excluded.events, credits = stored.credits + excluded.credits,
        debits = stored.debits + excluded.debits, held = stored.held + excluded.held,
        freed = stored.freed + excluded.freed;

    with gone as (
        select asked.wallet_id, date_trunc('month', event.occurred_at at time zone 'UTC')::date as month, event.kind,
               count(*) as events, coalesce(sum(greatest(event.amount::numeric, 0)), 0) as credits,
               coalesce(sum(greatest(-event.amount::numeric, 0)), 0) as debits
        from unnest(of_wallets, uptos) as asked (wallet_id, upto)
        cross join lateral (
            select occurred_at, kind, amount from events
            where events.wallet_id = asked.wallet_id and events.sequence <= asked.upto
        ) as event
        group by 1, 2, 3
    ),
    -- Of a wallet that was summed up further than that.
    counted_out as (
        update wallet_months as stored
        set events = stored.events - gone.events, credits = stored.credits - gone.credits,
            debits = stored.debits - gone.debits
        from gone, unnest(of_wallets, uptos) as asked (wallet_id, upto), wallet_months_to as known
        where gone.wallet_id = asked.wallet_id and known.wallet_id = asked.wallet_id and known.sequence > asked.upto
          and stored.wallet_id = gone.wallet_id and stored.month = gone.month and stored.kind = gone.kind
    )
    insert into archived_months as stored (wallet_id, archive_id, month, kind, events, credits, debits)
    select wallet_id, of_archive, month, kind, events, credits, debits from gone
    on conflict (wallet_id, archive_id, month, kind) do update
    set events = stored.events + excluded.events, credits = stored.credits + excluded.credits,
        debits = stored.debits + excluded.debits;
    delete from wallet_months as stored
    using unnest(of_wallets, uptos) as asked (wallet_id, upto), wallet_months_to as known
    where stored.wallet_id = asked.wallet_id and known.wallet_id = asked.wallet_id
      and (known.sequence <= asked.upto or stored.events = 0);
    update wallet_months_to as known set sequence = asked.upto
    from unnest(of_wallets, uptos) as asked (wallet_id, upto)
    where known.wallet_id = asked.wallet_id and known.sequence < asked.upto;

    -- One row of the archive for each wallet, which gets on.
    delete from archived_wallets where archive_id = of_archive and wallet_id = any (of_wallets);
    insert into archived_wallets (wallet_id, sequence, archive_id, hash, balance_after, held_after, occurred_at)
    select last.wallet_id, last.sequence, of_archive, last.hash, last.balance_after, last.held_after, last.occurred_at
    from unnest(of_wallets, uptos) as asked (wallet_id, upto)
    join events as last on last.wallet_id = asked.wallet_id and last.sequence = asked.upto;
    update proofs
    set sequence = base.sequence, hash = base.hash, balance = base.balance_after, held = base.held_after,
        set_asides = proofs.set_asides + 1
    from unnest(of_wallets, uptos) as asked (wallet_id, upto)
    join archived_wallets as base on base.wallet_id = asked.wallet_id and base.sequence = asked.upto
    where proofs.wallet_id = base.wallet_id and proofs.sequence < base.sequence;

    delete from events using unnest(of_wallets, uptos) as asked (wallet_id, upto)
    where events.wallet_id = asked.wallet_id and events.sequence <= asked.upto;
    get diagnostics moved = row_count;
    if moved <> expected then
        raise exception 'the archive holds % of these events, and % are there', expected, moved
            using errcode = 'data_exception';
    end if;
    return moved;
end
$$;

-- The events that an archive holds of a wallet are back, inserted in the same transaction: that they are all there is
-- checked, and the wallet begins where it began before the archive. The newest archive of a wallet goes first.
create function restore_events(of_archive bigint, of_wallet uuid) returns bigint
language plpgsql security definer as $$
declare
    base archived_wallets;
    before bigint;
    back bigint;
begin
    perform pg_advisory_xact_lock(x'68697374'::integer, 1);
    select * into base from archived_wallets where wallet_id = of_wallet order by sequence desc limit 1;
    if base.archive_id is distinct from of_archive then
        raise exception 'a newer archive holds events of the wallet' using errcode = 'data_exception';
    end if;
    select coalesce(max(sequence), 0) into before
    from archived_wallets where wallet_id = of_wallet and sequence < base.sequence;
    select count(*) into back from events
    where wallet_id = of_wallet and sequence > before and sequence <= base.sequence;
    if back <> base.sequence - before
       or not exists (
            select from events where wallet_id = of_wallet and sequence = base.sequence and hash = base.hash
       )
    then
        raise exception 'not all events of the wallet are back' using errcode = 'data_exception';
    end if;

    update archived_quarters as stored
    set events = stored.events - gone.events, credits = stored.credits - gone.credits,
        debits = stored.debits - gone.debits, held = stored.held - gone.held, freed = stored.freed - gone.freed
    from (
        select currency, quarter, is_outside, kind, count(*) as events, sum(credit) as credits, sum(debit) as debits,
               sum(held) as held, sum(freed) as freed
        from counted_events where wallet_id = of_wallet and sequence > before and sequence <= base.sequence
        group by 1, 2, 3, 4
    ) as gone
    where stored.archive_id = of_archive and stored.currency = gone.currency and stored.quarter = gone.quarter
      and stored.is_outside = gone.is_outside and stored.kind = gone.kind;
    -- Where the wallet was summed up, these events are before what was.
    insert into wallet_months as stored (wallet_id, month, kind, events, credits, debits)
    select wallet_id, month, kind, events, credits, debits from archived_months
    where wallet_id = of_wallet and archive_id = of_archive
      and exists (select from wallet_months_to where wallet_months_to.wallet_id = of_wallet)
    on conflict (wallet_id, month, kind) do update
    set events = stored.events + excluded.events, credits = stored.credits + excluded.credits,
        debits = stored.debits + excluded.debits;
    delete from archived_months where wallet_id = of_wallet and archive_id = of_archive;
    delete from archived_wallets where wallet_id = of_wallet and archive_id = of_archive;
    -- What is left of archives that hold nothing is of no event.
    if not exists (select from archived_wallets where archive_id = of_archive) then
        delete from archived_quarters as stored
        where not exists (select from archived_wallets where archived_wallets.archive_id = stored.archive_id);
        delete from archived_months as stored
        where not exists (select from archived_wallets where archived_wallets.archive_id = stored.archive_id);
    end if;
    return back;
end
$$;

-- An archive whose files are lost: its wallets begin where they began before it, and what it held is missing here until it is
-- fetched from the ledger. The newest archive of a wallet goes first. Says how many wallets it held events of.
create function forget_archive(of_archive bigint, who text, why text) returns bigint
language plpgsql security definer as $$
declare
    held bigint;
begin
    perform pg_advisory_xact_lock(x'68697374'::integer, 1);
    if exists (
        select from archived_wallets as own
        join archived_wallets as newer on newer.wallet_id = own.wallet_id and newer.sequence > own.sequence
        where own.archive_id = of_archive
    ) then
        raise exception 'a newer archive holds events of the same wallets' using errcode = 'data_exception';
    end if;
    update archives set forgotten_at = now(), forgotten_by = who, forgotten_reason = why
    where id = of_archive and restored_at is null and forgotten_at is null;
    if not found then
        raise exception 'there is no archive % that holds events', of_archive using errcode = 'data_exception';
    end if;
    -- What is summed up or proved of these wallets was so behind the archive.
    delete from wallet_months using archived_wallets as gone
    where gone.archive_id = of_archive and wallet_months.wallet_id = gone.wallet_id;
    delete from wallet_months_to using archived_wallets as gone
    where gone.archive_id = of_archive and wallet_months_to.wallet_id = gone.wallet_id;
    update proofs
    set sequence = 0, hash = decode(repeat('00', 32), 'hex'), balance = 0, held = 0, set_asides = proofs.set_asides + 1,
        whole_at = null
    from archived_wallets as gone
    where gone.archive_id = of_archive and proofs.wallet_id = gone.wallet_id;
    delete from archived_quarters where archive_id = of_archive;
    delete from archived_months where archive_id = of_archive;
    delete from archived_wallets where archive_id = of_archive;
    get diagnostics held = row_count;
    return held;
end
$$;

-- Their tables are these, whatever their caller has before them.
do $$
begin
    execute format('alter function recount_months set search_path = %I, pg_temp', current_schema());
    execute format('alter function set_events_aside set search_path = %I, pg_temp', current_schema());
    execute format('alter function archive_events set search_path = %I, pg_temp', current_schema());
    execute format('alter function restore_events set search_path = %I, pg_temp', current_schema());
    execute format('alter function forget_archive set search_path = %I, pg_temp', current_schema());
end
$$;

create trigger set_aside_events_are_append_only
    before update or delete or truncate on set_aside_events execute function refuse_change();
create trigger quarantine_is_append_only
    before update or delete or truncate on quarantine execute function refuse_change();
create trigger quarantine_resolutions_are_append_only
    before update or delete or truncate on quarantine_resolutions execute function refuse_change();

-- Tuning. A server that does not know one of these settings goes on without it, so each may fail alone.
do $$
declare
    statement text;
begin
    for statement in
        -- A few rows, each updated in every batch: with room on the page an update stays on it.
        values ('alter table consumer_offsets set (fillfactor = 50)'),
               ('alter table consumer_offsets set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200)'),
               ('alter table parked_events set (autovacuum_vacuum_scale_factor = 0.05)'),
               ('alter table proofs set (fillfactor = 80)'),
               ('alter table proof_state set (fillfactor = 20)'),
               ('alter table report_quarters set (fillfactor = 50)'),
               ('alter table report_days set (fillfactor = 50)')
        union all
        -- Autovacuum gathers statistics every few seconds while tables grow fast, and commands wait for a core meanwhile: a
        -- tenth of the usual sample is plenty for the queries of people, and none is needed of what no query compares. The
        -- service's own statements look up by index whatever the statistics say.
        select format('alter table %s alter column %I set statistics %s', attrelid::regclass, attname,
                      case when attname in ('hash', 'data', 'key', 'value', 'headers', 'detail', 'content_hash', 'previous_hash',
                                       'manifest_hash')
                           then 0 else 10 end)
        from pg_attribute
        where attrelid in ('events'::regclass, 'wallets'::regclass, 'consumer_offsets'::regclass,
                           'parked_events'::regclass, 'quarantine'::regclass, 'quarantine_resolutions'::regclass,
                           'waiting_events'::regclass, 'refills'::regclass, 'rebuilds'::regclass,
                           'set_aside_events'::regclass, 'proofs'::regclass, 'proof_state'::regclass,
                           'drifts'::regclass, 'report_quarters'::regclass, 'report_days'::regclass,
                           'recount_state'::regclass, 'wallet_months'::regclass, 'wallet_months_to'::regclass,
                           'archives'::regclass, 'archived_wallets'::regclass, 'archived_months'::regclass,
                           'archived_quarters'::regclass)
          and attnum > 0 and not attisdropped
    loop
        begin
            execute statement;
        exception when others then
            raise warning '%: %', statement, sqlerrm;
        end;
    end loop;
end
$$;
