/** `dirpost check` for LDAP directories: what is at the other end, as whom, how changes are found, and what is lacking there. */
import { isReadableByOthers, type LdapFacts } from '@dirpost/adapters';
import type { PublishLdap, SubscribeLdap } from '../config/ldap.ts';
import type { Configuration } from '../config/load.ts';
import { openLdap, secretFilesOf } from '../open-ldap.ts';
import type { Invocation } from './command.ts';
import type { Finding } from './check.ts';

/** Throws DirpostError where no server answers, or none lets this account in. */
export async function ldapFindings(
  { signal }: Invocation,
  { limits }: Configuration,
  directory: PublishLdap | SubscribeLdap,
): Promise<Finding[]> {
  const what = directory.name;
  const facts = await openLdap(directory, limits).facts(signal);
  const line = facts.tls === null ? 'not encrypted' : facts.tls;
  const found: Finding[] = [
    { what, result: 'ok', text: `${facts.vendor} at ${facts.server} (${line}), as ${facts.account}` },
  ];
  if (directory.direction === 'publish') {
    found.push({ what, result: 'ok', text: `changes are found by ${facts.method}: ${facts.why}` });
  } else {
    found.push(containerFinding(directory, facts));
    found.push(...unknownTo(what, facts));
  }
  return [...found, ...lacking(what, facts), ...(await openSecrets(what, directory))];
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

/** They are left out of what is written. */
function unknownTo(what: string, { unknownAttributes: unknown }: LdapFacts): Finding[] {
  if (unknown === null) return [{ what, result: 'warning', text: 'the server does not show its schema' }];
  if (unknown.length === 0) return [];
  return [{ what, result: 'ok', text: `not written, since the schema does not know them: ${unknown.join(', ')}` }];
}

async function openSecrets(what: string, directory: PublishLdap | SubscribeLdap): Promise<Finding[]> {
  const found: Finding[] = [];
  for (const file of secretFilesOf(directory)) {
    if (!(await isReadableByOthers(file))) continue;
    const text = `every account of this machine can read ${file}`;
    found.push({ what, result: 'warning', text, mend: `chmod o= ${file}` });
  }
  return found;
}

function lacking(what: string, { lacks }: LdapFacts): Finding[] {
  return lacks.map((lack) => {
    const mend = lack.mend.map(({ where, lines }) => [`${where}:`, ...lines.map((line) => `  ${line}`)].join('\n  '));
    return { what, result: 'warning', text: lack.what, ...(mend.length > 0 && { mend: mend.join('\n  ') }) };
  });
}
