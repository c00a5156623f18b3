/** What a profile, or one setting, says of another: hosts, ports, TLS and scopes of mail. Works on what stands in the file. */
import { type Endpoint, profileOf, type ProfileName } from '@dirpost/adapters';

export const mailProfiles = ['generic', 'microsoft365', 'google'] as const satisfies ProfileName[];
export const tlsModes = ['implicit', 'starttls', 'none'] as const satisfies Endpoint['tls'][];

type Way = 'submission' | 'mailbox';
type Given = { host?: string | undefined; port?: number | undefined; tls?: Endpoint['tls'] | undefined };

const ports: Record<Way, Record<Endpoint['tls'], number>> = {
  submission: { implicit: 465, starttls: 587, none: 25 },
  mailbox: { implicit: 993, starttls: 143, none: 143 },
};

/** The host is empty where nothing names one. */
export function hostOf(
  way: Way,
  given: { profile?: ProfileName | undefined } & { [one in Way]?: Given | undefined },
): Endpoint {
  const own = given[way] ?? {};
  const byProfile = own.host === undefined ? profileOf(given.profile ?? 'generic')[way] : undefined;
  const other = given[way === 'submission' ? 'mailbox' : 'submission']?.host;
  const host = own.host ?? byProfile?.host ?? other ?? '';
  const bare = host.replace(/^\[|\]$/g, '');
  const port = own.port ?? (own.tls === undefined ? byProfile?.port : undefined);
  const tls = own.tls ?? (own.port === undefined ? byProfile?.tls : undefined) ?? tlsBy(way, port);
  return { host: bare, port: port ?? ports[way][tls], tls };
}

/** Most submission ports beside 465 are for STARTTLS; most mailbox ports beside 143 are not. */
function tlsBy(way: Way, port: number | undefined): Endpoint['tls'] {
  if (way === 'submission') return port === undefined || port === ports.submission.implicit ? 'implicit' : 'starttls';
  return port === ports.mailbox.starttls ? 'starttls' : 'implicit';
}

/** Undefined where it has to be named. `tenant` is a matter of Microsoft 365, whatever the profile is. */
export function scopeOf(
  profile: ProfileName,
  { scope, tenant }: { scope?: string | undefined; tenant?: string | undefined },
): string | undefined {
  return scope ?? profileOf(tenant === undefined ? profile : 'microsoft365').scope ?? undefined;
}

/** Where the tenant gives out tokens. */
export function tokenUrlOf(tenant: string): string {
  return (profileOf('microsoft365').tokenUrl ?? '').replace('TENANT', tenant);
}
