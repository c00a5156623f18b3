/** Attributes of DN syntax (RFC 4517 §3.3.9) that people and groups have, whose values servers spell in their own way. */
export const DN_VALUED: ReadonlySet<string> = new Set([
  'member',
  'uniquemember',
  'manager',
  'secretary',
  'owner',
  'seealso',
  'roleoccupant',
  'managedby',
]);
