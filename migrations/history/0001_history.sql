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
    constraint events_user_id_is_not_empty check (user_id <> ''),
    constraint events_kind_is_short check (length(kind) between 1 and 64),
    constraint events_currency_is_a_code check (length(currency) = 3),
    constraint events_amount_is_not_zero check (amount <> 0),
    -- Money moves only as a leg of a transaction, which is how its other legs are found.
    constraint events_amount_has_a_transaction check (amount is null or transaction_id is not null),
    constraint events_hash_is_a_hash check (octet_length(hash) = 32)
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

-- Where each wallet is: the state after its last event.
create view wallet_heads as
select wallets.wallet_id,
       wallets.user_id,
       wallets.currency,
       last.sequence      as last_sequence,
       last.hash          as last_hash,
       last.balance_after as balance,
       last.occurred_at   as last_occurred_at
from wallets
cross join lateral (
    select sequence, hash, balance_after, occurred_at
    from events
    where events.wallet_id = wallets.wallet_id
    order by sequence desc
    limit 1
) as last;

-- The number of the wallet's first event at or after the moment, or the number after its last one.
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
    low bigint := 1;
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
    select held_after from events as earlier
    where earlier.wallet_id = event.wallet_id and earlier.sequence = event.sequence - 1
    limit 1
) as before on true;

-- Counts every event anew and puts right what was counted wrongly, which is possible only when rows were changed past the
-- service. Says how many sums were wrong. For operators, one at a time. One statement sees events and sums as they were at one
-- moment, and what it adds is a difference, so that nobody who writes waits for it.
create function recount_reports() returns bigint
language sql as $$
    with counted as materialized (
        select currency, quarter, is_outside, kind, count(*) as events, sum(credit) as credits, sum(debit) as debits,
               sum(held) as held, sum(freed) as freed
        from counted_events
        group by 1, 2, 3, 4
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
        from wrong_days
        on conflict (currency, day, is_outside, shard) do update
        set balance = stored.balance + excluded.balance, held = stored.held + excluded.held
    ),
    quarters as (
        insert into report_quarters as stored
            (currency, quarter, is_outside, kind, shard, events, credits, debits, held, freed)
        select currency, quarter, is_outside, kind, -1, events, credits, debits, held, freed
        from wrong_quarters
        on conflict (currency, quarter, is_outside, kind, shard) do update
        set events = stored.events + excluded.events, credits = stored.credits + excluded.credits,
            debits = stored.debits + excluded.debits, held = stored.held + excluded.held,
            freed = stored.freed + excluded.freed
    )
    select (select count(*) from wrong_quarters) + (select count(*) from wrong_days)
$$;

-- Forgets what a wallet's months were summed up to, so that they are summed up anew. For operators. Nothing is summed up or set
-- aside meanwhile: see HEADS_LOCK in history-service.
create function recount_months(of_wallet uuid) returns void
language sql as $$
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

-- Events leave in one way only: each of them set aside in the same transaction, which leaves no hole.
create function refuse_loss() returns trigger
language plpgsql as $$
begin
    if not exists (select from gone)
       or exists (
            select from gone
            where not exists (
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

-- At the end of the transaction: what went is the end of its wallet, or another event is in its place.
create function refuse_hole() returns trigger
language plpgsql as $$
begin
    if exists (select from events where wallet_id = old.wallet_id and sequence > old.sequence)
       and not exists (select from events where wallet_id = old.wallet_id and sequence = old.sequence)
    then
        raise exception '% is append-only: % is refused', tg_table_name, tg_op
            using errcode = 'insufficient_privilege';
    end if;
    return null;
end
$$;

create constraint trigger events_leave_no_hole
    after delete on events deferrable initially deferred
    for each row execute function refuse_hole();
-- The one way in which events leave: what a wallet has under these numbers is kept aside, with why and by whose word. It runs
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

-- Its tables are these, whatever its caller has before them.
do $$
begin
    execute format('alter function set_events_aside set search_path = %I, pg_temp', current_schema());
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
                      case when attname in ('hash', 'data', 'key', 'value', 'headers', 'detail', 'content_hash', 'previous_hash')
                           then 0 else 10 end)
        from pg_attribute
        where attrelid in ('events'::regclass, 'wallets'::regclass, 'consumer_offsets'::regclass,
                           'parked_events'::regclass, 'quarantine'::regclass, 'quarantine_resolutions'::regclass,
                           'waiting_events'::regclass, 'refills'::regclass, 'rebuilds'::regclass,
                           'set_aside_events'::regclass, 'proofs'::regclass, 'proof_state'::regclass,
                           'drifts'::regclass, 'report_quarters'::regclass, 'report_days'::regclass,
                           'wallet_months'::regclass, 'wallet_months_to'::regclass)
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
