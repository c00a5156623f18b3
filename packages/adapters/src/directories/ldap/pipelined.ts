/**
 * Many requests over one connection without waiting for each other's answer. Never too many: OpenLDAP closes a session that
 * has more than 1,000 of them waiting (`conn_max_pending_auth`).
 */
const IN_FLIGHT = 64;

/** Begun in the order of `items`, so many at once as one connection carries well; results in the same order. */
export async function pipelined<T, R>(
  items: readonly T[],
  work: (item: T) => Promise<R>,
  inFlight = IN_FLIGHT,
): Promise<R[]> {
  const results: R[] = Array.from({ length: items.length });
  let next = 0;
  const lane = async () => {
    for (let at = next++; at < items.length; at = next++) results[at] = await work(items[at]!);
  };
  await Promise.all(Array.from({ length: Math.min(inFlight, items.length) }, lane));
  return results;
}
