/** Open conflicts: the same field edited on both sides, side by side, with a choice. */
import { actionButton } from './access.js';
import { showGroup } from './attention.js';
import { ask } from './dialogs.js';
import { byId, h } from './dom.js';
import { contactName } from './format.js';
import { since } from './time.js';
import { toJson, valueOf } from './values.js';

/** @typedef {(id: number, choice: string, said: string) => Promise<void>} Resolve */

/**
 * @param {object} options
 * @param {readonly import('./types.js').Conflict[]} options.items
 * @param {number} options.total
 * @param {import('./access.js').Access} options.access
 * @param {Resolve} options.resolve
 */
export const showConflicts = ({ items, total, access, resolve }) =>
  showGroup(byId('conflicts'), {
    title: 'In conflict',
    explain:
      'Both sides changed the same field since they last agreed. Each keeps its value until you choose; the rest of the contact flows.',
    items,
    total,
    access,
    keyOf: ({ id }) => id,
    render: (conflict) => renderConflict(conflict, access, resolve),
    sql: "select * from sync.conflicts where state = 'open';",
  });

/**
 * @param {import('./types.js').Conflict} conflict
 * @param {import('./access.js').Access} access
 * @param {Resolve} resolve
 */
const renderConflict = (conflict, access, resolve) => {
  const { id, field, contact_id: contactId, crm_id: crmId, at } = conflict;
  const isWhole = field === 'contact';
  const about = `${isWhole ? 'the whole contact' : field} of contact ${contactId}`;
  const side = (/** @type {string} */ name, /** @type {'base' | 'local' | 'remote'} */ key, /** @type {HTMLElement | null} */ button) =>
    h(
      'div',
      { class: 'side', 'data-side': key },
      h('h5', {}, name),
      h('div', { class: 'side-value' }, key in conflict ? shown(conflict[key], isWhole) : h('span', { class: 'hidden-value' }, 'hidden')),
      button,
    );
  const keep = (/** @type {'mirror' | 'crm'} */ choice, /** @type {string} */ label) =>
    actionButton({
      label,
      name: choice,
      access,
      about,
      onPress: async () => {
        if (isWhole) await confirmWhole(conflict, choice, resolve);
        else await resolve(id, choice, `${field} of contact ${contactId}: the ${choice === 'crm' ? 'CRM' : 'mirror'}’s value stands.`);
      },
    });
  return h(
    'li',
    { class: 'item card' },
    h(
      'div',
      { class: 'item-head' },
      h(
        'div',
        {},
        h('h4', {}, isWhole ? 'Deleted on one side, edited on the other' : h('code', {}, field)),
        h('p', { class: 'meta' }, contactName(contactId, crmId), ' · ', since(at)),
      ),
      isWhole
        ? null
        : actionButton({
            label: 'Another value…',
            name: 'other',
            access,
            about,
            onPress: async () => await chooseOther(conflict, resolve),
          }),
    ),
    h(
      'div',
      { class: 'sides' },
      side('Before', 'base', null),
      side('In the mirror', 'local', keep('mirror', isWhole ? 'Keep the mirror’s…' : 'Keep the mirror’s')),
      side('In the CRM', 'remote', keep('crm', isWhole ? 'Keep the CRM’s…' : 'Keep the CRM’s')),
    ),
  );
};

/**
 * @param {unknown} value
 * @param {boolean} isWhole
 */
const shown = (value, isWhole) => (isWhole && value === null ? h('em', { class: 'empty' }, 'deleted') : valueOf(value ?? null));

/** @param {import('./types.js').Conflict} conflict @param {'mirror' | 'crm'} choice @param {Resolve} resolve */
const confirmWhole = async ({ id, contact_id: contactId }, choice, resolve) => {
  await ask({
    title: choice === 'crm' ? `Follow the CRM for contact ${contactId}?` : `Keep contact ${contactId} as the mirror has it?`,
    body: [
      h(
        'p',
        {},
        choice === 'crm'
          ? 'The deletion is followed: the contact is read from the CRM once more, and if it is still gone its row is removed here.'
          : 'The contact is brought back into the CRM with the edits made here: restored from its trash, or created anew where that is not possible.',
      ),
    ],
    yes: choice === 'crm' ? 'Follow the CRM' : 'Keep the mirror’s',
    danger: choice === 'crm',
    answer: async () => {
      await resolve(id, choice, `Contact ${contactId}: the ${choice === 'crm' ? 'CRM' : 'mirror'} stands.`);
      return true;
    },
  });
};

/** @param {import('./types.js').Conflict} conflict @param {Resolve} resolve */
const chooseOther = async (conflict, resolve) => {
  const { id, field, contact_id: contactId, base, local, remote } = conflict;
  const isText = [base, local, remote].every((value) => value == null || typeof value === 'string');
  const value = local ?? remote ?? null;
  const input = isText
    ? h('input', { id: 'other-value', type: 'text', autocomplete: 'off' })
    : h('textarea', { id: 'other-value', rows: 4, spellcheck: 'false' });
  input.value = isText ? (typeof value === 'string' ? value : '') : JSON.stringify(value);
  await ask({
    title: `Another value for ${field}`,
    body: [
      h('label', { for: 'other-value' }, `${field} of contact ${contactId}${isText ? '' : ', as JSON'}`),
      input,
      h(
        'p',
        { class: 'hint' },
        isText ? 'It goes to both sides. Left empty, the field is emptied.' : 'It goes to both sides. null empties the field.',
      ),
    ],
    yes: 'Use this value',
    answer: async () => {
      await resolve(id, toJson(input.value, isText), `${field} of contact ${contactId}: your value goes to both sides.`);
      return true;
    },
  });
};
