/** People in the CRM: one click after the other, on contacts that the mirror knows as their own side's or as paired. */
import { setTimeout as pause } from 'node:timers/promises';
import type { SandboxAccount } from '../../src/sandbox/crm/account.ts';
import type { AccountContact } from '../../src/sandbox/crm/records.ts';
import { createDice, type Dice } from '../sim/dice.ts';
import type { People } from './local-people.ts';
import { FIELDS, type Soul, type Souls } from './souls.ts';
import type { Tally } from './verdict.ts';

export interface RemotePeopleOptions {
  readonly account: SandboxAccount;
  readonly seed: number;
  readonly souls: Souls;
  readonly tally: Tally;
  readonly deletesMax: number;
  /** These people link the odd ones. */
  readonly companies: readonly number[];
  readonly deals: readonly number[];
}

const REST_MS = 200;
/** A trashed contact stays so for a while, or for good. */
const BACK_AFTER_MS = 4_000;

export const startRemotePeople = ({ account, souls, tally, ...options }: RemotePeopleOptions): People => {
  const stopping = new AbortController();
  const dice = createDice(options.seed);
  const trashed: { readonly soul: Soul; readonly atMs: number }[] = [];

  const edit = (soul: Soul, contact: AccountContact): void => {
    const field = dice.chance(0.15) ? ('state' as const) : dice.pick(FIELDS.remote);
    const value = field !== 'state' && dice.chance(0.1) ? null : souls.next('remote');
    account.update(contact.id, { [field]: value });
    souls.write(soul, 'remote', field, value);
    tally.add('remote edits');
  };
  const editPhone = (soul: Soul, contact: AccountContact): void => {
    const own = [...soul.elements.values()].find(({ kind, side, present }) => kind === 'phones' && side === 'remote' && present);
    const phones = contact.phones.map(({ number, type }) => ({ number, type }));
    const number = own === undefined ? `+49 170 ${souls.next('remote')}` : String(own.element);
    const list = own === undefined ? [...phones, { number, type: 'mobile' }] : phones.filter((phone) => phone.number !== number);
    account.update(contact.id, { phones: list });
    souls.put(soul, 'remote', 'phones', number, own === undefined);
    tally.add('remote edits of phones');
  };
  const editLink = (soul: Soul, contact: AccountContact, kind: 'companies' | 'deals'): void => {
    const id = dice.pick(options[kind]);
    const present = !contact[kind].includes(id);
    account[present ? 'attach' : 'detach'](contact.id, { [kind]: [id] });
    souls.put(soul, 'remote', kind, id, present);
    tally.add('remote link edits');
  };
  const create = (): void => {
    const tag = souls.next('remote');
    const title = souls.next('remote');
    const email = dice.chance(0.5) ? { email: `${tag}remote@soak.example` } : {};
    const { id } = account.create({ first_name: 'Made', last_name: tag, job_title: title, ...email });
    const soul = souls.add({ tag, origin: 'remote', doomed: dice.chance(0.3), crmId: id, rowId: null });
    souls.write(soul, 'remote', 'job_title', title);
    tally.add('remote creates');
  };
  const trash = (soul: Soul, contact: AccountContact): void => {
    account.delete(contact.id);
    soul.deletedBy ??= 'remote';
    trashed.push({ soul, atMs: performance.now() });
    tally.add('remote deletes');
  };
  const restore = (): void => {
    const at = trashed.findIndex(
      ({ atMs, soul }) => performance.now() - atMs > BACK_AFTER_MS && soul.deletedBy === 'remote' && soul.doomed,
    );
    const [back] = at < 0 ? [] : trashed.splice(at, 1);
    if (back?.soul.crmId == null || account.contact(back.soul.crmId)?.deletedAtMs == null) return;
    account.restore(back.soul.crmId);
    back.soul.deletedBy = null;
    tally.add('remote restores');
  };

  const act = (throwOf: number, dice: Dice): void => {
    if (throwOf < 12) return create();
    if (throwOf < 15) return restore();
    // A contact is known here by the mirror's word: one whose create is in doubt would be renamed before anybody could ask for it.
    const known = souls.all.filter(
      ({ crmId, rowId, origin, doomed, deletedBy }) =>
        crmId !== null && (rowId !== null || origin === 'remote') && deletedBy !== 'remote' && !(doomed && origin === 'local'),
    );
    if (known.length === 0) return create();
    const soul = dice.pick(known);
    const contact = account.contact(soul.crmId ?? 0);
    if (contact === null || contact.deletedAtMs !== null) return;
    if (throwOf < 68) return edit(soul, contact);
    if (throwOf < 76) return editPhone(soul, contact);
    if (throwOf < 92) return editLink(soul, contact, dice.pick(['companies', 'deals'] as const));
    if (tally.get('remote deletes') >= options.deletesMax) return;
    if ((soul.doomed && soul.origin === 'remote') || dice.chance(0.2)) trash(soul, contact);
  };
  const done = (async () => {
    while (!stopping.signal.aborted) {
      act(dice.below(100), dice);
      await pause(REST_MS + dice.below(2 * REST_MS), undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  })();
  return {
    stop: async () => {
      stopping.abort();
      await done;
    },
  };
};
