/** Questions to the person, as modal dialogs: the focus goes in, Escape goes out, and the focus returns to where it was. */
import { h } from './dom.js';

let made = 0;

/**
 * @template Answer
 * @param {object} options
 * @param {string} options.title
 * @param {readonly (Node | string)[]} options.body
 * @param {string} options.yes What the button does, as a verb.
 * @param {boolean} [options.danger]
 * @param {() => Answer | Promise<Answer>} options.answer Throws with a sentence for the person where it cannot be taken: the dialog stays open.
 * @returns {Promise<Answer | null>} Null: cancelled.
 */
export const ask = ({ title, body, yes, danger = false, answer }) => {
  made += 1;
  const id = `dialog-${made}`;
  const { promise, resolve } = /** @type {PromiseWithResolvers<Answer | null>} */ (Promise.withResolvers());
  const from = document.activeElement;
  const problem = h('p', { class: 'problem', role: 'alert' });
  const go = h('button', { type: 'submit', class: danger ? 'button danger' : 'button primary' }, yes);
  const cancel = h('button', { type: 'button', class: 'button', onclick: () => dialog.close() }, 'Cancel');
  const form = h(
    'form',
    { method: 'dialog', novalidate: true },
    h('h2', { id }, title),
    ...body,
    problem,
    h('div', { class: 'dialog-actions' }, cancel, go),
  );
  const dialog = h('dialog', { class: 'dialog', 'aria-labelledby': id }, form);
  /** @type {Answer | null} */
  let given = null;
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    go.disabled = true;
    problem.textContent = '';
    void Promise.resolve()
      .then(answer)
      .then(
        (value) => {
          given = value;
          dialog.close();
        },
        (/** @type {unknown} */ error) => {
          problem.textContent = error instanceof Error ? error.message : 'That did not work.';
          go.disabled = false;
          focusFirst(form);
        },
      );
  });
  dialog.addEventListener('close', () => {
    dialog.remove();
    if (from instanceof HTMLElement && from.isConnected) from.focus();
    else document.querySelector('main')?.focus();
    resolve(given);
  });
  document.body.append(dialog);
  dialog.showModal();
  if (focusFirst(form) === null) (danger ? cancel : go).focus();
  return promise;
};

/**
 * @param {HTMLFormElement} form
 * @returns {HTMLElement | null} Null: nothing to type.
 */
const focusFirst = (form) => {
  const field = form.querySelector('input, textarea');
  if (!(field instanceof HTMLElement)) return null;
  field.focus();
  if (field instanceof HTMLInputElement || field instanceof HTMLTextAreaElement) field.select();
  return field;
};
