/** Everything of both sides, row versions included, so that a command that changes nothing can be seen to change nothing. */
import type { World } from './world.ts';

const TABLES = `
  select format('%I.%I', n.nspname, c.relname) as name, c.relkind::text as kind
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast') and c.relkind in ('r', 'S')
    and format('%s.%s', n.nspname, c.relname) <> 'sync.leader'
  order by 1`;

/** Each table as a hash of all its tuples with the transactions that wrote them, each sequence as it stands, and the CRM's contacts. */
export const footprint = async ({ sql, account }: World): Promise<{ readonly [what: string]: unknown }> => {
  const found: { [what: string]: unknown } = { crm: account.contacts() };
  for (const table of await sql(TABLES)) {
    const [name, kind] = [String(table['name']), table['kind']];
    const [row] = await sql(
      kind === 'S'
        ? `select last_value::text || is_called::text as state from ${name}`
        : `select md5(coalesce(string_agg(t.ctid::text || t.xmin::text || t.xmax::text || t::text, ',' order by t.ctid), '')) as state from ${name} t`,
    );
    found[name] = row?.['state'];
  }
  return found;
};

/** What reached the CRM since `account.calls.clear()`. */
export const methodsOf = ({ account }: World): readonly string[] => [...new Set(account.calls.calls.map(({ method }) => method))];
