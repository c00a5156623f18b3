/** Which held entries an administrator means by `--entry`: an entry id, or a DN as it was or will be, or stands here. */
import {
  attributeValues,
  DirpostError,
  DN_ATTRIBUTE,
  type EntryRow,
  heldRows,
  normalizeDn,
  shownBytes,
  type StoreTx,
} from '@dirpost/core';
import { type Place, tableOf } from '../held.ts';
import type { Postoffice } from '../postoffice.ts';

/** All or nothing: throws where one of them is not held, or several are meant. */
export async function heldIds(
  tx: StoreTx,
  postoffice: Postoffice,
  places: readonly Place[],
  given: string[],
): Promise<Uint8Array[]> {
  const ids = given.filter((text) => isId(text)).map((text) => text.toLowerCase());
  const dns = new Map(given.filter((text) => !isId(text)).map((text) => [normalizeDn(text), new Set<string>()]));
  for (const [dn, found] of dns) for (const id of await associated(tx, postoffice, dn)) found.add(id);
  const held = new Set<string>();
  for (const place of places) {
    for await (const rows of heldRows(tx, tableOf[place])) {
      for (const row of rows) {
        const id = Buffer.from(row.id).toString('hex');
        if (ids.includes(id) || [...dns.values()].some((found) => found.has(id))) held.add(id);
        for (const dn of dns.size === 0 ? [] : dnsOf(row)) {
          if (dns.get(dn)?.add(id) !== undefined) held.add(id);
        }
      }
    }
  }
  for (const text of given) {
    const meant = isId(text) ? [text.toLowerCase()] : [...dns.get(normalizeDn(text))!];
    const found = meant.filter((id) => held.has(id));
    if (found.length !== 1) throw notOne(text, found);
  }
  return [...held].map((id) => Buffer.from(id, 'hex'));
}

function isId(text: string): boolean {
  return /^[0-9a-f]{32}$/i.test(text);
}

async function associated(tx: StoreTx, { publishing, subscribing }: Postoffice, dn: string): Promise<string[]> {
  const ids: string[] = [];
  for (const { directory } of [...publishing, ...subscribing]) {
    const [found] = await tx.associationsByDn(directory.name, [dn]);
    if (found !== undefined) ids.push(Buffer.from(found.id).toString('hex'));
  }
  return ids;
}

/** Normalized; what is no DN names nobody. */
function dnsOf(row: EntryRow): string[] {
  const texts = [shownBytes(row), row.bytes].flatMap((bytes) =>
    bytes === null ? [] : attributeValues(bytes, DN_ATTRIBUTE).map((value) => Buffer.from(value).toString('utf8')),
  );
  return texts.flatMap((text) => {
    try {
      return [normalizeDn(text)];
    } catch {
      return [];
    }
  });
}

function notOne(text: string, found: string[]): DirpostError {
  const shown = JSON.stringify(text.slice(0, 200));
  if (found.length === 0) {
    return new DirpostError('wrong-use', `No effects are held for ${shown}; nothing was approved.`, {
      hint: 'See which entries there are, with their ids: dirpost held',
    });
  }
  return new DirpostError('wrong-use', `${shown} may be several entries; nothing was approved.`, {
    hint: `Name one by its id: ${found.slice(0, 5).join(', ')}`,
  });
}
