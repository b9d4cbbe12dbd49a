/** What people write is data, whatever it looks like: on its way into SQL, into the CRM's query language, and back. */
import { expect, it } from 'vitest';
import { openWorld, succeeded, TIMEOUT, until } from '../e2e/world.ts';

const NASTY = [
  `'; drop table crm.contacts; --`,
  `$$; drop schema sync cascade; $$`,
  `\\'; select pg_sleep(10); --`,
  `"; delete from crm.contacts; "`,
  `%s %I %L %1$s {0} \${x}`,
  `*/ drop table crm.contacts; /*`,
  `<script>alert(1)</script><img src=x onerror=alert(1)>`,
  `first_name:Ada;email:x`,
  `{"__proto__":{"polluted":true}}`,
  `E'\\x27'; U&'\\0027'`,
  `\u202etxt.exe \u200b|${'x'.repeat(100)}`,
  `null`,
  `;:|=&?#%00%27`,
];

it('stays what it is, through push, pull and search', TIMEOUT, async ({ onTestFinished }) => {
  const world = await openWorld({ seed: { contacts: NASTY.length } });
  onTestFinished(() => world.close());
  world.start(['start']);
  await world.inStep();
  const ids = world.account.contacts().map(({ id }) => id);
  // From the CRM, …
  for (const [index, text] of NASTY.entries()) world.account.update(ids[index] ?? 0, { job_title: text.trim(), cf_nickname: text.trim() });
  await world.inStep();
  const pulled = await world.sql('select job_title, custom_fields from crm.contacts order by crm_id');
  expect(pulled.map(({ job_title: title }) => title)).toEqual(NASTY.map((text) => text.trim()));
  // … and into it.
  for (const text of NASTY) await world.sql('insert into crm.contacts (first_name, last_name, city) values ($1, $1, $1)', [text]);
  await world.inStep();
  const pushed = world.account.contacts().slice(NASTY.length);
  expect(new Set(pushed.map(({ city }) => city))).toEqual(new Set(NASTY.map((text) => text.trim())));
  // A field that is called like SQL is refused or kept as a name, and never run.
  const names = [`cf_x'; drop table crm.contacts; --`, 'cf_"; drop schema crm cascade; --', 'cf___proto__', 'cf_%I$$'];
  const codes: unknown[] = [];
  for (const name of names) {
    const change = `update crm.contacts set custom_fields = custom_fields || jsonb_build_object($1::text, 1) where crm_id = $2`;
    await world.sql(change, [name, ids[0]]).catch((error: unknown) => codes.push((error as { code?: string }).code));
  }
  expect(new Set(codes)).toEqual(new Set(['23514']));
  for (const text of NASTY.slice(0, 8)) succeeded(await world.run(['search', text, '--json']));
  await until(
    'everything is there',
    async () => (await world.sql('select count(*)::int as n from crm.contacts'))[0]?.['n'] === NASTY.length * 2,
  );
  expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
});
