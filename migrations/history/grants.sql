-- Who may do what in the database of history-service. `history-service migrate` runs it after the migrations, as the owner
-- of the tables, in one transaction; psql can as well: psql -1 -f migrations/history/grants.sql. Again changes nothing.
--
-- history_owner owns everything and migrates. history_service is what the service connects as: it writes what it has to, and
-- what is append-only it can only append to; the tables, and the triggers on them, are not its own. history_auditor reads.
-- Whoever is given one of these roles (`grant history_service to …`) may do what it may.

-- Nothing that is not said here.
do $$
declare
    own text := quote_ident(current_schema());
begin
    if pg_has_role((select datdba from pg_database where datname = current_database()), 'usage') then
        execute format('revoke all on database %I from public, history_service, history_auditor', current_database());
        execute format('grant connect on database %I to history_service, history_auditor', current_database());
        execute format('revoke all on schema %s from public, history_service, history_auditor', own);
    end if;
    execute format('revoke all on all tables in schema %s from public, history_service, history_auditor', own);
    execute format('revoke all on all sequences in schema %s from public, history_service, history_auditor', own);
    execute format('revoke all on all functions in schema %s from public, history_service, history_auditor', own);
    execute format('grant usage on schema %s to history_service, history_auditor', own);
    execute format('grant select on all tables in schema %s to history_auditor', own);
end
$$;

-- Whether the schema is complete.
grant select on _sqlx_migrations to history_service;

-- Append-only. Events leave by the function alone, which keeps them in set_aside_events.
grant select, insert on events, wallets, quarantine, quarantine_resolutions to history_service;
grant select on set_aside_events to history_service;
-- Events are archived and restored by the owner of the tables alone.
grant select on archives, archived_wallets, archived_months, archived_quarters to history_service;
grant execute on function set_events_aside to history_service;
grant select on wallet_heads to history_service;
-- A wallet's owner that was changed by hand is put right by a rebuild.
grant update (user_id, currency) on wallets to history_service;
grant execute on function first_sequence_since to history_service, history_auditor;

-- Where to go on: never deleted.
grant select, insert, update on consumer_offsets, rebuilds to history_service;

-- What waits, and goes when it is done. The right to change one column is what it takes to lock a row.
grant select, insert, delete on parked_events to history_service;
grant select, insert, delete, update (waiting_since) on waiting_events to history_service;
-- One that is behind its rows is moved on by drawing from it.
grant usage on sequence quarantine_id_seq, rebuilds_id_seq to history_service;
grant select, insert, update, delete on refills to history_service;

-- How far history is proved, and what was found.
grant select, insert, update on proofs to history_service;
grant select, update on proof_state to history_service;
grant select, insert, update, delete on drifts to history_service;

-- What is counted while events are written.
grant select, insert, update on report_quarters, report_days, wallet_months, wallet_months_to to history_service;
grant select on counted_events to history_service;
-- It is counted anew when rows come back.
grant select, update on recount_state to history_service;
grant execute on function recount_reports, recount_months to history_service;
