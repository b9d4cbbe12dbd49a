/** Parked: what the CRM refused, in its own words, with another try. */
import { actionButton } from './access.js';
import { showGroup } from './attention.js';
import { byId, h } from './dom.js';
import { contactName, count } from './format.js';
import { ICONS } from './icons.js';
import { since } from './time.js';

/** What a person can do, by error code; docs/operations.md says more. */
export const REMEDIES = /** @type {Readonly<Record<string, string>>} */ ({
  invalid: 'Mend the row: the new edit takes this one along.',
  bad_request: 'Mend the row: the new edit takes this one along.',
  forbidden: 'Give the token’s user the right to this contact, then retry; or undo the edit.',
  write_ignored: 'The CRM kept its own value: the field may be read only for this token. Give the right and retry, or undo the edit.',
  link_refused: 'The CRM does not know this id, or the token may not see it. Remove the link.',
  several_matches: 'Delete or merge the superfluous contact in the CRM, then retry.',
  database_refused: 'A constraint or trigger of yours refused it. Mend the rule, then retry all.',
  deleted_in_crm: 'The contact is gone in the CRM. Delete the row, or leave it as a note.',
});

/**
 * @param {object} options
 * @param {readonly import('./types.js').Parked[]} options.items
 * @param {number} options.total
 * @param {import('./access.js').Access} options.access
 * @param {(which: { ids: readonly number[] } | { all: true }, said: string) => Promise<void>} options.retry
 */
export const showParked = ({ items, total, access, retry }) =>
  showGroup(byId('parked'), {
    title: 'Parked',
    explain: 'Refused by one side. Each waits here until somebody changes something; it delays nobody else.',
    items,
    total,
    access,
    keyOf: ({ direction, change_id: id, crm_id: crmId }) => `${direction} ${id ?? crmId}`,
    render: (item) => renderParked(item, access, retry),
    all: () =>
      actionButton({
        label: 'Retry all',
        name: 'retry all',
        path: ICONS.again,
        access,
        onPress: async () => await retry({ all: true }, 'Everything that is parked is tried again.'),
      }),
    sql: 'select * from sync.parked;',
  });

/**
 * @param {import('./types.js').Parked} item
 * @param {import('./access.js').Access} access
 * @param {(which: { ids: readonly number[] }, said: string) => Promise<void>} retry
 */
const renderParked = (item, access, retry) => {
  const { direction, change_id: id, contact_id: contactId, crm_id: crmId, op, fields, error_code: code, error } = item;
  const name = contactName(contactId, crmId);
  const what = direction === 'pull' ? 'from the CRM, could not be stored' : `${op ?? 'edit'} ${(fields ?? []).join(', ')}`.trim();
  return h(
    'li',
    { class: 'item card' },
    h(
      'div',
      { class: 'item-head' },
      h('div', {}, h('h4', {}, name), h('p', { class: 'meta' }, what, ' · ', since(item.since), attemptsOf(item))),
      id === null
        ? null
        : actionButton({
            label: 'Retry',
            name: 'retry',
            path: ICONS.again,
            access,
            about: name,
            onPress: async () => await retry({ ids: [id] }, `${name}: tried again.`),
          }),
    ),
    h(
      'p',
      { class: 'said' },
      h('code', { class: 'code' }, code),
      error == null
        ? h('span', { class: 'hidden-value' }, access.admin ? 'no words with it' : 'The message is shown to those who are signed in.')
        : h('q', {}, error),
    ),
    REMEDIES[code] === undefined ? null : h('p', { class: 'remedy' }, REMEDIES[code]),
  );
};

/** @param {import('./types.js').Parked} item */
const attemptsOf = ({ attempts }) => (attempts == null || attempts < 1 ? '' : ` · ${count(attempts, 'try', 'tries')}`);
