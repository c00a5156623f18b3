/** `dirpost check` for LDAP directories: what is at the other end, as whom, how changes are found, and what is lacking there. */
import type { EntryQuestion, LdapFacts } from '@dirpost/adapters';
import type { PublishLdap, SubscribeLdap } from '../config/ldap.ts';
import { policyFor } from '../config/both-ways.ts';
import { ldapProfile } from '../config/ldap-profiles.ts';
import type { Configuration } from '../config/load.ts';
import { openLdap, secretFilesOf } from '../open-ldap.ts';
import type { Invocation } from './command.ts';
import type { Finding } from './findings.ts';
import { leftOutFindings } from './left-out.ts';
import { secretFindings } from './check-secrets.ts';

/** Throws DirpostError where no server answers, or none lets this account in. */
export async function ldapFindings(
  call: Invocation,
  configuration: Configuration,
  directory: PublishLdap | SubscribeLdap,
): Promise<Finding[]> {
  const what = directory.name;
  const facts = await openLdap(directory, configuration.limits).facts(
    call.signal,
    questionsOf(configuration, directory),
  );
  const line = facts.tls === null ? 'not encrypted' : facts.tls;
  const connected: Finding = {
    what,
    result: 'ok',
    text: `${facts.vendor} at ${facts.server} (${line}), as ${facts.account}`,
  };
  // Of both ways: said already, of the half that is published from.
  const isSecond = directory.direction === 'subscribe' && directory.both !== null;
  const found: Finding[] = isSecond ? [] : [connected, ...unusableServers(what, facts)];
  if (directory.direction === 'publish') {
    found.push({ what, result: 'ok', text: `changes are found by ${facts.method}: ${facts.why}` });
    found.push(wakeUpFinding(directory, facts), ...unknownAsked(directory, facts));
    found.push(...entryFindings(what, facts, 'own people, into whom edits of others are written'));
  } else {
    found.push(
      containerFinding(directory, facts),
      ...writingFindings(what, facts),
      ...leaversFinding(directory, facts),
      ...entryFindings(what, facts, 'entries that were there before (`adopt`)'),
    );
    found.push(...unknownTo(what, facts), ...byHandFinding(directory));
    found.push(...(await leftOutFindings(call, configuration, what)));
  }
  return [...found, ...lacking(what, facts), ...(await secretFindings(what, isSecond ? [] : secretFilesOf(directory)))];
}

function unusableServers(what: string, { unusable }: LdapFacts): Finding[] {
  return unusable.map(({ message, hint }) => {
    const text = `another server of it could not take its place: ${message}`;
    return { what, result: 'warning', text, ...(hint !== undefined && { mend: hint }) };
  });
}

function containerFinding({ name, container, target }: SubscribeLdap, facts: LdapFacts): Finding {
  const what = name;
  if (facts.container === 'there') return { what, result: 'ok', text: `entries are written below ${container}` };
  if (facts.container === 'to be made') {
    return { what, result: 'ok', text: `entries are written below ${container}, which is made with the first write` };
  }
  const mend = target.makeContainer
    ? 'What it stands below is not there either: look at how both are written.'
    : 'Make it, and give the account its rights (docs/ldap.md); or is `container` written wrongly?';
  return { what, result: 'fault', text: `${container} is not there, or ${facts.account} may not see it`, mend };
}

/** Of both ways. */
function byHandFinding({ name, both }: SubscribeLdap): Finding[] {
  if (both === null) return [];
  const { watched, edits } = both;
  const seen = watched.length === 0 ? 'no attribute' : watched.join(', ');
  const proposed =
    edits.length === 0 ? 'none is proposed to its owner' : `proposed to their owners: ${edits.join(', ')}`;
  return [{ what: name, result: 'ok', text: `changes by hand there are seen of ${seen}; ${proposed}` }];
}

/** What cannot be asked without writing is no fault. */
function writingFindings(what: string, { writing, account }: LdapFacts): Finding[] {
  if (writing === null) return [];
  const { may, how, lack } = writing;
  if (may === 'yes') return [{ what, result: 'ok', text: `${account} may write there (${how})` }];
  if (may === 'unknown') {
    const text = `whether ${account} may write there is seen with the first write: ${how}`;
    return [{ what, result: 'ok', text }];
  }
  const mend = lack === null ? '' : mendingOf(lack);
  return [{ what, result: 'fault', text: `${lack?.what ?? ''} (${how})`, ...(mend !== '' && { mend }) }];
}

/** Entries that are changed outside of the container: the account needs rights there, too. */
function questionsOf(configuration: Configuration, directory: PublishLdap | SubscribeLdap): EntryQuestion[] {
  if (directory.direction === 'publish') {
    const attributes = editedAttributes(configuration, directory);
    return attributes.length === 0 ? [] : directory.bases.map((base) => ({ base, attributes }));
  }
  const { adopt, connection } = directory;
  if (adopt === null) return [];
  const attributes = ldapProfile(connection.profile).attributes.map((one) => one.toLowerCase());
  const groups = new Set(['member', 'uniquemember']);
  const asked = attributes.filter((one) => !groups.has(one));
  return [{ base: { dn: adopt.base, scope: 'sub', filter: adopt.filter }, attributes: asked }];
}

