-- Who is who in the mirror's database. What each may do is granted by `relate-mirror migrate` (`relate-mirror grants` prints it).
-- Written for psql, run by a superuser at each start; whatever is there already stays.
\set owner_password `cat /run/secrets/owner_password`
\set daemon_password `cat /run/secrets/daemon_password`
\set reader_password `cat /run/secrets/reader_password`
\set editor_password `cat /run/secrets/editor_password`
set client_min_messages = warning;
begin;
set local log_statement = 'none';
-- Logins for people and programs are members of these.
select format('create role %I nologin', role) from unnest(array['relate_mirror_reader', 'relate_mirror_reader_masked', 'relate_mirror_editor']) role
where not exists (select from pg_roles where rolname = role) \gexec
select format('create role %I login', role)
from unnest(array['relate_mirror_owner', 'relate_mirror_daemon', 'mirror_reader', 'mirror_editor']) role
where not exists (select from pg_roles where rolname = role) \gexec
alter role relate_mirror_owner password :'owner_password';
alter role relate_mirror_daemon password :'daemon_password';
alter role mirror_reader password :'reader_password';
alter role mirror_editor password :'editor_password';
grant relate_mirror_reader to mirror_reader;
grant relate_mirror_editor to mirror_editor;
comment on role relate_mirror_owner is 'Owns the schemas and migrates them; not used otherwise.';
comment on role mirror_reader is 'A login for BI tools.';
comment on role mirror_editor is 'A login for people and programs that edit contacts.';
alter database relate_mirror owner to relate_mirror_owner;
revoke all on database relate_mirror from public;
grant connect on database relate_mirror to relate_mirror_daemon, relate_mirror_reader, relate_mirror_reader_masked, relate_mirror_editor;
commit;
