/** Held: more destruction than is meant, or a restored database. The plan, and the decision with its consequence. */
import { actionButton } from './access.js';
import { showGroup } from './attention.js';
import { ask } from './dialogs.js';
import { byId, h } from './dom.js';
import { contactName, count, number } from './format.js';
import { since } from './time.js';

/** Lines of a plan that are shown before a person asks for more. */
const LINES_FIRST = 5;

const OF = /** @type {const} */ ({ push: 'from the mirror into the CRM', pull: 'from the CRM into the mirror' });

/** What a decision means; the words of `relate-mirror holds`. */
const MEANS = /** @type {const} */ ({
  push: {
    approve: 'It is done in the CRM, each contact proven again first.',
    reject: 'It is undone in the mirror: rows, fields and links come back as the CRM has them.',
  },
  pull: {
    approve: 'It is done in the mirror, each contact proven again first.',
    reject: 'The rows stay as they are here; what was emptied goes back to the CRM.',
  },
});
const MEANS_IDENTITY = /** @type {const} */ ({
  push: {
    approve:
      'This says that this database is the mirror’s own, and lets the push go. A complete sweep has to have ended since the hold began.',
    reject: 'The held deletions are undone, and the push stays stopped.',
  },
  pull: { approve: 'This says that both addresses lead to the same account.', reject: 'Everything stays stopped.' },
});

/**
 * @param {object} options
 * @param {readonly import('./types.js').Hold[]} options.items
 * @param {import('./access.js').Access} options.access
 * @param {(id: number, how: 'approve' | 'reject', said: string) => Promise<void>} options.decide
 */
export const showHolds = ({ items, access, decide }) =>
  showGroup(byId('holds'), {
    title: 'Held',
    explain: 'More destruction at once than is usually meant. Nothing of it happens until you decide.',
    items,
    total: items.length,
    access,
    keyOf: ({ id }) => id,
    render: (hold) => renderHold(hold, access, decide),
    sql: "select * from sync.holds where state = 'open';",
  });

/**
 * @param {import('./types.js').Hold} hold
 * @param {import('./access.js').Access} access
 * @param {(id: number, how: 'approve' | 'reject', said: string) => Promise<void>} decide
 */
const renderHold = (hold, access, decide) => {
  const { id, direction, rows, reason, created_at: at, cause } = hold;
  const summary = summaryOf(hold);
  const about = `hold ${id}`;
  /** @param {'approve' | 'reject'} how */
  const button = (how) =>
    actionButton({
      label: how === 'approve' ? 'Approve…' : 'Reject…',
      name: how,
      look: how === 'approve' ? 'danger' : '',
      access,
      about,
      onPress: async () => await confirm(hold, how, summary, decide),
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
        h(
          'h4',
          {},
          cause === 'identity'
            ? `Hold ${id}: this may not be the same database`
            : `Hold ${id}: ${count(rows, 'contact')}, ${OF[direction]}`,
        ),
        h('p', { class: 'meta' }, reason, ' · ', since(at)),
      ),
      h('div', { class: 'item-actions' }, button('reject'), button('approve')),
    ),
    summary.length === 0 ? null : h('p', { class: 'counts' }, ...summary.map((part) => h('span', { class: 'chip' }, part))),
    hold.plan.length === 0 ? null : planTable(hold),
    h(
      'dl',
      { class: 'means' },
      h('dt', {}, 'Approve'),
      h('dd', {}, meansOf(hold).approve),
      h('dt', {}, 'Reject'),
      h('dd', {}, meansOf(hold).reject),
    ),
  );
};

/** @param {import('./types.js').Hold} hold */
const meansOf = ({ cause, direction }) => (cause === 'identity' ? MEANS_IDENTITY : MEANS)[direction];

/**
 * Of the whole plan, of which only the first lines are here.
 *
 * @param {import('./types.js').Hold} hold
 * @returns {readonly string[]} `1,500 delete`
 */
const summaryOf = ({ counts }) => Object.entries(counts).map(([op, howMany]) => `${number(howMany)} ${op}`);

/** @param {import('./types.js').Hold} hold */
const planTable = ({ id, plan: lines, plan_lines: all }) => {
  const row = (/** @type {import('./types.js').PlanLine} */ line) =>
    h('tr', {}, h('td', {}, contactName(line.contact_id, line.crm_id)), h('td', {}, line.op ?? ''), h('td', {}, takes(line)));
  const table = (/** @type {readonly import('./types.js').PlanLine[]} */ some) =>
    h(
      'div',
      { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': `Plan of hold ${id}` },
      h(
        'table',
        { class: 'plan' },
        h(
          'thead',
          {},
          h('tr', {}, h('th', { scope: 'col' }, 'Contact'), h('th', { scope: 'col' }, 'What'), h('th', { scope: 'col' }, 'Takes away')),
        ),
        h('tbody', {}, ...some.map(row)),
      ),
    );
  const rest = all - lines.length;
  return h(
    'details',
    { class: 'plan-details', open: lines.length <= LINES_FIRST },
    h('summary', {}, `The plan, contact by contact (${number(all)})`),
    table(lines),
    rest > 0
      ? h('p', { class: 'more' }, `… and ${number(rest)} more: `, h('code', {}, `select plan from sync.holds where id = ${id};`))
      : null,
  );
};

/** @param {import('./types.js').PlanLine} line */
const takes = ({ op, fields = [], links = {} }) => {
  const removed = Object.entries(links).map(([kind, ids]) => `${kind} ${ids.join(', ')}`);
  const parts = [fields.length > 0 ? `empties ${fields.join(', ')}` : '', removed.length > 0 ? `unlinks ${removed.join('; ')}` : ''];
  const text = parts.filter((part) => part !== '').join('; ');
  return text === '' && op === 'delete' ? 'the whole contact' : text;
};

/**
 * @param {import('./types.js').Hold} hold
 * @param {'approve' | 'reject'} how
 * @param {readonly string[]} summary
 * @param {(id: number, how: 'approve' | 'reject', said: string) => Promise<void>} decide
 */
const confirm = async (hold, how, summary, decide) => {
  const { id, rows, direction } = hold;
  await ask({
    title: how === 'approve' ? `Approve hold ${id}?` : `Reject hold ${id}?`,
    body: [
      h('p', { class: 'stakes' }, `${count(rows, 'contact')} ${OF[direction]}${summary.length > 0 ? `: ${summary.join(', ')}` : ''}.`),
      h('p', {}, meansOf(hold)[how]),
      h('p', { class: 'hint' }, 'A decision cannot be taken back.'),
    ],
    yes: how === 'approve' ? 'Approve' : 'Reject',
    danger: how === 'approve',
    answer: async () => {
      await decide(
        id,
        how,
        how === 'approve' ? `Hold ${id} is approved: each contact is looked at again, and then done.` : `Hold ${id} is rejected.`,
      );
      return true;
    },
  });
};
