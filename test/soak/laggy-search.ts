/** A CRM whose search runs behind: contacts are found by it only a while after they were made, as with an index that is filled by a queue. */
import type { SandboxAccount } from '../../src/sandbox/crm/account.ts';

export const withLaggySearch = (account: SandboxAccount, lagMs: number): SandboxAccount => ({
  ...account,
  api: {
    ...account.api,
    search: (query, context) => {
      const answer = account.api.search(query, context);
      if (!Array.isArray(answer.body)) return answer;
      const untilMs = account.now().getTime() - lagMs;
      const body = (answer.body as readonly { readonly id: number }[]).filter(
        ({ id }) => (account.contact(id)?.createdAtMs ?? 0) <= untilMs,
      );
      return { ...answer, body };
    },
  },
});
