/**
 * A server gives an attribute under the first of its names, whatever name it was asked by: `sn` where `surname` was asked for. Who
 * asked looks for it under his own name, and would find nothing.
 */
import { normalizeType } from '@dirpost/core';

/** Puts what was asked for by another name under that name. Names in lower case. */
export function underAskedNames(asked: readonly string[], attributes: Map<string, Buffer[]>): void {
  for (const name of asked) {
    const given = normalizeType(name);
    if (given === name || attributes.has(name) || asked.includes(given)) continue;
    const values = attributes.get(given);
    if (values === undefined) continue;
    attributes.delete(given);
    attributes.set(name, values);
  }
}
