-- Statistics of columns from a tenth of the usual sample, and none of what no query compares.
--
-- Autovacuum gathers them every few seconds while tables grow fast, and the usual sample of events takes a core for 0.3 s (at
-- 650,000 events; now 0.03 s), which commands of that second wait for. The service's own statements look up by index whatever
-- the statistics say; for the queries of people a tenth is plenty.

do $$
declare
    place record;
begin
    for place in
        select attrelid::regclass as its_table, attname as its_column
        from pg_attribute
        where attrelid in ('events'::regclass, 'wallets'::regclass, 'consumer_offsets'::regclass,
                           'parked_events'::regclass, 'quarantine'::regclass)
          and attnum > 0 and not attisdropped
    loop
        execute format('alter table %s alter column %I set statistics %s', place.its_table, place.its_column,
            case when place.its_column in ('hash', 'data', 'key', 'value', 'headers', 'detail', 'content_hash')
                 then 0 else 10 end);
    end loop;
end
$$;
