-- What wallet-service knows: the state of every wallet, the append-only journal, what commands were answered, and what
-- has still to be sent to Kafka.
--
-- Distributable from the first day: keys of per-wallet tables begin with the wallet, keys of per-owner tables with the
-- owner, there are no foreign keys (the rules have proved what they would, and each costs every write), and nothing
-- orders by a number that spans wallets.

create table wallets (
    id          uuid        not null,
    -- "C": names are compared, never sorted for people, and bytes compare faster than a language does.
    user_id     text        collate "C" not null,
    currency    text        not null,
    status      text        not null,
    -- Minor units of the currency.
    balance     bigint      not null,
    held        bigint      not null,
    -- The lowest available balance allowed; null for settlement wallets, which stand for the outside world.
    floor       bigint,
    -- By how much an operator had it taken below the floor, for as long as it is there.
    overdrawn   bigint      not null default 0,
    -- The sequence of the wallet's latest event: the guard of every update.
    version     bigint      not null,
    -- The hash of the wallet's latest event.
    head_hash   bytea       not null,
    created_at  timestamptz not null,
    -- When the latest event occurred.
    updated_at  timestamptz not null,
    -- How a frozen wallet is frozen: which way no money moves, why, by whom, since when, and until when, if it ends by itself.
    -- All null in a wallet that is not frozen, and in one that was frozen by hand: then no money moves at all.
    freeze_direction  text,
    freeze_reason     text,
    freeze_actor      text,
    frozen_at         timestamptz,
    frozen_until      timestamptz,
    -- How its maker calls it, what people read about it, and what is noted on it as JSON text; and the event that says so.
    -- All null in a wallet that nothing was said of. No rule rests on them.
    external_id       text        collate "C",
    label             text,
    metadata          text,
    described_in      bigint,
    -- What else limits what moves, and what was counted of it; null in most wallets. It changes with the wallet's version
    -- alone, so it is as safe as the balance. JSON, as text: each update compares it.
    limits            text,

    constraint wallets_pkey primary key (id),
    constraint wallets_status_is_known check (status in ('active', 'frozen', 'closed')),
    constraint wallets_currency_is_a_code check (length(currency) = 3),
    constraint wallets_held_is_not_negative check (held >= 0),
    constraint wallets_overdrawn_is_not_negative check (overdrawn >= 0),
    constraint wallets_available_is_not_below_floor check (balance - held + overdrawn >= floor),
    constraint wallets_version_is_positive check (version >= 1),
    constraint wallets_head_hash_is_a_hash check (octet_length(head_hash) = 32),
    -- One check, which ends early for wallets that are not frozen: every update of a wallet pays for it.
    constraint wallets_freeze_is_whole check (
        case when freeze_direction is null
             then frozen_until is null and frozen_at is null and freeze_reason is null and freeze_actor is null
             else status = 'frozen' and freeze_direction in ('debit', 'credit', 'all')
                  and frozen_at is not null and freeze_reason is not null and freeze_actor is not null
        end
    )
);

-- GET /users/{user_id}/wallets.
create index wallets_user_id_idx on wallets (user_id, id);

-- Freezes that end by themselves, in the order in which they do. Wallets without such an end are not in it.
create index wallets_frozen_until_idx on wallets (frozen_until) where frozen_until is not null;

