/** What an administrator pastes on the server, so that an account may do what dirpost needs. */
import { containersOf } from '@dirpost/core';

export interface Lack {
  /** A sentence. */
  what: string;
  /** Ready to paste: for which place, and the lines. */
  mend: Mending[];
}

export interface Mending {
  /** "slapd.conf", "ldapmodify on cn=config" … */
  where: string;
  lines: string[];
}

/** Not yet known: whom it is for. */
export type Advice = (account: string) => Lack;

/** The number and kind of the database differ from server to server. */
const DATABASE = 'olcDatabase={1}mdb,cn=config';

export function maybeLacksSyncprov(suffix: string): Advice {
  return (account) => ({
    ...lacksSyncprov(suffix)(account),
    what: `Where the account may read contextCSN and still sees none: the database ${suffix} has no overlay syncprov. (Look first: it must not be there twice.)`,
  });
}

export function lacksSyncprov(suffix: string): Advice {
  return () => ({
    what: `The database ${suffix} does not do content synchronization (overlay syncprov).`,
    mend: [
      {
        where: 'slapd.conf, in the database',
        lines: [
          'moduleload syncprov    # among the other moduleload lines, above the databases',
          'index entryCSN,entryUUID eq',
          'overlay syncprov',
          'syncprov-checkpoint 100 10',
          'syncprov-sessionlog 10000',
        ],
      },
      {
        where: 'ldapmodify on cn=config',
        lines: [
          `dn: olcOverlay=syncprov,${DATABASE}`,
          'changetype: add',
          'objectClass: olcOverlayConfig',
          'objectClass: olcSyncProvConfig',
          'olcOverlay: syncprov',
          'olcSpCheckpoint: 100 10',
          'olcSpSessionlog: 10000',
          '',
          `dn: ${DATABASE}`,
          'changetype: modify',
          'add: olcDbIndex',
          'olcDbIndex: entryCSN,entryUUID eq',
        ],
      },
    ],
  });
}

/** Which of the two it is cannot be seen: what is pasted for the other one could be there twice. */
export function lacksContextCsn(suffix: string): Advice {
  return (account) => ({
    what: `${account} sees no contextCSN of ${suffix}: it may not read it, or the overlay syncprov is not there, which writes it.`,
    mend: accessLines(`to dn.base="${suffix}" attrs=entry,objectClass,contextCSN by ${who(account)} read by * break`),
  });
}

/** `database`: its DN in cn=config. */
export function lacksIndex(suffix: string, database: string, attributes: string[]): Advice {
  const index = `${attributes.join(',')} eq`;
  return () => ({
    what: `The database ${suffix} has no index for ${attributes.join(', ')}: it looks at every entry each time that changes are asked for.`,
    mend: [
      { where: 'slapd.conf, in the database; slapindex afterwards, while slapd is stopped', lines: [`index ${index}`] },
      {
        where: 'ldapmodify on cn=config',
        lines: [`dn: ${database}`, 'changetype: modify', 'add: olcDbIndex', `olcDbIndex: ${index}`],
      },
    ],
  });
}

/** What cuts an answer of `seen` entries. */
export function cutsAnswers(kind: string, seen: number): Advice {
  return (account) => {
    const what = `The server cuts answers to ${account} after ${seen} entries: a whole read cannot be complete.`;
    if (kind === '389ds') return { what, mend: [limitsOf389(account)] };
    if (kind !== 'openldap') return { what, mend: [] };
    const limits = `${who(account)} size=unlimited time=unlimited`;
    return {
      what,
      mend: [
        { where: 'slapd.conf, in the database', lines: [`limits ${limits}`] },
        {
          where: 'ldapmodify on cn=config',
          lines: [`dn: ${DATABASE}`, 'changetype: modify', 'add: olcLimits', `olcLimits: ${limits}`],
        },
      ],
    };
  };
}

