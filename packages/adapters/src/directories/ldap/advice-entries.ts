/** What an administrator pastes, so that an account may change attributes of entries that are there already. As advice.ts. */
import { accessLines, type Advice, inDomain, type Mending, nameInSamba, who } from './advice.ts';
import type { ReadContext } from './read-whole.ts';
import { readEntry } from './root-dse.ts';

export type { Lack } from './advice.ts';

/** `names`: attributes in lower case. Throws DirpostError `directory-failed`. */
export async function lacksAmending(context: ReadContext, base: string, names: string[]): Promise<Advice> {
  const { kind, vendor } = context.dse;
  const isSamba = kind === 'ad' && /samba/i.test(vendor);
  const guids = isSamba ? await attributeGuids(context, names) : [];
  return (account) => {
    const what = `${account} may not change ${names.join(', ')} of entries below ${base}.`;
    if (isSamba) return { what, mend: [bySamba(account, base, guids)] };
    if (kind === 'ad') {
      const grants = names.map((name) => `"${account}:WP;${name}"`).join(' ');
      return { what, mend: inDomain(`dsacls "${base}" /I:S /G ${grants}`) };
    }
    if (kind === '389ds') return { what, mend: [by389(account, base, names)] };
    if (kind !== 'openldap') return { what, mend: [] };
    return {
      what,
      mend: accessLines(`to dn.subtree="${base}" attrs=${names.join(',')} by ${who(account)} write by * break`),
    };
  };
}

function by389(account: string, base: string, names: string[]): Mending {
  const aci = `aci: (targetattr="${names.join(' || ')}")(version 3.0; acl "dirpost changes"; allow (read,search,compare,write) userdn="ldap:///${account}";)`;
  return { where: 'ldapmodify', lines: [`dn: ${base}`, 'changetype: modify', 'add: aci', aci] };
}

function bySamba(account: string, base: string, guids: string[]): Mending {
  const sddl = guids.map((guid) => `(OA;CI;WP;${guid};;SID)`).join('');
  return {
    where: 'on the domain controller; SID is the objectSid that the first line names',
    lines: [
      `samba-tool user show ${nameInSamba(account)} --attributes=objectSid`,
      `samba-tool dsacl set --objectdn="${base}" --sddl="${sddl}"`,
    ],
  };
}

/** By which rights to one attribute are given (MS-ADTS 3.1.1.3.1.1.3, PROPERTY-GUID). */
async function attributeGuids({ session, dse, signal }: ReadContext, names: string[]): Promise<string[]> {
  const filter = '(objectClass=subschema)';
  const entry = await readEntry(session, dse.schema ?? '', ['extendedAttributeInfo'], { signal, filter });
  const wanted = new Set(names);
  return (entry?.attributes.get('extendedattributeinfo') ?? []).flatMap((value) => {
    const text = value.toString();
    const name = /\bNAME\s+'([^']*)'/.exec(text)?.[1]?.toLowerCase() ?? '';
    const octets = /\bPROPERTY-GUID\s+'([0-9A-Fa-f]{32})'/.exec(text)?.[1];
    return wanted.has(name) && octets !== undefined ? [guidOf(octets)] : [];
  });
}

/** MS-DTYP 2.3.4.2: the first three parts begin with their last octet. */
function guidOf(hex: string): string {
  const turned = (part: string) => part.match(/../g)!.reverse().join('');
  const [a, b, c, d, e] = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)];
  return [turned(a), turned(b), turned(c), d, e].join('-').toLowerCase();
}
