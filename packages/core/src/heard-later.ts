/** For steps that overlap (T0, T3): one is begun while the result of another is used. */

/** Whoever waits for it next hears of a failure; until then it is nobody's. */
export function heardLater<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}