function limitsOf389(account: string): Mending {
  const names = ['nsSizeLimit', 'nsPagedSizeLimit', 'nsLookThroughLimit', 'nsPagedLookThroughLimit', 'nsTimeLimit'];
  return {
    where: 'ldapmodify',
    lines: [`dn: ${account}`, 'changetype: modify', names.map((name) => `replace: ${name}\n${name}: -1`).join('\n-\n')]
      .join('\n')
      .split('\n'),
  };
}

export function lacksDeletedObjects(namingContext: string): Advice {
  const container = `CN=Deleted Objects,${namingContext}`;
  return (account) => ({
    what: `${account} does not see deleted objects of ${namingContext}: a search for them finds none, without any error.`,
    mend: inDomain(`dsacls "${container}" /takeownership`, `dsacls "${container}" /G "${account}:LCRP"`),
  });
}

/** DS-Replication-Get-Changes (MS-ADTS 5.1.3.2.1). It gives no passwords. */
export function lacksReplicationRight(namingContext: string): Advice {
  return (account) => ({
    what: `${account} may not use DirSync in ${namingContext}, or does not see by it what was deleted.`,
    mend: inDomain(`dsacls "${namingContext}" /G "${account}:CA;Replicating Directory Changes"`),
  });
}

export function inDomain(...lines: string[]): Mending[] {
  return [{ where: 'a command line of an administrator of the domain', lines }];
}

/** Key, kinds, filter and attributes are those of another sort of server. */
export function otherProfile({ kind, vendor }: { kind: string; vendor: string }, profile: string): Advice {
  return () => ({
    what: `This is ${vendor}, and \`profile\` is ${profile}: key, kinds, filter and attributes are not those of this server.`,
    mend: [{ where: 'dirpost.yaml, in this directory', lines: [`profile: ${kind}`] }],
  });
}

/** `namingContexts`: what the server has. */
export function isNotHere(namingContexts: string[], base: string): Advice {
  return () => ({ what: `${base} is not on this server, which has ${namingContexts.join(', ')}.`, mend: [] });
}

/** No server says which of these it is. */
export function seesNothing(kind: string, base: string, attributes: string[]): Advice {
  return (account) => ({
    ...lacksReading(kind, base, attributes)(account),
    what: `${account} sees nothing below ${base}: the base is written wrongly, nothing there matches the filter, or this account may not read it.`,
  });
}

/** An account that may not read `objectClass` finds nothing by most filters. */
export function lacksReading(kind: string, base: string, attributes: string[]): Advice {
  return (account) => {
    const names = ['objectClass', ...attributes.filter((name) => name.toLowerCase() !== 'objectclass')];
    const what = `${account} may not read ${attributes.join(', ')} below ${base}, or there is nothing.`;
    if (kind === '389ds') {
      const aci = `aci: (targetattr="${names.join(' || ')}")(version 3.0; acl "dirpost reads"; allow (read,search,compare) userdn="ldap:///${account}";)`;
      return { what, mend: [{ where: 'ldapmodify', lines: [`dn: ${base}`, 'changetype: modify', 'add: aci', aci] }] };
    }
    if (kind !== 'openldap') return { what, mend: [] };
    return {
      what,
      mend: accessLines(`to dn.subtree="${base}" attrs=entry,${names.join(',')} by ${who(account)} read by * break`),
    };
  };
}

/** `parent`: of a container that is still to be made; else null. */
export function lacksWriting(place: {
  kind: string;
  vendor: string;
  container: string;
  parent: string | null;
}): Advice {
  const { kind, vendor, container, parent } = place;
  return (account) => {
    const what =
      parent === null
        ? `${account} may not write below ${container}.`
        : `${account} may not make ${container} below ${parent}.`;
    if (kind === 'openldap') return { what, mend: writingOpenLdap(account, container, parent) };
    if (kind === '389ds') return { what, mend: [writing389(account, container, parent)] };
    if (kind !== 'ad') return { what, mend: [] };
    const name = /samba/i.test(vendor) ? 'Samba' : 'Active Directory';
    return {
      what,
      mend: name === 'Samba' ? writingSamba(account, container, parent) : writingAd(account, container, parent),
    };
  };
}

