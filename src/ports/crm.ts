/**
 * What the inside needs from the CRM: the nine calls of the public contacts API, and a few undocumented ones that are used only where the
 * start-up probe found them (`Capabilities`).
 *
 * Every call resolves to a value, `ok` or a classified failure; a call never throws for anything the CRM or the network does.
 */
import type { ContactFields, CustomFieldDef, LinkKind, RemoteContact, SeenName } from '../domain/contact.ts';
import type { CrmFailure } from '../domain/errors.ts';

/** Who waits for whom in front of the one call budget: people's edits first, the sweep last. */
export type Lane = 'edit' | 'changes' | 'links' | 'sweep';

export interface CallOptions {
  readonly lane: Lane;
  /** Not sent any more once it fired: `retry`/`aborted`. */
  readonly signal?: AbortSignal;
  /** Gives up a call that is under way, as a broken connection would; `signal` if left out. */
  readonly giveUp?: AbortSignal;
  /** Asked after the limiter, right before the bytes go (leadership). False: not sent, `retry`/`not_leader`. */
  readonly maySend?: () => boolean;
  /** Told when the first byte goes. Must not throw. */
  readonly onSending?: () => void;
}

export type CrmResult<T> =
  | { readonly ok: true; readonly value: T; readonly meta: AnswerMeta }
  | { readonly ok: false; readonly failure: CrmFailure; readonly meta: AnswerMeta | null };

export interface AnswerMeta {
  /** The CRM's clock (Date header), one-second precision; null where it was missing. */
  readonly date: Date | null;
  readonly status: number;
  /** X-App-Version, where sent. */
  readonly appVersion: string | null;
}

export type OrderDirection = 'asc' | 'desc';
export type SearchOperator = '=' | 'like' | 'in';
export interface SearchParams {
  /** Free text, or `field:value;field:value`. */
  readonly q?: string;
  /** `search_fields=email:=;phones.number:=`; without operator the CRM's default for the field. */
  readonly searchFields?: readonly { readonly field: string; readonly operator?: SearchOperator }[];
  /** How several fields combine; the CRM's default is `or`. */
  readonly searchMatch?: 'and' | 'or';
}
export interface ListParams extends SearchParams {
  /** Always send one: the CRM's default order is by first name. */
  readonly order?: { readonly field: string; readonly direction?: OrderDirection };
  /** Columns; unselected ones come back as null, indistinguishable from real nulls: never used for sync. */
  readonly select?: readonly string[];
  /** 1 to 100. Trust the page's `perPage`, not this. */
  readonly perPage?: number;
  /** From 1. */
  readonly page?: number;
  /** Undocumented (`with=companies;deals`): capability `withLinks`. */
  readonly with?: readonly ('companies' | 'deals')[];
  /** Undocumented rule tree `updated_at >= …`, exact second: capability `filters`. */
  readonly updatedSince?: Date;
}
export interface FindParams extends SearchParams {
  /** At most so many matches; without it the CRM returns all of them, unpaginated. */
  readonly take?: number;
  readonly order?: ListParams['order'];
  readonly select?: readonly string[];
}

/** A record that could not be read; its page is not failed for it. */
export interface BadRecord {
  readonly crmId: number | null;
  /** Which key is wrong and how; no values. */
  readonly problem: string;
}
export interface RecordBatch {
  readonly records: readonly RemoteContact[];
  readonly bad: readonly BadRecord[];
}
export interface ContactPage extends RecordBatch {
  readonly page: number;
  /** What the CRM really used, never what was asked for. */
  readonly perPage: number;
  readonly lastPage: number;
  readonly total: number;
}

/** The body of a PUT or POST: only the keys that are present are written. */
export type ContactBody = {
  readonly [K in Exclude<keyof ContactFields, 'custom_fields'>]?: ContactFields[K];
} & {
  /** Each `cf_…` key becomes a key of the body. */
  readonly custom_fields?: ContactFields['custom_fields'];
  /** Replaces the whole set. */
  readonly companies?: readonly number[];
  readonly deals?: readonly number[];
};
/** Ids by kind for the three association calls; at least one kind has to be there. */
export type LinkIds = { readonly [K in LinkKind]?: readonly number[] };

export interface ActivityPage {
  readonly ids: readonly number[];
  readonly names: readonly SeenName[];
  readonly lastPage: number;
}

export interface Crm {
  /** GET /contacts */
  list(params: ListParams, options: CallOptions): Promise<CrmResult<ContactPage>>;
  /** GET /contacts/{id}; carries companies and deals. */
  retrieve(crmId: number, options: CallOptions): Promise<CrmResult<RemoteContact>>;
  /** POST /contacts */
  create(body: ContactBody, options: CallOptions): Promise<CrmResult<RemoteContact>>;
  /** PUT /contacts/{id}; partial: only the keys sent are written. */
  update(crmId: number, body: ContactBody, options: CallOptions): Promise<CrmResult<RemoteContact>>;
  /** DELETE /contacts/{id}; the CRM moves it to its trash. */
  delete(crmId: number, options: CallOptions): Promise<CrmResult<null>>;
  /** GET /contacts/search */
  search(params: FindParams, options: CallOptions): Promise<CrmResult<RecordBatch>>;
  /** PUT /associations/contacts/{id} */
  attach(crmId: number, ids: LinkIds, options: CallOptions): Promise<CrmResult<RemoteContact>>;
  /** DELETE /associations/contacts/{id}, with a JSON body */
  detach(crmId: number, ids: LinkIds, options: CallOptions): Promise<CrmResult<RemoteContact>>;
  /** POST /associations/contacts/{id}: replaces the whole set of each kind sent. */
  sync(crmId: number, ids: LinkIds, options: CallOptions): Promise<CrmResult<RemoteContact>>;

  // Beyond the public API: only where the probe found them.
  /** GET /trashed/contacts */
  listTrashed(params: ListParams, options: CallOptions): Promise<CrmResult<ContactPage>>;
  /** POST /trashed/contacts/{id}: restores with the same id. */
  restore(crmId: number, options: CallOptions): Promise<CrmResult<RemoteContact>>;
  /** GET /contacts/{id}/activities */
  listActivities(crmId: number, page: number, options: CallOptions): Promise<CrmResult<ActivityPage>>;
  /** GET /fields/contacts/update */
  customFields(options: CallOptions): Promise<CrmResult<readonly CustomFieldDef[]>>;
}

/** What this account's CRM can do, found by the probe and kept in `sync.capabilities`. */
export interface Capabilities {
  /** The page size that the CRM really uses when asked for 100. */
  readonly perPage: number;
  readonly orderByUpdatedAt: boolean;
  readonly filters: boolean;
  readonly withLinks: boolean;
  readonly trash: boolean;
  readonly activities: boolean;
  readonly customFields: boolean;
  /** The CRM refuses a PUT without first_name (learned from a 422, not probed). */
  readonly firstNameRequired: boolean;
}

/** What the documented nine calls alone give. */
export const DOCUMENTED_ONLY: Capabilities = {
  perPage: 100,
  orderByUpdatedAt: true,
  filters: false,
  withLinks: false,
  trash: false,
  activities: false,
  customFields: false,
  firstNameRequired: false,
};