create table transactions (
    id             uuid        not null,
    -- Who asked; references are unique for an owner.
    owner          text        collate "C" not null,
    kind           text        not null,
    -- The wallet in the path of the command.
    wallet_id      uuid        not null,
    currency       text        not null,
    amount         bigint      not null,
    reference      text        collate "C",
    description    text,
    -- JSON text.
    metadata       text,
    occurred_at    timestamptz not null,
    -- The legs, as keys into wallet_events: an index on wallet_events.transaction_id would cost on every leg.
    leg_wallets    uuid[]      not null,
    leg_sequences  bigint[]    not null,
    -- The hold that it took money of.
    hold_id        uuid,
    -- The transaction that it takes back, or a part of it.
    reverses       uuid,

    constraint transactions_pkey primary key (id),
    constraint transactions_amount_is_positive check (amount > 0),
    constraint transactions_kind_is_known check (kind in ('fund', 'withdraw', 'transfer', 'close', 'capture', 'posting', 'reversal')),
    constraint transactions_reverse_by_kind check ((kind = 'reversal') = (reverses is not null)),
    constraint transactions_legs_match check (cardinality(leg_wallets) = cardinality(leg_sequences))
);

-- A caller's own id of a transaction. A table of its own, because few transactions have one.
create table transaction_references (
    owner           text collate "C" not null,
    reference       text collate "C" not null,
    transaction_id  uuid not null,
    -- SHA-256 of what was asked: the same is answered again, anything else is refused.
    intent          bytea not null,
    -- As in idempotency_keys, and for good.
    answer          bytea not null,

    constraint transaction_references_pkey primary key (owner, reference),
    constraint transaction_references_intent_is_a_hash check (octet_length(intent) = 32)
);

-- What was taken back of a transaction, part after part. Two instances that take back the same part at once clash on its
-- number, and what was moved is said again, so that the parts never come to more.
create table transaction_reversals (
    transaction_id  uuid    not null,
    part            integer not null,
    -- The transaction that took it back.
    reversal_id     uuid    not null,
    -- Minor units.
    amount          bigint  not null,
    -- All that was taken back by then, this included.
    reversed_after  bigint  not null,
    -- What the transaction moved.
    of_amount       bigint  not null,
    reason          text    not null,

    constraint transaction_reversals_pkey primary key (transaction_id, part),
    constraint transaction_reversals_part_is_positive check (part >= 1),
    constraint transaction_reversals_amount_is_positive check (amount > 0),
    constraint transaction_reversals_parts_add_up check (
        case when part = 1 then reversed_after = amount else reversed_after > amount end
    ),
    constraint transaction_reversals_are_not_above_amount check (reversed_after <= of_amount)
);

-- A caller's own name of a wallet. A table of its own, because few wallets have one.
create table wallet_external_ids (
    -- Who made the wallet; names are unique for an owner.
    owner        text collate "C" not null,
    external_id  text collate "C" not null,
    wallet_id    uuid not null,

    constraint wallet_external_ids_pkey primary key (owner, external_id)
);

create table wallet_events (
    wallet_id       uuid        not null,
    sequence        bigint      not null,
    event_id        uuid        not null,
    schema_version  smallint    not null,
    -- Open on purpose: the rules write it, and a new one needs no migration here.
    kind            text        not null,
    transaction_id  uuid,
    -- Minor units, signed; null when the event moved no money.
    amount          bigint,
    balance_after   bigint      not null,
    -- How much of that was set aside: rows that say nothing of it had nothing.
    held_after      bigint      not null default 0,
    -- Never decreases along a wallet's sequence.
    occurred_at     timestamptz not null,
    actor           text        not null,
    -- For whom, when that is another than the actor.
    subject         text        collate "C",
    correlation_id  text,
    -- The kind's data as JSON text: text, because jsonb would reorder what is only stored and given back.
    data            text        not null,
    -- The previous hash is the hash of sequence - 1.
    hash            bytea       not null,

    constraint wallet_events_pkey primary key (wallet_id, sequence),
    constraint wallet_events_sequence_is_positive check (sequence >= 1),
    constraint wallet_events_amount_is_not_zero check (amount <> 0),
    constraint wallet_events_amount_has_a_transaction check ((amount is null) = (transaction_id is null)),
    constraint wallet_events_hash_is_a_hash check (octet_length(hash) = 32)
);

