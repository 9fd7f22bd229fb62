-- Fills the log to min_wal_size, once, when the databases are made: the checkpoint at the server's end keeps its files
-- for use again. A commit that needs the next file finds it there; making one (16 MB, written and flushed) takes longer
-- than the commit. One statement a line: single-user mode reads it so.
DO $$ BEGIN FOR i IN 2..pg_size_bytes(current_setting('min_wal_size')) / pg_size_bytes(current_setting('wal_segment_size')) LOOP PERFORM pg_logical_emit_message(false, 'ahead', ''); PERFORM pg_switch_wal(); END LOOP; END $$;
