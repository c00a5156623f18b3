/** Mail addresses of postoffices: such as stand in From and in an SMTP envelope without quoting or encoding. */

const LOCAL_PART = /^(?=.{1,64}$)[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/;
const DOMAIN = /^(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;
/** RFC 5321 §4.5.3.1.3: a path has 256 octets with its brackets. */
const MAX_ADDRESS_LENGTH = 254;

/** An addr-spec (RFC 5322 §3.4.1) of a dot-atom and a domain name in ASCII: no display name, no quotes, no address literal. */
export function isMailAddress(text: string): boolean {
  const at = text.lastIndexOf('@');
  if (at < 0 || text.length > MAX_ADDRESS_LENGTH) return false;
  return LOCAL_PART.test(text.slice(0, at)) && DOMAIN.test(text.slice(at + 1));
}