-- Money that is set aside in a wallet. A row changes only with its wallet, whose event says so: the guard of the wallet's
-- version is the guard of its holds.
create table holds (
    id            uuid        not null,
    wallet_id     uuid        not null,
    status        text        not null,
    -- Minor units: what is authorised in all, and what became of it. The rest is set aside.
    amount        bigint      not null,
    captured      bigint      not null,
    released      bigint      not null,
    -- Where captures go; null when they leave the system.
    to_wallet_id  uuid,
    expires_at    timestamptz not null,
    -- When the service does something by itself: says that the end is near, or ends it. Null when nothing is left to do.
    due_at        timestamptz,
    reference     text        collate "C",
    description   text,
    -- JSON text.
    metadata      text,
    created_at    timestamptz not null,
    updated_at    timestamptz not null,

    constraint holds_pkey primary key (id),
    constraint holds_status_is_known check (status in ('open', 'captured', 'released', 'expired')),
    constraint holds_amount_is_positive check (amount > 0),
    constraint holds_captured_is_not_negative check (captured >= 0),
    constraint holds_released_is_not_negative check (released >= 0),
    constraint holds_parts_are_not_above_amount check (captured + released <= amount),
    constraint holds_remain_while_open check ((status = 'open') = (captured + released < amount)),
    constraint holds_are_due_while_open check ((status = 'open') = (due_at is not null))
);

-- GET /wallets/{id}/holds.
create index holds_wallet_id_idx on holds (wallet_id, id);

-- What the clock brings, in the order in which it does. Holds that are over are not in it.
create index holds_due_at_idx on holds (due_at) where due_at is not null;

-- What was answered to commands with a key, until it expires.
create table idempotency_keys (
    owner        text        collate "C" not null,
    key          text        collate "C" not null,
    -- SHA-256 of what was asked: another request under the same key is refused.
    fingerprint  bytea       not null,
    -- What the ledger decided, without what stands in the journal; its first byte is the version of the form.
    answer       bytea       not null,
    expires_at   timestamptz not null,

    constraint idempotency_keys_pkey primary key (owner, key),
    constraint idempotency_keys_fingerprint_is_a_hash check (octet_length(fingerprint) = 32)
);

-- Expired answers are deleted in this order.
create index idempotency_keys_expires_at_idx on idempotency_keys (expires_at);

-- What was asked of a wallet and refused, for those who reach it, until it is forgotten. No part of the journal: nothing
-- happened.
create table refusals (
    wallet_id       uuid        not null,
    -- Begins with the millisecond at which it was asked.
    id              uuid        not null,
    kind            text        not null,
    code            text        not null,
    actor           text        not null,
    subject         text        collate "C",
    correlation_id  text,
    -- What was asked, and why not: JSON text.
    asked           text        not null,
    refusal         text        not null,
    refused_at      timestamptz not null,

    constraint refusals_pkey primary key (wallet_id, id)
);

-- Old ones are deleted in this order.
create index refusals_refused_at_idx on refusals (refused_at);

-- Events that Kafka has not acknowledged yet: one row holds a few kilobytes of them, in binary, in the order in which
-- they happened.
--
-- The id is drawn while the rows of the wallets concerned are locked, so the events of one wallet stand in id order. That
-- needs a sequence without a cache: a session that keeps numbers aside would use them late. Ids of different wallets may
-- become visible in any order, so nothing may remember "all up to here".
create table outbox (
    id           bigint      not null generated always as identity (cache 1 no cycle),
    entries      bytea       not null,
    event_count  integer     not null,
    created_at   timestamptz not null default now(),

    constraint outbox_pkey primary key (id),
    constraint outbox_event_count_is_positive check (event_count >= 1)
);

