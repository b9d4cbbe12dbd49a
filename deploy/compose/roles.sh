#!/bin/sh
# Makes the mirror's roles, and gives them the passwords of this start: passwords that were changed in secrets/ count from the next start on.
# Passwords are read by psql itself, so that no command line shows one.
set -eu
export PGHOST=postgres PGUSER=postgres PGDATABASE=relate_mirror PGCONNECT_TIMEOUT=10
PGPASSWORD=$(cat /run/secrets/postgres_password)
export PGPASSWORD
exec psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --file /deploy/roles.sql
