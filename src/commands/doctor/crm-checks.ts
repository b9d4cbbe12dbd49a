/** The CRM: TLS, clock, token, what the token shows, abilities, budget. Few calls, all of them reads, and counted. */
import type { CrmFailure } from '../../domain/errors.ts';
import type { CallOptions, Capabilities, ContactPage, Crm, CrmResult } from '../../ports/crm.ts';
import type { PacingStatus } from '../../crm/pacing.ts';
import type { TlsFinding } from '../../crm/tls.ts';
import { explainCode } from '../explain.ts';
import { number, ok, problem, seconds, warning, type Line } from './line.ts';

/** Times are compared under the policy `newest`, and by the page that may be a create's: both allow for a minute. */
const CLOCK_SKEW_MS_MAX = 60_000;
const CERTIFICATE_DAYS_MIN = 14;
const DAY_MS = 86_400_000;

/** What the mirror's database knows of the CRM; null where that is away. */
export interface FromMirror {
  readonly capabilities: { readonly found: Capabilities; readonly checkedAt: Date } | null;
  readonly paired: number;
  readonly hidden: number;
  /** Ids up to this one that no contact here has ever had. */
  readonly unseenIds: (maxId: number) => Promise<readonly number[]>;
  /** The database's clock less this process'. */
  readonly clockSkewMs: number;
}

export interface CrmDeps {
  readonly crm: Crm;
  readonly pacing: { status(): PacingStatus };
  readonly probe: (crm: Crm, options: CallOptions) => Promise<CrmResult<Capabilities>>;
  readonly tls: () => Promise<TlsFinding>;
  readonly signal: AbortSignal;
  readonly now: () => Date;
}

const FATAL_REMEDIES: { readonly [code: string]: string } = {
  unauthorized: 'Make a new token in the CRM and put it into CRM_TOKEN; the old one is wrong, expired or deleted.',
  access_revoked: "Give the token's user the right to use the API, or take a token of another user.",
  session_mismatch: 'Correct CRM_URL: the address of the API on the very host that the CRM is used on.',
  redirected: 'Correct CRM_URL: it has to be the final address, with https.',
};

export const checkCrm = async (deps: CrmDeps, mirror: FromMirror | null): Promise<readonly Line[]> => {
  const lines: Line[] = [describeTls(await deps.tls(), deps.now())];
  const options: CallOptions = { lane: 'edit', signal: deps.signal };
  const sentMs = deps.now().getTime();
  const newest = await deps.crm.list({ order: { field: 'id', direction: 'desc' }, perPage: 1, page: 1 }, options);
  if (!newest.ok) return [...lines, ...describeRefusal(newest.failure), describeBudget(deps.pacing.status())];
  const { date, appVersion } = newest.meta;
  lines.push(ok('crm', `answers after ${number(deps.now().getTime() - sentMs)} ms${appVersion === null ? '' : `, version ${appVersion}`}`));
  lines.push(describeClock(date, (sentMs + deps.now().getTime()) / 2, mirror));
  lines.push(ok('token', 'accepted'));
  lines.push(await checkVisibility(deps, newest.value, mirror, options));
  lines.push(await checkCapabilities(deps, mirror, options));
  lines.push(describeBudget(deps.pacing.status()));
  return lines;
};

const describeTls = (finding: TlsFinding, now: Date): Line => {
  if (finding.kind === 'none')
    return finding.isLocal
      ? ok('crm_tls', 'none, and none needed: the address is on this machine')
      : warning('crm_tls', 'none: the token travels unencrypted (CRM_ALLOW_HTTP)', 'Give CRM_URL an https address.');
  if (finding.kind === 'failed')
    return problem('crm_tls', `no connection: ${finding.code}`, 'Is the host of CRM_URL right, and its certificate valid for that name?');
  const { protocol, issuer, validTo } = finding;
  const days = Math.floor((validTo.getTime() - now.getTime()) / DAY_MS);
  const detail = `${protocol}, the certificate is verified, by ${issuer}, for ${number(days)} more days`;
  if (days >= CERTIFICATE_DAYS_MIN) return ok('crm_tls', detail);
  return warning('crm_tls', detail, 'Have it renewed: after that day nothing is pulled or pushed.');
};

const describeRefusal = ({ code, status, class: kind }: CrmFailure): readonly Line[] => {
  const said = `${code}${status === null ? '' : ` (${status})`}: ${explainCode(code)}`;
  const remedy = FATAL_REMEDIES[code];
  if (remedy !== undefined) return [ok('crm', 'answers'), problem('token', said, remedy)];
  const again = kind === 'later' ? 'Wait, and ask again.' : 'Look at the CRM, at CRM_URL, and at what is in between.';
  return [problem('crm', said, again)];
};