/** As this directory names them: what the configuration here says of edits. What another server's lists allow is not known here. */
function editedAttributes(
  { directories, lists }: Configuration,
  { name, attributes, connection }: PublishLdap,
): string[] {
  const other = directories.find(
    (one): one is SubscribeLdap => one.type === 'ldap' && one.direction === 'subscribe' && one.name === name,
  );
  if (other?.both == null) return [];
  const { edits, takes } = other.both;
  const allowed = lists.flatMap((list) => list.edits);
  const all = allowed.includes('*') ? ldapProfile(connection.profile).attributes : [];
  const said = [...edits, ...Object.keys(takes.attributes), ...allowed.filter((one) => one !== '*'), ...all];
  const named = said.map((one) => one.toLowerCase());
  const sources = [...new Set(named)]
    .filter((one) => policyFor(takes, one) !== 'never')
    .map((one) => (attributes[one] === undefined ? one : attributes[one]));
  // What a template makes cannot be changed backwards.
  return sources.flatMap((source) => (source === null || source.includes('{') ? [] : [source.toLowerCase()]));
}

function entryFindings(what: string, { entries, account }: LdapFacts, which: string): Finding[] {
  return entries.map(({ base, may, how, lack }) => {
    if (may === 'yes') return { what, result: 'ok', text: `${account} may change ${which}, below ${base} (${how})` };
    if (may === 'unknown') {
      const text = `whether ${account} may change ${which}, below ${base}, is seen with the first change: ${how}`;
      return { what, result: 'ok', text };
    }
    const mend = lack === null ? '' : mendingOf(lack);
    return {
      what,
      result: 'warning',
      text: `${lack?.what ?? ''} These are ${which} (${how}).`,
      ...(mend !== '' && { mend }),
    };
  });
}

function leaversFinding({ name, target }: SubscribeLdap, { leavers, account }: LdapFacts): Finding[] {
  if (leavers !== 'missing' || target.removal === 'delete') return [];
  const text = `${target.removal.moveTo}, where those who are gone are to be moved, is not there, or ${account} may not see it`;
  return [{ what: name, result: 'fault', text, mend: 'Make it; dirpost does not.' }];
}

function wakeUpFinding({ name, onChangeMs }: PublishLdap, { wakeUp }: LdapFacts): Finding {
  const what = name;
  if (wakeUp !== null) {
    const text = `the server says at once that something changed (${wakeUp})`;
    const use = onChangeMs === null ? '; `onChange` would make use of it' : '; `onChange` makes use of it';
    return { what, result: 'ok', text: `${text}${use}` };
  }
  const text = 'the server does not say that something changed: it is read at the times of `schedule` only';
  if (onChangeMs === null) return { what, result: 'ok', text };
  return { what, result: 'warning', text, mend: '`onChange` does nothing with this server: take it out.' };
}

/** A default list has attributes that not every schema knows; one that was named here may be written wrongly. */
function unknownAsked({ name, connection }: PublishLdap, { unknownAttributes: unknown }: LdapFacts): Finding[] {
  if (unknown === null || unknown.length === 0) return [];
  const byDefault = new Set(ldapProfile(connection.profile).attributes.map((one) => one.toLowerCase()));
  const wrong = unknown.filter((one) => !byDefault.has(one));
  const others = unknown.filter((one) => byDefault.has(one));
  const found: Finding[] = [];
  if (others.length > 0) {
    found.push({
      what: name,
      result: 'ok',
      text: `not there, since the schema does not know them: ${others.join(', ')}`,
    });
  }
  if (wrong.length > 0) {
    const text = `the schema of the server does not know ${wrong.join(', ')}: nothing is read of that`;
    found.push({ what: name, result: 'warning', text, mend: 'Is it written wrongly in the configuration?' });
  }
  return found;
}

/** They are left out of what is written. */
function unknownTo(what: string, { unknownAttributes: unknown }: LdapFacts): Finding[] {
  if (unknown === null) return [{ what, result: 'warning', text: 'the server does not show its schema' }];
  if (unknown.length === 0) return [];
  return [{ what, result: 'ok', text: `not written, since the schema does not know them: ${unknown.join(', ')}` }];
}

function lacking(what: string, { lacks }: LdapFacts): Finding[] {
  return lacks.map((lack) => {
    const mend = mendingOf(lack);
    return { what, result: 'warning', text: lack.what, ...(mend !== '' && { mend }) };
  });
}

function mendingOf({ mend }: LdapFacts['lacks'][number]): string {
  return mend.map(({ where, lines }) => [`${where}:`, ...lines.map((line) => `  ${line}`)].join('\n  ')).join('\n  ');
}
