/** The vocabulary of `sync.change_log`. */

export const CHANGE_OPS = ['insert', 'update', 'delete', 'attach', 'detach'] as const;
export type ChangeOp = (typeof CHANGE_OPS)[number];

export const CHANGE_STATES = ['pending', 'sending', 'done', 'merged', 'retry', 'parked', 'held', 'unknown'] as const;
export type ChangeState = (typeof CHANGE_STATES)[number];

/** States that say an edit has reached its end. */
export const SETTLED_STATES = ['done', 'merged'] as const satisfies readonly ChangeState[];
/** The ops of a contact's own row, as opposed to its links. */
export const ROW_OPS = ['insert', 'update', 'delete'] as const satisfies readonly ChangeOp[];
export const LINK_OPS = ['attach', 'detach'] as const satisfies readonly ChangeOp[];