function writingOpenLdap(account: string, container: string, parent: string | null): Mending[] {
  const below = `to dn.subtree="${container}" by ${who(account)} write by * break`;
  const top = parent === null ? [] : [`to dn.base="${parent}" attrs=children by ${who(account)} write by * break`];
  const lines = [...top, below];
  return [
    {
      where: 'slapd.conf, before the other access lines of the database',
      lines: lines.map((access) => `access ${access}`),
    },
    {
      where: 'ldapmodify on cn=config',
      lines: [
        `dn: ${DATABASE}`,
        'changetype: modify',
        'add: olcAccess',
        ...lines.map((access, i) => `olcAccess: {${i}}${access}`),
      ],
    },
  ];
}

/** What is not there yet is made with its rule: of a rule above it for this one entry the server does not tell. */
function writing389(account: string, container: string, parent: string | null): Mending {
  const aci = `aci: (targetattr="*")(version 3.0; acl "dirpost writes"; allow (all) userdn="ldap:///${account}";)`;
  if (parent === null) {
    return { where: 'ldapmodify', lines: [`dn: ${container}`, 'changetype: modify', 'add: aci', aci] };
  }
  const [made] = containersOf({ name: '', container, dn: 'container', publishing: [] }, new Set());
  const has = [...made!.attributes].map(([name, [value]]) => ldifLine(name, Buffer.from(value!).toString()));
  return { where: 'ldapmodify', lines: [ldifLine('dn', container), 'changetype: add', ...has, aci] };
}

/** RFC 2849: what is not plain ASCII goes as base64. */
function ldifLine(name: string, value: string): string {
  const isPlain = /^[\x21-\x39\x3b\x3d-\x7e][\x20-\x7e]*$/.test(value);
  return isPlain ? `${name}: ${value}` : `${name}:: ${Buffer.from(value).toString('base64')}`;
}

const MADE_FIRST = 'Make it, give its rights, and say `makeContainer: false`';

function writingAd(account: string, container: string, parent: string | null): Mending[] {
  const made = parent === null ? [] : [`dsadd ou "${container}"`];
  const [mending] = inDomain(...made, `dsacls "${container}" /I:T /G "${account}:GA"`);
  return [parent === null ? mending! : { ...mending!, where: `${MADE_FIRST}; ${mending!.where}` }];
}

function writingSamba(account: string, container: string, parent: string | null): Mending[] {
  const made = parent === null ? [] : [`samba-tool ou create "${container}"`];
  const where = 'on the domain controller; SID is the objectSid that the first line names';
  const lines = [
    `samba-tool user show ${nameInSamba(account)} --attributes=objectSid`,
    ...made,
    `samba-tool dsacl set --objectdn="${container}" --sddl="(A;CI;GA;;;SID)"`,
  ];
  return [{ where: parent === null ? where : `${MADE_FIRST}; ${where}`, lines }];
}

/** As the server, or the configuration, names it: PROBE\dirpost, dirpost@probe.test, a DN. */
export function nameInSamba(account: string): string {
  return account.includes('=') ? 'NAME' : account.replace(/^.*\\/, '').replace(/@.*$/, '');
}

/** slapd.access(5): the first line that fits decides, hence `break` in them. */
export function accessLines(access: string): Mending[] {
  return [
    { where: 'slapd.conf, before the other access lines of the database', lines: [`access ${access}`] },
    {
      where: 'ldapmodify on cn=config',
      lines: [`dn: ${DATABASE}`, 'changetype: modify', 'add: olcAccess', `olcAccess: {0}${access}`],
    },
  ];
}

export function who(account: string): string {
  return account.includes('=') ? `dn.exact="${account}"` : 'users';
}
