-- Outbox rows in binary: a third of the bytes that JSON took. Only the relay reads them; the same events stand in
-- wallet_events. Rows that wait are kept as the bytes of their JSON, which begins with '[' as no row written from now on
-- does, and are sent like all others.

alter table outbox
    alter column entries type bytea using convert_to(entries, 'UTF8'),
    -- Another type comes with its own default.
    alter column entries set storage external;
