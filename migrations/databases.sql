-- Run by psql in the postgres container when its data folder is new: the services' role, and a database for each.

\getenv password POSTGRES_PASSWORD
create role wallet_system login createdb password :'password';
create database wallet owner wallet_system;
create database history owner wallet_system;
