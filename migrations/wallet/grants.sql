-- Who may do what in the database of wallet-service. `wallet-service migrate` runs it after the migrations, as the owner of
-- the tables, in one transaction; psql can as well: psql -1 -f migrations/wallet/grants.sql. Again changes nothing.
--
-- wallet_owner owns everything and migrates. wallet_service is what the service connects as: it writes what it has to, and
-- what is append-only it can only append to; the tables, and the triggers on them, are not its own. wallet_auditor reads.
-- Whoever is given one of these roles (`grant wallet_service to …`) may do what it may.

-- Nothing that is not said here.
do $$
declare
    own text := quote_ident(current_schema());
begin
    if pg_has_role((select datdba from pg_database where datname = current_database()), 'usage') then
        execute format('revoke all on database %I from public, wallet_service, wallet_auditor', current_database());
        execute format('grant connect on database %I to wallet_service, wallet_auditor', current_database());
        execute format('revoke all on schema %s from public, wallet_service, wallet_auditor', own);
    end if;
    execute format('revoke all on all tables in schema %s from public, wallet_service, wallet_auditor', own);
    execute format('revoke all on all sequences in schema %s from public, wallet_service, wallet_auditor', own);
    execute format('revoke all on all functions in schema %s from public, wallet_service, wallet_auditor', own);
    execute format('grant usage on schema %s to wallet_service, wallet_auditor', own);
    execute format('grant select on all tables in schema %s to wallet_auditor', own);
end
$$;

-- Whether the schema is complete.
grant select on _sqlx_migrations to wallet_service;

-- State: never deleted.
grant select, insert, update on wallets, holds to wallet_service;
grant execute on function require_all_versions_held to wallet_service;

-- Append-only.
grant select, insert on transactions, transaction_references, transaction_reversals, wallet_external_ids, wallet_events
    to wallet_service;
grant select on journal_entries, wallet_transactions to wallet_service;

-- Answers and refusals are forgotten.
grant select, insert, delete on idempotency_keys, refusals to wallet_service;

-- Rows go when Kafka has them, and get shorter when it has a part of them.
grant select, insert, delete, update (entries, event_count) on outbox to wallet_service;
grant select on sequence outbox_id_seq to wallet_service;
grant select, insert, update on relay_lease, event_topics, republications, test_clock to wallet_service;
