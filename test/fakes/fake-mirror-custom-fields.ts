/** Steps on the definitions of custom fields. */
import { sameValue, type CustomFieldDef } from '../../src/domain/contact.ts';
import type { MirrorTx } from '../../src/ports/mirror.ts';
import type { Step } from './fake-rows.ts';

export const createCustomFieldSteps = ({
  tx,
  world,
}: Step): Pick<MirrorTx, 'saveCustomFields' | 'declareCustomFields' | 'wantCustomFields' | 'reviveCustomFields'> => {
  const { customFields, customFieldList } = world.tables;
  const put = (def: CustomFieldDef): void => {
    if (!sameValue(tx.get(customFields, def.name), def)) tx.put(customFields, def.name, def);
  };
  const list = () => tx.get(customFieldList, 'only') ?? { readAt: null, wantedAt: null };
  return {
    saveCustomFields: async (defs) => defs.forEach(put),
    declareCustomFields: async (defs) => {
      const names = new Set(defs.map(({ name }) => name));
      for (const def of tx.all(customFields)) if (def.origin === 'crm' && !names.has(def.name)) put({ ...def, listed: false });
      defs.forEach(put);
      tx.put(customFieldList, 'only', { ...list(), readAt: world.now() });
    },
    wantCustomFields: async () => {
      const { readAt, wantedAt } = list();
      if (wantedAt === null || (readAt !== null && wantedAt < readAt)) tx.put(customFieldList, 'only', { readAt, wantedAt: world.now() });
    },
    reviveCustomFields: async (names) => {
      for (const name of names) {
        const def = tx.get(customFields, name);
        if (def?.gone === true) put({ ...def, gone: false });
      }
    },
  };
};