const describeClock = (date: Date | null, hereMs: number, mirror: FromMirror | null): Line => {
  if (date === null)
    return warning('crm_clock', 'no Date header: unknown', 'Let the proxy pass the Date header: times of both sides are compared.');
  // The header has whole seconds: half of one is the best guess.
  const skewMs = date.getTime() + 500 - (hereMs + (mirror?.clockSkewMs ?? 0));
  const from = mirror === null ? 'this process' : 'the database';
  const detail = `${seconds(Math.abs(skewMs))} ${skewMs < 0 ? 'behind' : 'ahead of'} ${from}, to the second`;
  if (Math.abs(skewMs) <= CLOCK_SKEW_MS_MAX) return ok('crm_clock', detail);
  return warning('crm_clock', detail, 'Let NTP set both clocks. Conflicts are decided with the difference taken out, but for its error.');
};

/** Hidden contacts answer 403 and missing ones 404: a few ids that nobody has seen tell which kind they are. */
const IDS_ASKED = 3;

const checkVisibility = async ({ crm }: CrmDeps, page: ContactPage, mirror: FromMirror | null, options: CallOptions): Promise<Line> => {
  const maxId = page.records[0]?.crmId ?? page.bad[0]?.crmId ?? 0;
  const mirrored = mirror === null ? '' : ` (the mirror has ${number(mirror.paired)})`;
  const sees = `the token sees ${number(page.total)} contacts${mirrored}, ids up to ${number(maxId)}`;
  const remedy = "Give the token's user a role that may view all contacts; then: relate-mirror resync";
  if (mirror === null) return ok('visibility', `${sees}; whether that is all cannot be said without the mirror`);
  if (mirror.hidden > 0) return warning('visibility', `${sees}, and may no longer see ${number(mirror.hidden)} that it once saw`, remedy);
  if (page.total === maxId) return ok('visibility', `${sees}: all that there are, for certain`);
  const ids = (await mirror.unseenIds(maxId)).slice(0, IDS_ASKED);
  const answers = await Promise.all(ids.map(async (id) => ({ id, answer: await crm.retrieve(id, options) })));
  const hidden = answers.find(({ answer }) => !answer.ok && answer.failure.code === 'forbidden');
  if (hidden !== undefined)
    return warning('visibility', `${sees}, and not all: contact ${hidden.id} exists and is not shown to it`, remedy);
  const missing = answers.filter(({ answer }) => !answer.ok && answer.failure.code === 'not_found').length;
  const gaps = number(maxId - page.total);
  if (missing === 0) return ok('visibility', `${sees}; nothing says that it misses any, and nothing proves it`);
  return ok('visibility', `${sees}; most likely all: of ${gaps} other ids ${missing} were asked for, and none of them exists`);
};

const CAPABILITY_AGE_MAX_MS = DAY_MS;

const checkCapabilities = async (deps: CrmDeps, mirror: FromMirror | null, options: CallOptions): Promise<Line> => {
  const known = mirror?.capabilities ?? null;
  const ageMs = known === null ? Number.POSITIVE_INFINITY : deps.now().getTime() - known.checkedAt.getTime();
  if (known !== null && ageMs < CAPABILITY_AGE_MAX_MS)
    return ok('capabilities', `${describeCapabilities(known.found)} (found ${number(ageMs / 60_000)} min ago)`);
  const probed = await deps.probe(deps.crm, options);
  if (!probed.ok)
    return warning(
      'capabilities',
      `could not be found out: ${probed.failure.code}`,
      'Only documented calls are used until they can: more calls, same result.',
    );
  return ok('capabilities', `${describeCapabilities(probed.value)} (asked just now)`);
};

const NAMES = {
  orderByUpdatedAt: 'newest first',
  filters: 'filter by time',
  withLinks: 'links in lists',
  trash: 'trash',
  activities: 'activities',
  customFields: 'field definitions',
} as const;

const describeCapabilities = (found: Capabilities): string => {
  const names = Object.keys(NAMES) as (keyof typeof NAMES)[];
  const [can, cannot] = [names.filter((name) => found[name]), names.filter((name) => !found[name])].map((list) =>
    list.map((name) => NAMES[name]),
  );
  const lacks = cannot === undefined || cannot.length === 0 ? '' : `; not: ${cannot.join(', ')}`;
  return `${found.perPage} a page, ${can?.join(', ') ?? ''}${lacks}`;
};

const describeBudget = ({ limitPerMinute: limit, learnedPerMinute: learned, pausedUntilMs, usedInWindow: used }: PacingStatus): Line => {
  const told = learned === null ? 'the CRM tells no limit' : `the CRM allows ${number(learned)}`;
  const detail = `${number(limit)} calls a minute (${told}), ${number(used)} of them used by this command`;
  if (pausedUntilMs !== null)
    return warning(
      'budget',
      `${detail}; the CRM asked for a pause (429)`,
      'Something else uses the same account: lower CRM_RATE_SHARE, or find it.',
    );
  return ok('budget', detail);
};
