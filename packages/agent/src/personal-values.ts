/** What must not stand in the log above `debug`: values of people's entries, wherever an event carries them. */

/** Details that are words of ours, or names from the configuration and of postoffices. */
const WORDS: ReadonlySet<string> = new Set([
  'directory',
  'transport',
  'code',
  'from',
  'to',
  'verdict',
  'mode',
  'id',
  'file',
  'list',
  'peer',
  'name',
  'role',
  'version',
  'postoffice',
  'incarnation',
  'newIncarnation',
  'digest',
  'address',
  'path',
]);

/** Of such only these characters: names of postoffices and files, digests, codes. A DN, a mail and a full name have others. */
const PLAIN_WORD = /^[A-Za-z0-9._:/\\[\]-]{1,200}$/;

export function withoutPersonalValues<
  T extends { text: string; quotesNoEntry?: boolean | undefined; details: Record<string, unknown> },
>(line: T): T {
  const text = line.quotesNoEntry === true ? line.text : cleanText(line.text);
  return { ...line, text, details: cleanDetails(line.details) };
}

function cleanDetails(details: Record<string, unknown>): Record<string, unknown> {
  const kept: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(details)) {
    if (typeof value === 'number' || typeof value === 'boolean' || value === null) kept[name] = value;
    else if (typeof value === 'string') {
      if (WORDS.has(name) && PLAIN_WORD.test(value)) kept[name] = value;
    } else if (typeof value === 'object' && !Array.isArray(value) && !ArrayBuffer.isView(value)) {
      kept[name] = cleanDetails(value as Record<string, unknown>);
    }
  }
  return kept;
}

const QUOTED = /"(?:[^"\\]|\\.)*"|“[^”]*”|«[^»]*»/g;
/** Without the full stop behind it. */
const MAIL = /[^\s<>"',;:()]+@[^\s<>"',;:()]*[^\s<>"',;:().]/g;
const TYPE = String.raw`(?:[A-Za-z][A-Za-z0-9-]*|\d+(?:\.\d+)+)`;
/** Values may hold spaces, quotation marks, and anything behind a backslash; a sentence goes on behind ": " or "; ". */
const VALUE = String.raw`(?:\\.|[:;](?!\s|$)|[^,+\\:;])*`;
/** One or more RDNs (RFC 4514), up to where a sentence goes on. */
const DN = new RegExp(String.raw`\b${TYPE}=(?=\S)${VALUE}(?:\s*[,+;]\s*${TYPE}=${VALUE})*`, 'g');

/**
 * The rule for texts: what comes out of an entry stands in quotation marks (JSON.stringify), since a name or a cell has no
 * form of its own. DNs and mail addresses are found also without.
 */
function cleanText(text: string): string {
  return text.replaceAll(QUOTED, '"…"').replaceAll(DN, '(a DN)').replaceAll(MAIL, '(an address)');
}
