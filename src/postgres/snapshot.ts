/** The mirror's contacts as they stand, all of them at once: for the demo and for checks, not for the sync. */
import type pg from 'pg';
import type { ContactFields, LinkSets } from '../domain/contact.ts';

export interface MirroredContact {
  readonly contactId: number;
  readonly crmId: number | null;
  readonly fields: ContactFields;
  readonly links: LinkSets;
}

const SNAPSHOT = `
  select id as "contactId", crm_id as "crmId",
    jsonb_build_object('first_name', first_name, 'last_name', last_name, 'email', email, 'job_title', job_title, 'street', street, 'city', city,
      'state', state, 'postal_code', postal_code, 'user_id', user_id, 'source_id', source_id, 'country_id', country_id, 'phones', phones,
      'custom_fields', custom_fields) as fields,
    jsonb_build_object(
      'companies', (select coalesce(jsonb_agg(company_id order by company_id), '[]') from crm.contact_companies l where l.contact_id = c.id),
      'deals', (select coalesce(jsonb_agg(deal_id order by deal_id), '[]') from crm.contact_deals l where l.contact_id = c.id),
      'activities', (select coalesce(jsonb_agg(activity_id order by activity_id), '[]') from crm.contact_activities l where l.contact_id = c.id)
    ) as links
  from crm.contacts c order by crm_id`;

export const readSnapshot = async (pool: pg.Pool): Promise<readonly MirroredContact[]> =>
  (await pool.query<MirroredContact>(SNAPSHOT)).rows;