-- Which relay sends the outbox. Its holder renews it, by this server's clock; one that was not renewed is free, whatever
-- became of its holder. Two holders by accident cost a message sent twice and nothing else.
create table relay_lease (
    only_row    boolean     not null default true,
    holder      uuid        not null,
    -- The session that took it: when that is gone, nobody needs to wait.
    backend     integer     not null,
    renewed_at  timestamptz not null,
    -- When another relay last asked for it: a holder that cannot reach Kafka gives it away then.
    wanted_at   timestamptz,
    -- Every row of the outbox up to this id is sent and deleted, and none can appear there any more.
    settled_id  bigint      not null default 0,

    constraint relay_lease_pkey primary key (only_row),
    constraint relay_lease_has_one_row check (only_row),
    constraint relay_lease_settled_id_is_not_negative check (settled_id >= 0)
);

-- The topics that this ledger has sent to, and what the relay saw of each at its last look.
create table event_topics (
    topic              text        collate "C" not null,
    cluster_id         text,
    partitions         integer     not null,
    -- The largest message that it takes; null when Kafka does not say.
    message_bytes_max  bigint,
    -- For each partition, the offset after the last message that Kafka acknowledged.
    next_offsets       bigint[]    not null,
    -- What is wrong with it, in words; every instance shows it.
    faults             text[]      not null,
    looked_at          timestamptz not null,
    -- Since when acknowledged messages are known to be gone, until everything was sent again.
    lost_at            timestamptz,
    -- An operator wants it made again, should it be gone.
    make_again         boolean     not null default false,

    constraint event_topics_pkey primary key (topic),
    constraint event_topics_partitions_is_positive check (partitions >= 1)
);

-- Stored events that go through the outbox once more, on an operator's word: what for, and how far it is.
create table republications (
    id                 uuid        not null,
    -- `all`, `wallet:` and an id, or `since:` and a time: what is under way is not begun a second time.
    target             text        collate "C" not null,
    -- Only this wallet.
    wallet_id          uuid,
    -- Only events from then on.
    since              timestamptz,
    actor              text        not null,
    requested_at       timestamptz not null default clock_timestamp(),
    -- What was sent since then is all of it. Later than the request when the topic lost messages meanwhile: then an order of
    -- everything begins anew.
    began_at           timestamptz not null default clock_timestamp(),
    events_per_second  integer     not null,
    -- The wallet in hand, its last event that is in the outbox again, and the last one that has to be: what comes later
    -- is sent by itself.
    at_wallet          uuid        not null default '00000000-0000-0000-0000-000000000000',
    at_sequence        bigint      not null default 0,
    until_sequence     bigint      not null default 0,
    wallets            bigint      not null default 0,
    events             bigint      not null default 0,
    -- Wallets whose events could not all be read, and the first reason.
    faulty_wallets     bigint      not null default 0,
    fault              text,
    -- The instance that works on it.
    worker             uuid,
    worked_at          timestamptz,
    finished_at        timestamptz,

    constraint republications_pkey primary key (id),
    constraint republications_has_one_target check (num_nonnulls(wallet_id, since) <= 1),
    constraint republications_events_per_second_is_positive check (events_per_second >= 1)
);

create unique index republications_target_is_under_way_once on republications (target) where finished_at is null;

-- How far the clock of an installation for tests was set ahead. Everywhere else it is empty, for ever.
create table test_clock (
    only_row  boolean not null default true,
    seconds   bigint  not null,

    constraint test_clock_pkey primary key (only_row),
    constraint test_clock_has_one_row check (only_row),
    constraint test_clock_is_never_behind check (seconds >= 0)
);

-- Ends the statement that calls it when fewer wallets still had the expected version than the batch touches.
create function require_all_versions_held(held bigint, expected bigint) returns boolean
language plpgsql as $$
begin
    if held <> expected then
        raise exception 'version guard: % of % wallets still had the expected version', held, expected
            using errcode = 'WV409';
    end if;
    return true;
end
$$;

-- Append-only, for the tables' owner as well: a statement trigger costs nothing on insert.
create function refuse_change() returns trigger
language plpgsql as $$
begin
    raise exception '% is append-only: % is refused', tg_table_name, lower(tg_op)
        using errcode = 'restrict_violation';
