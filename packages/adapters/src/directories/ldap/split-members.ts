/**
 * T3: a request with so many members that the server does not take it (large-requests.ts) becomes several: the entry with part of them,
 * and modifications that bring the others, or take away who is none any more. In between the group lacks some; where it stays at
 * that, the next write brings them.
 */
import type { Modification, Operation } from './requests.ts';

const MEMBERS = new Set(['member', 'uniquemember']);
/** What BER and the DN of the entry add to a value, at the most that is usual. */
const BESIDE_OCTETS = 8;

type Values = Uint8Array[];

/** `octets`: so many at the most in each, where that can be. null: it has no members that could come later. */
export function splitMembers(operation: Operation, octets: number): Operation[] | null {
  if (operation.type === 'add') return splitAdd(operation, octets);
  return operation.type === 'modify' ? splitModify(operation, octets) : null;
}

function splitAdd(operation: Extract<Operation, { type: 'add' }>, octets: number): Operation[] | null {
  const attributes = new Map(operation.attributes);
  const found = Array.from(attributes).find(([name, values]) => isOfMembers(name) && values.length > 1);
  if (found === undefined) return null;
  const [attribute, members] = found;
  let others = 0;
  for (const [name, values] of attributes) if (name !== attribute) others += octetsIn(values);
  const [first, ...rest] = pieces(members, octets, others);
  attributes.set(attribute, first!);
  const later = rest.map((values): Operation => modification(operation.dn, { kind: 'add', attribute, values }));
  return [{ ...operation, attributes }, ...later];
}

function splitModify({ dn, changes }: Extract<Operation, { type: 'modify' }>, octets: number): Operation[] | null {
  const isMembers = ({ attribute, values }: Modification) => isOfMembers(attribute) && values.length > 0;
  const others = changes.filter((change) => !isMembers(change));
  const parts = lastRemovalLast(changes.filter(isMembers)).flatMap(({ kind, attribute, values }) =>
    pieces(values, octets).map(
      (some, i): Modification => ({ kind: kind === 'replace' && i > 0 ? 'add' : kind, attribute, values: some }),
    ),
  );
  const first = others.length > 0 ? [{ type: 'modify' as const, dn, changes: others }] : [];
  const operations: Operation[] = [...first, ...parts.map((change) => modification(dn, change))];
  return operations.length > 1 ? operations : null;
}

/** A group without members is none to groupOfNames (RFC 4519 §3.5), not even until the next request. */
function lastRemovalLast(changes: Modification[]): Modification[] {
  const at = changes.findLastIndex(({ kind }) => kind === 'delete');
  const removal = changes[at];
  if (removal === undefined || changes.every(({ kind }) => kind === 'delete')) return changes;
  const values = removal.values.slice(0, -1);
  const less = changes.with(at, { ...removal, values }).filter((change) => change.values.length > 0);
  return [...less, { ...removal, values: removal.values.slice(-1) }];
}

function modification(dn: string, change: Modification): Operation {
  return { type: 'modify', dn, changes: [change] };
}

/** `before`: what stands beside the first. Each has one value at least. */
function pieces(values: Values, octets: number, before = 0): Values[] {
  const found: Values[] = [];
  let room = octets - before;
  for (const value of values) {
    const size = value.length + BESIDE_OCTETS;
    if (found.length === 0 || room < size) {
      if (found.length > 0) room = octets;
      found.push([]);
    }
    found.at(-1)!.push(value);
    room -= size;
  }
  return found;
}

function isOfMembers(attribute: string): boolean {
  return MEMBERS.has(attribute.toLowerCase());
}

function octetsIn(values: Values): number {
  let octets = 0;
  for (const { length } of values) octets += length + BESIDE_OCTETS;
  return octets;
}
