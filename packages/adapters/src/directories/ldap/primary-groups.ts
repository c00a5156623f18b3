/**
 * Members by primary group: in Active Directory who has the number of a group as his `primaryGroupID` is its member, and its
 * `member` does not name him. Nearly everybody has one of the groups that everybody is in; the few others are asked for once
 * in a read for each domain, with the first group of it that comes: another server that was referred to may have another one.
 */
import { namingContextsOf } from './domain-controller.ts';
import type { LdapOptions } from './options.ts';
import { type ReadContext, searchPages } from './read-whole.ts';
import type { SearchRequest } from './requests.ts';
import type { FoundEntry } from './responses.ts';
import { SUCCESS } from './results.ts';
import { failedSearch } from './root-dse.ts';

/** Not 513 to 516, Domain Users, Guests, Computers and Controllers: nobody writes to those. The attribute has an index. */
const OTHERS = '(|(primaryGroupID<=512)(primaryGroupID>=517))';
/** They are kept in memory meanwhile. */
const MAX_MEMBERS = 200_000;
const MAX_RID = 2 ** 32 - 1;

export class PrimaryGroups {
  /** Attributes that are asked for besides. */
  readonly asked: string[];
  readonly #max: number;
  /** By server and naming context. */
  readonly #members = new Map<string, Promise<Map<string, Buffer[]>>>();

  constructor({ attributes }: Pick<LdapOptions, 'attributes'>, max = MAX_MEMBERS) {
    this.asked = attributes.includes('objectsid') ? [] : ['objectsid'];
    this.#max = max;
  }

  /** Throws DirpostError `directory-failed`. */
  async addMembers(context: ReadContext, { dn, attributes }: FoundEntry): Promise<void> {
    const [sid] = attributes.get('objectsid') ?? [];
    for (const name of this.asked) attributes.delete(name);
    const classes = attributes.get('objectclass') ?? [];
    if (sid === undefined || !classes.some((one) => one.toString().toLowerCase() === 'group')) return;
    const members = (await this.#membersNear(context, dn)).get(sid.toString('hex'));
    if (members !== undefined) attributes.set('member', [...(attributes.get('member') ?? []), ...members]);
  }

  /** Of the domain of that group: nobody has a primary group of another one (MS-ADTS 3.1.1.5.3.1.1.2). */
  async #membersNear(context: ReadContext, dn: string): Promise<Map<string, Buffer[]>> {
    const [domain] = namingContextsOf(context.dse, [{ dn, scope: 'base', filter: '' }]) ?? [];
    if (domain === undefined) return new Map();
    const name = `${context.session.server} ${domain}`;
    let members = this.#members.get(name);
    if (members === undefined) this.#members.set(name, (members = this.#find(context, domain)));
    return members;
  }

  /** By the SID of their group, in hexadecimal digits. */
  async #find(context: ReadContext, domain: string): Promise<Map<string, Buffer[]>> {
    const found = new Map<string, Buffer[]>();
    let count = 0;
    for await (const entry of withAnotherGroup(context, domain)) {
      const group = primaryGroupOf(entry);
      if (group === null) continue;
      if (++count > this.#max) {
        context.notes.remark(
          `More than ${this.#max} entries have a primary group of their own: members by primary group are left out.`,
        );
        return new Map();
      }
      const members = found.get(group);
      if (members === undefined) found.set(group, [Buffer.from(entry.dn)]);
      else members.push(Buffer.from(entry.dn));
    }
    return found;
  }
}

async function* withAnotherGroup(context: ReadContext, base: string): AsyncGenerator<FoundEntry> {
  const attributes = ['primaryGroupID', 'objectSid'];
  const request: SearchRequest = { base, scope: 'sub', filter: OTHERS, attributes };
  for await (const { items, result } of searchPages(context, request)) {
    if (result !== undefined && result.code !== SUCCESS) throw failedSearch(context.session, base, result);
    for (const item of items) if (item.type === 'entry') yield item;
  }
}

/** MS-DTYP 2.4.2.2: a SID ends in the number within the domain (RID), in 4 octets, the least first. */
function primaryGroupOf({ attributes }: FoundEntry): string | null {
  const [sid] = attributes.get('objectsid') ?? [];
  const rid = Number(attributes.get('primarygroupid')?.[0]?.toString());
  if (sid === undefined || sid.length < 12 || !(rid >= 0 && rid <= MAX_RID && Number.isInteger(rid))) return null;
  const group = Buffer.from(sid);
  group.writeUInt32LE(rid, group.length - 4);
  return group.toString('hex');
}
