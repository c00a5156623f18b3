/**
 * How LDAP compares text (RFC 4518): case folded, compatibility forms unified, insignificant space squeezed. Used for
 * DNs (dn.ts) and for matching rules (matching.ts). Both are on hot paths, so plain ASCII takes a short way.
 */

/** Printable ASCII words with single spaces between them: nothing to do but fold the case. */
const plain = /^(?:[!-~]+(?: [!-~]+)*)?$/;

// RFC 4518 §2.2: what is mapped to a space, and what is mapped to nothing.
const spaces = /[\t-\r\u0085\p{Z}]+/gu;
const nothing =
  // oxlint-disable-next-line no-control-regex, no-misleading-character-class -- the RFC lists exactly these
  /[\u0000-\u0008\u000e-\u001f\u007f-\u0084\u0086-\u009f\u00ad\u034f\u06dd\u070f\u1806\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2063\u206a-\u206f\ufe00-\ufe0f\ufeff\ufff9-\ufffc\u{1d173}-\u{1d17a}\u{e0001}\u{e0020}-\u{e007f}]/gu;

/**
 * The form of a text in which caseIgnoreMatch compares. RFC 4518 folds ß to ss; we do not, because neither OpenLDAP nor
 * 389-DS does, and taking two people for one is worse than not finding one by the other spelling.
 */
export function foldCase(text: string): string {
  if (plain.test(text)) return text.toLowerCase();
  // Folding can uncover further compatibility forms; a second round is stable.
  return prepare(prepare(text, true), true);
}

/** The form of a text in which caseExactMatch compares. */
export function squeeze(text: string): string {
  return plain.test(text) ? text : prepare(text, false);
}

function prepare(text: string, fold: boolean): string {
  let prepared = text.replace(nothing, '').normalize('NFKC');
  // Σ becomes σ or ς by its place in the word; a substring has no such place, so there is only one.
  if (fold) prepared = prepared.toLowerCase().normalize('NFKC').replaceAll('ς', 'σ');
  return prepared.replace(spaces, ' ').replace(/^ | $/g, '');
}
