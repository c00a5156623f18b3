/**
 * Addresses of a recipient of Exchange (`proxyAddresses`): `SMTP:` is the one that he sends as, and there is one of it; `smtp:`,
 * `X500:`, `x400:`, `sip:` and others are further ones. X500 addresses are of the directory itself: replies to old mail find
 * their way by them.
 */

const PRIMARY = 'SMTP:';

type Values = Uint8Array[];

/** Of a recipient that sends as `primary`, and has others of `all` besides. */
export function proxyAddressesOf(primary: string, all: Values): Values {
  const values = [PRIMARY + primary, ...all.map((address) => PRIMARY.toLowerCase() + text(address))];
  return mergedAddresses(
    [],
    values.map((value) => Buffer.from(value)),
  );
}

/** Both, each once and with one primary, that of `wanted` where it has one. Merged once more it is the same. */
export function mergedAddresses(has: Values, wanted: Values): Values {
  const primary = wanted.find(isPrimary) ?? has.find(isPrimary);
  const merged = new Map<string, Uint8Array>();
  if (primary !== undefined) merged.set(keyOf(primary), primary);
  for (const value of [...has, ...wanted]) {
    const key = keyOf(value);
    if (!merged.has(key)) merged.set(key, isPrimary(value) ? asFurther(value) : value);
  }
  return [...merged.values()];
}

function isPrimary(value: Uint8Array): boolean {
  return text(value).startsWith(PRIMARY);
}

function asFurther(value: Uint8Array): Uint8Array {
  return Buffer.from(PRIMARY.toLowerCase() + text(value).slice(PRIMARY.length));
}

/** Servers do not know upper and lower case apart there. */
function keyOf(value: Uint8Array): string {
  return text(value).toLowerCase();
}

function text(value: Uint8Array): string {
  return Buffer.from(value).toString();
}
