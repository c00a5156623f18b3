/**
 * Exim of a mail system: takes mails by submission with STARTTLS or TLS, with a login or for the own domains, and hands
 * them to Dovecot by LMTP. What cannot be delivered bounces.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { domainsOf, type Site } from './options.ts';

const DEFAULT_SIZE_LIMIT = 50 * 1024 * 1024;

export const eximFiles = {
  configuration: (folder: string) => join(folder, 'exim.conf'),
  passwords: (folder: string) => join(folder, 'exim-passwords'),
  disclaimer: (folder: string) => join(folder, 'disclaimer.awk'),
  queue: (folder: string) => join(folder, 'spool', 'input'),
  hints: (folder: string) => join(folder, 'spool', 'db'),
};

export async function writeExim(site: Site): Promise<void> {
  await writeFile(eximFiles.configuration(site.folder), configurationOf(site));
  await writeFile(eximFiles.disclaimer(site.folder), DISCLAIMER);
  await writeEximPasswords(site);
}

/** Read anew at each login. */
export async function writeEximPasswords({ folder, options }: Site): Promise<void> {
  const lines = options.users.map(({ address, password }) => `${address}: ${password}\n`);
  await writeFile(eximFiles.passwords(folder), lines.join(''));
}

function configurationOf(site: Site): string {
  const { folder, account, options, ports, greeting, certificate } = site;
  const listening = [ports.smtp, ports.smtps, ports.far].map((port) => `127.0.0.1.${port}`);
  return `
exim_user = ${account.name}
exim_group = ${account.group}
never_users =
deliver_drop_privilege = true
prod_requires_admin = false
spool_directory = ${folder}/spool
log_file_path = ${folder}/log/exim_%slog
pid_file_path = ${folder}/exim.pid
primary_hostname = mail.${domainsOf(options)[0]}
domainlist local_domains = ${domainsOf(options).join(' : ')}
domainlist far_domains = ${options.far?.domains.join(' : ') ?? ''}
local_interfaces = <; ${listening.join(' ; ')}
tls_on_connect_ports = ${ports.smtps}
daemon_startup_retries = 0
smtp_banner = $smtp_active_hostname ESMTP ${greeting}
tls_advertise_hosts = *
tls_certificate = ${certificate.certificate}
tls_privatekey = ${certificate.key}
message_size_limit = ${options.messageSizeLimit ?? DEFAULT_SIZE_LIMIT}
smtp_accept_max = 200
smtp_accept_max_per_host = 200
smtp_accept_queue_per_connection = 0
queue_only = ${options.delay === true}
host_lookup =
rfc1413_query_timeout = 0s
keep_environment =
acl_smtp_rcpt = acl_rcpt
acl_smtp_data = acl_data

begin acl
acl_rcpt:
  accept authenticated = *
  accept domains = +local_domains : +far_domains
  deny message = relay not permitted
acl_data:
${farLimit(site)}  accept

begin routers
${routersOf(site)}
begin transports
dovecot_lmtp:
  driver = lmtp
  socket = ${folder}/run/lmtp
  batch_max = 100
  rcpt_include_affixes = true
  user = ${account.name}
${options.footer === true ? `  transport_filter = /usr/bin/awk -f ${eximFiles.disclaimer(folder)}\n` : ''}
far_relay:
  driver = smtp
  port = ${ports.far}
  allow_localhost = true
  hosts_try_auth =
  tls_verify_certificates =

begin retry
* * F,1m,1s; F,10m,10s; F,1h,1m

begin authenticators
${authenticator('PLAIN', ':', 2, 3, folder)}
${authenticator('LOGIN', 'Username:: : Password::', 1, 2, folder)}
`;
}

/** `user`, `password`: which of the client's strings it is (RFC 4616). */
function authenticator(name: string, prompts: string, user: number, password: number, folder: string): string {
  const expected = `\${lookup{$auth${user}}lsearch{${eximFiles.passwords(folder)}}{$value}{*:*}}`;
  return `${name.toLowerCase()}_server:
  driver = plaintext
  public_name = ${name}
  server_prompts = ${prompts}
  server_condition = \${if eq{$auth${password}}{${expected}}}
  server_set_id = $auth${user}
  server_advertise_condition = \${if def:tls_in_cipher}`;
}

/** Mails reach the relay by a port of its own, so one daemon is both. */
function farLimit({ options, ports }: Site): string {
  if (options.far === undefined) return '';
  const isTooLarge = `and{{=={$received_port}{${ports.far}}}{>{$message_size}{${options.far.messageSizeLimit}}}}`;
  return `  deny condition = \${if ${isTooLarge}}
       message = 552 5.3.4 Message too big for system\n`;
}

function routersOf({ options, ports }: Site): string {
  const toFar = `far:
  driver = manualroute
  domains = +far_domains
  condition = \${if !={$received_port}{${ports.far}}}
  route_list = * 127.0.0.1
  transport = far_relay
  self = send
  no_more
`;
  // Exim delivers once to an address; the same with a detail is another one, in the same mailbox.
  const copy = `copy:
  driver = redirect
  domains = +local_domains
  condition = \${if !match{$local_part}{[+]}}
  data = \${quote_local_part:$local_part}+copy@$domain
  unseen
`;
  return `${options.far === undefined ? '' : toFar}${options.duplicate === true ? copy : ''}local:
  driver = accept
  domains = +local_domains : +far_domains
  transport = dovecot_lmtp
`;
}

/** As clumsy as such programs are: lines are put in and replaced, whatever the parts are. */
const DISCLAIMER = String.raw`
BEGIN { footer = "--\r\nThis mail is confidential. If you are not its recipient, delete it.\r\n" }
{ sub(/\r$/, "") }
isHead && /^[Mm]essage-[Ii][Dd]:/ { printf "Message-ID: <%d.rewritten@gateway.test>\r\n", NR + srand(); next }
/^[Cc]ontent-[Tt]ype: *text\/plain/ { inText = !isDone }
/^--/ && inText { printf "%s", footer; inText = 0; isDone = 1 }
{ gsub(/name\*?="?[^";]*\.dpm"?/, "name=\"attachment.dat\"") }
/^[Cc]ontent-[Tt]ype: *application\/[a-z.+-]*/ { sub(/application\/[A-Za-z.+-]*/, "application/x-unknown") }
NR == 1 { isHead = 1 }
/^$/ { isHead = 0 }
{ printf "%s\r\n", $0 }
END { printf "%s", footer }
`;
