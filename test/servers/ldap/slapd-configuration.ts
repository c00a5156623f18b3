/** slapd.conf of a test's slapd. */
import { SLAPD_MODULES, SLAPD_SCHEMAS } from './programs.ts';
import type { SlapdOverlay, SlapdSite } from './slapd.ts';

export const SUFFIX = 'dc=example,dc=com';

const MAX_DATABASE_BYTES = 8 * 1024 * 1024 * 1024;
/** Changes that syncprov remembers, so that it can name who was deleted since a cookie. */
const SESSION_LOG = 100_000;

const DEFAULT_CHECKPOINT_CHANGES = 100;

const OVERLAYS: Record<SlapdOverlay, string[]> = {
  syncprov: ['overlay syncprov', `syncprov-sessionlog ${SESSION_LOG}`],
  memberof: ['overlay memberof', 'memberof-group-oc groupOfNames', 'memberof-dangling ignore'],
  refint: ['overlay refint', 'refint_attributes member'],
};

export function slapdConfiguration(site: SlapdSite): string {
  const { folder, options, certificate, authority } = site;
  const overlays = options.overlays ?? (Object.keys(OVERLAYS) as SlapdOverlay[]);
  const checkpoint = `syncprov-checkpoint ${options.checkpointChanges ?? DEFAULT_CHECKPOINT_CHANGES} 10`;
  const lines = [
    ...['core', 'cosine', 'inetorgperson', 'nis'].map((name) => `include ${SLAPD_SCHEMAS}/${name}.schema`),
    `pidfile ${folder}/slapd.pid`,
    `modulepath ${SLAPD_MODULES}`,
    ...['back_mdb', ...overlays].map((name) => `moduleload ${name}`),
    ...(options.serverId === undefined ? [] : [`serverID ${options.serverId}`]),
    ...(certificate === null ? [] : tlsLines(authority.ca, certificate)),
    `sizelimit ${options.sizeLimit ?? 'unlimited'}`,
    `timelimit ${options.timeLimitSeconds ?? 'unlimited'}`,
    ...mappingLines(),
    // SCRAM needs the password itself, or what is derived from it.
    'password-hash {CLEARTEXT}',
    'sasl-host localhost',
    'loglevel none',
    ...(options.globalLines ?? []),
    '',
    'database mdb',
    `suffix ${SUFFIX}`,
    `rootdn cn=admin,${SUFFIX}`,
    'rootpw secret',
    `directory ${folder}/data`,
    `maxsize ${MAX_DATABASE_BYTES}`,
    ...(options.writes === 'nosync' ? ['dbnosync', 'envflags writemap nosync'] : []),
    'index objectClass,entryCSN,entryUUID eq',
    'index uid,cn,mail eq',
    'index member eq',
    ...(options.databaseLines ?? []),
    'access to attrs=userPassword by anonymous auth by * none',
    ...(options.access ?? []),
    // Who logs in by SASL is looked up before he is known.
    'access to * by users read by anonymous auth',
    ...overlays.flatMap((name) => [...OVERLAYS[name], ...(name === 'syncprov' ? [checkpoint] : [])]),
  ];
  return `${lines.join('\n')}\n`;
}

function tlsLines(ca: string, { certificate, key }: { certificate: string; key: string }): string[] {
  return [
    `TLSCACertificateFile ${ca}`,
    `TLSCertificateFile ${certificate}`,
    `TLSCertificateKeyFile ${key}`,
    'TLSVerifyClient allow',
  ];
}

/** Who is who (slapd.conf(5), authz-regexp): the account of the test by ldapi, a client's certificate, SCRAM. */
function mappingLines(): string[] {
  const [uid, gid] = [process.getuid!(), process.getgid!()];
  return [
    `authz-regexp gidNumber=${gid}\\+uidNumber=${uid},cn=peercred,cn=external,cn=auth cn=admin,${SUFFIX}`,
    `authz-regexp ^cn=agent$ cn=admin,${SUFFIX}`,
    `authz-regexp uid=([^,]+),cn=[^,]+,cn=auth uid=$1,ou=accounts,${SUFFIX}`,
  ];
}
