/** Dovecot 2.3 of a mail system: mailboxes as Maildir, by IMAP with STARTTLS or TLS, and LMTP for Exim and for tests. */
import { mkdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { domainsOf, type Site } from './options.ts';

/** What it says by itself, without IDLE and MOVE. */
const CAPABILITIES =
  'IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE SORT THREAD=REFERENCES MULTIAPPEND UNSELECT CHILDREN NAMESPACE UIDPLUS ' +
  'LIST-EXTENDED CONDSTORE QRESYNC ESEARCH ESORT SEARCHRES WITHIN LIST-STATUS BINARY SPECIAL-USE STATUS=SIZE';

export const dovecotFiles = {
  configuration: (folder: string) => join(folder, 'dovecot.conf'),
  users: (folder: string) => join(folder, 'users'),
  mail: (folder: string) => join(folder, 'mail'),
  home: (folder: string, address: string) => join(folder, 'mail', address),
  maildir: (folder: string, address: string) => join(folder, 'mail', address, 'Maildir'),
};

export async function writeDovecot(site: Site): Promise<void> {
  await writeFile(dovecotFiles.configuration(site.folder), configurationOf(site));
  await writeDovecotUsers(site);
  for (const { address, sieve } of site.options.users) {
    await mkdir(dovecotFiles.home(site.folder, address), { recursive: true });
    await writeFile(join(dovecotFiles.home(site.folder, address), 'sieve'), sieve ?? 'keep;\n');
  }
}

let versions = 0;

/** passwd-file: name, password, uid, gid, comment, home, shell, fields. Read anew when it has changed. */
export async function writeDovecotUsers({ folder, account: { uid, gid }, options }: Site): Promise<void> {
  const lines = options.users.map(({ address, password, quotaBytes }) => {
    const home = dovecotFiles.home(folder, address);
    const quota = quotaBytes === undefined ? '' : `userdb_quota_rule=*:bytes=${quotaBytes}`;
    return `${address}:{PLAIN}${password}:${uid}:${gid}::${home}::${quota}\n`;
  });
  const file = dovecotFiles.users(folder);
  await writeFile(file, lines.join(''));
  // Dovecot sees a change by size and second.
  const seconds = Math.floor(Date.now() / 1_000) - 1_000 + versions++;
  await utimes(file, seconds, seconds);
}

function configurationOf(site: Site): string {
  const { folder, account, options, ports, greeting, certificate } = site;
  const users = `args = username_format=%u ${dovecotFiles.users(folder)}`;
  const isQuotaSet = options.users.some(({ quotaBytes }) => quotaBytes !== undefined);
  const extensions = [
    ...(options.idle === false ? [] : ['IDLE']),
    ...(options.move === false ? [] : ['MOVE']),
    ...(isQuotaSet ? ['QUOTA'] : []),
  ];
  const plugins = isQuotaSet ? 'mail_plugins = quota' : '';
  return `
base_dir = ${folder}/run
state_dir = ${folder}/run
instance_name = ${greeting}
login_greeting = Dovecot ${greeting}
protocols = imap lmtp
listen = 127.0.0.1
log_path = ${folder}/log/dovecot.log
default_internal_user = ${account.name}
default_internal_group = ${account.group}
default_login_user = ${account.name}
first_valid_uid = 1
mail_uid = ${account.name}
mail_gid = ${account.group}
mail_location = maildir:~/Maildir
mailbox_list_index = yes
mail_fsync = never
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
ssl = yes
ssl_cert = <${certificate.certificate}
ssl_key = <${certificate.key}
ssl_min_protocol = TLSv1.2
mail_max_userip_connections = 200
imap_idle_notify_interval = 2 mins
imap_capability = ${[CAPABILITIES, ...extensions].join(' ')}
lmtp_save_to_detail_mailbox = no
recipient_delimiter = +
${plugins}
passdb {
  driver = passwd-file
  ${users}
}
userdb {
  driver = passwd-file
  ${users}
}
namespace inbox {
  inbox = yes
  mailbox Sent {
    auto = create
    special_use = \\Sent
  }
  mailbox Junk {
    auto = create
    special_use = \\Junk
  }
}
plugin {
  sieve = file:~/sieve-scripts;active=~/sieve
  sieve_duplicate_default_period = 1
${isQuotaSet ? `  quota = count:User quota\n  quota_vsizes = yes` : ''}
}
service anvil {
  chroot =
  # Else logins wait ever longer after wrong passwords.
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service stats {
  chroot =
}
service imap-login {
  chroot =
  service_count = 0
  inet_listener imap {
    port = ${ports.imap}
  }
  inet_listener imaps {
    port = ${ports.imaps}
    ssl = yes
  }
}
service lmtp {
  user = ${account.name}
  unix_listener lmtp {
    mode = 0666
  }
  inet_listener lmtp {
    address = 127.0.0.1
    port = ${ports.lmtp}
  }
}
service auth {
  unix_listener auth-userdb {
    user = ${account.name}
  }
  unix_listener auth-client {
    mode = 0666
  }
}
protocol imap {
  mail_plugins = $mail_plugins${isQuotaSet ? ' imap_quota' : ''}
}
protocol lmtp {
  mail_plugins = $mail_plugins sieve
  postmaster_address = postmaster@${domainsOf(options)[0]}
}
`;
}
