-- Run by psql in the postgres container when its data folder is new: for each service an owner, the role that the service
-- connects as, one that reads, and a database. What each may do is in wallet/grants.sql and history/grants.sql.
-- scripts/lib/postgres.sh has the same for the local stack.

\getenv password POSTGRES_PASSWORD
create role wallet_owner login password :'password';
create role wallet_service login password :'password';
create role wallet_auditor login password :'password';
create database wallet owner wallet_owner;

create role history_owner login password :'password';
create role history_service login password :'password';
create role history_auditor login password :'password';
create database history owner history_owner;