end
$$;

create trigger wallet_events_are_append_only
    before update or delete or truncate on wallet_events execute function refuse_change();
create trigger transactions_are_append_only
    before update or delete or truncate on transactions execute function refuse_change();
create trigger transaction_references_are_append_only
    before update or delete or truncate on transaction_references execute function refuse_change();
create trigger wallet_external_ids_are_append_only
    before update or delete or truncate on wallet_external_ids execute function refuse_change();
create trigger transaction_reversals_are_append_only
    before update or delete or truncate on transaction_reversals execute function refuse_change();

-- For SQL users: the journal as an accountant reads it. A wallet is what we owe its owner, so money in is a credit.
create view journal_entries as
select e.transaction_id,
       e.wallet_id,
       w.user_id,
       e.sequence,
       e.kind,
       w.currency,
       case when e.amount < 0 then -e.amount end as debit,
       case when e.amount > 0 then e.amount end  as credit,
       e.balance_after,
       e.occurred_at
from wallet_events e
join wallets w on w.id = e.wallet_id
where e.transaction_id is not null;

-- For SQL users: what moved in each wallet, with what was written on it and who did it.
create view wallet_transactions as
select w.user_id,
       e.wallet_id,
       w.currency,
       e.sequence,
       e.kind as event_kind,
       e.transaction_id,
       t.kind,
       e.amount,
       e.balance_after,
       e.held_after,
       t.reference,
       t.description,
       t.metadata::jsonb as metadata,
       e.actor,
       e.subject,
       e.correlation_id,
       array_remove(t.leg_wallets, e.wallet_id) as other_wallets,
       e.occurred_at
from wallet_events e
join wallets w on w.id = e.wallet_id
join transactions t on t.id = e.transaction_id;

-- Tuning. A server that does not know one of these settings goes on without it, so each may fail alone.
do $$
declare
    statement text;
begin
    for statement in
        -- Room for the next row version on the same page: updates touch no indexed column, so they stay heap-only.
        values ('alter table wallets set (fillfactor = 70)'),
               ('alter table holds set (fillfactor = 80)'),
               ('alter table wallets set (autovacuum_vacuum_scale_factor = 0.05)'),
               ('alter table outbox set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000)'),
        -- One row that is renewed every other second, on one page.
               ('alter table relay_lease set (fillfactor = 10)'),
        -- Rows of up to 8 kB stay in the table: compressing or moving them aside costs more than it saves for rows that
        -- live for milliseconds.
               ('alter table outbox set (toast_tuple_target = 8160)'),
               ('alter table outbox alter column entries set storage external')
        union all
        -- Autovacuum gathers statistics every few seconds while tables grow fast, and commands wait for a core meanwhile: a
        -- tenth of the usual sample is plenty for the queries of people, and none is needed of what no query compares. The
        -- service's own statements look up by index whatever the statistics say.
        select format('alter table %s alter column %I set statistics %s', attrelid::regclass, attname,
                      case when attname in ('head_hash', 'hash', 'data', 'description', 'metadata', 'leg_wallets',
                                            'leg_sequences', 'fingerprint', 'answer', 'entries', 'freeze_reason',
                                            'freeze_actor', 'label', 'limits', 'asked', 'refusal', 'intent', 'reason')
                           then 0 else 10 end)
        from pg_attribute
        where attrelid in ('wallets'::regclass, 'transactions'::regclass, 'transaction_references'::regclass,
                           'transaction_reversals'::regclass,
                           'wallet_external_ids'::regclass, 'wallet_events'::regclass, 'holds'::regclass, 'idempotency_keys'::regclass, 'refusals'::regclass, 'outbox'::regclass,
                           'relay_lease'::regclass, 'event_topics'::regclass, 'republications'::regclass,
                           'test_clock'::regclass)
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
