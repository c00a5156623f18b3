/** The commands that set up a postoffice and let others join: their names and options. Part of program.ts. */
import { type Command, Option } from 'commander';
import type { Run } from './runs.ts';

const always = (): boolean => true;

export function addSetUp(program: Command, run: Run): void {
  program
    .command('init')
    .argument('<name>', 'name of this postoffice, such as oslo')
    .description('make a postoffice here: configuration and keys')
    .addOption(
      new Option('--role <role>', 'directory server or requestor')
        .choices(['server', 'requestor'])
        .makeOptionMandatory(),
    )
    .option('--server <name>', 'name of the directory server (for a requestor)')
    .option('--publish <file>', 'LDIF or CSV file with the people of this office')
    .option('--key <attribute>', 'attribute that an entry keeps for life', 'entryUUID')
    .option('--subscribe <file>', 'LDIF or CSV file to write the people of the others to')
    .option('--container <dn>', 'DN under which they are written')
    .option('--listen <host:port>', 'server: take message files by HTTP here, such as 0.0.0.0:8943')
    .option('--address <url>', 'server: what requestors call, such as https://hq.example.org:8943')
    .option('--certificate <file>', 'server: PEM file of its certificate; beyond this machine it needs one')
    .option('--certificate-key <file>', 'server: PEM file of the private key')
    .option('--folder <path>', 'exchange folder that carries the message files')
    .option('--mail-address <address>', 'mail address of this postoffice, with a mailbox of its own')
    .option('--mail-submission <host:port>', 'mail server that takes its mails (SMTP)')
    .option('--mail-mailbox <host:port>', 'mail server that has its mailbox (IMAP; default: the same)')
    .option('--mail-user <name>', 'name to log in with at both (default: the address)')
    .option('--mail-password-file <file>', 'file with the password (default: mail-password)')
    .option('--mail-ca <file>', 'PEM file of the authority of both, if it is a private one')
    .addHelpText('after', '\nPaths are seen from the folder of the configuration.')
    .action(run(async () => (await import('./init.ts')).init));

  addJoining(program, run);
  const peer = program.command('peer').description('other postoffices: their public keys');
  peer
    .command('export')
    .description('write the public file of this postoffice, to be carried to others')
    .option('--out <file>', 'file to write (default: standard output)')
    .action(run(async () => (await import('./peer.ts')).peerExport));
  peer
    .command('add')
    .argument('<file>', 'public file of another postoffice')
    .description('trust another postoffice, after comparing its fingerprint')
    .option('--fingerprint <fingerprint>', 'the fingerprint as its administrator read it out')
    .option('--yes', 'trust it without being asked')
    .option('--replace', 'replace other keys that are known of it')
    .action(run(async () => (await import('./peer.ts')).peerAdd));
  peer
    .command('list')
    .description('list known postoffices and their fingerprints')
    .action(run(async () => (await import('./peer.ts')).peerList));

  program
    .command('check')
    .description('find what is wrong with configuration, keys, directories and transports, and say how to mend it')
    .option(
      '--send',
      'also send a message file by mail, and wait for its answer (at the server: until it is back here)',
    )
    .option('--wait <seconds>', 'how long to wait for that', '120')
    .option('--store', 'also read the whole store, and say whether it is damaged: minutes for a large one')
    .action(run(async () => (await import('./check.ts')).check));
}

function addJoining(program: Command, run: Run): void {
  program
    .command('invite')
    .argument('[name]', 'name of the new requestor, such as oslo')
    .description('on the server: let a new requestor join; prints a secret line for it')
    .option('--valid <time>', 'how long the invitation is good', '72h')
    .option('--kinds <kinds>', 'what it may publish, such as person,group (default: all kinds)')
    .option('--mail-domain <domain...>', 'mail domains that it may publish (default: any that no other has)')
    .option('--max-entries <count>', 'how many entries it may publish (default: no bound)')
    .option('--out <file>', 'write the line to a new file instead of showing it')
    .option('--from <file>', 'invite everybody in a CSV file: one bundle for each, ready to join')
    .option('--bundles <folder>', 'where the bundles go, seen from the configuration', 'bundles')
    .action(run(async () => (await import('./invite.ts')).invite));
  program
    .command('join')
    .argument('[line]', 'the invitation, or - to paste it (as an argument other users of this machine may see it)')
    .description('make a requestor here from an invitation of the server')
    .option('--file <file>', 'file that holds the invitation')
    .option('--name <name>', 'join only if the invitation is for this name')
    .option('--publish <file>', 'LDIF or CSV file with the people of this office')
    .option('--key <attribute>', 'attribute that an entry keeps for life (default: entryUUID)')
    .option('--subscribe <file>', 'LDIF or CSV file to write the people of the others to')
    .option('--container <dn>', 'DN under which they are written')
    .option('--folder <path>', 'exchange folder, where it has another path here than at the server')
    .option('--mail-address <address>', 'mail address of this postoffice, where the server is reached by mail')
    .option('--mail-submission <host:port>', 'mail server that takes its mails (SMTP)')
    .option('--mail-mailbox <host:port>', 'mail server that has its mailbox (IMAP; default: the same)')
    .option('--mail-user <name>', 'name to log in with at both (default: the address)')
    .option('--mail-password-file <file>', 'file with the password (default: mail-password)')
    .option('--mail-ca <file>', 'PEM file of the authority of both, if it is a private one')
    .option('--wait <seconds>', 'how long to wait for the answer of the server', '30')
    .action(run(async () => (await import('./join.ts')).join));
  const requestor = program.command('requestor').description('the requestors of this server');
  requestor
    .command('list')
    .description('list who was invited, has joined, is suspended or gone; and who was refused')
    .action(run(async () => (await import('./requestor.ts')).requestorList));
  requestor
    .command('suspend')
    .argument('<name>', 'name of the requestor')
    .description('take nothing more of it, and send it nothing; its entries stay')
    .action(run(async () => (await import('./requestor.ts')).requestorSuspend));
  requestor
    .command('resume')
    .argument('<name>', 'name of the requestor')
    .description('let it come back')
    .action(run(async () => (await import('./requestor.ts')).requestorResume));
  requestor
    .command('mail')
    .argument('<name>', 'name of the requestor')
    .argument('<address>', 'its new mail address')
    .description('send to another mail address from now on, as when its mailbox moved')
    .action(run(async () => (await import('./requestor.ts')).requestorMail));
  requestor
    .command('remove')
    .argument('<name>', 'name of the requestor')
    .description('part from it: its keys go')
    .option('--keep-entries', 'its entries stay on the lists')
    .option('--withdraw-entries', 'its entries leave the lists of everybody')
    .action(run(async () => (await import('./requestor.ts')).requestorRemove, always));
  const keys = program
    .command('keys')
    .description('show fingerprints: of this postoffice, its recovery key, and those it knows')
    .action(run(async () => (await import('./keys.ts')).keysCommand));
  keys
    .command('roll')
    .description('take new keys, signed for by those before; the others follow by themselves')
    .option('--overlap <time>', 'how long those before are used, too', '30d')
    .option('--post-quantum', 'post-quantum hybrid ones')
    .option('--force', 'also where branches could not follow any more, and would have to join anew')
    .action(run(async () => (await import('./keys-change.ts')).keysRoll));
  keys
    .command('protect')
    .description('seal the key file by a passphrase, which is got each time that the keys are read')
    .option('--passphrase-command <command>', 'program that prints it, such as "pass show dirpost"')
    .option('--passphrase-file <file>', 'file that holds it, outside of the data folder')
    .option('--passphrase-env <name>', 'variable of the environment that holds it')
    .option('--off', 'the key file is plain again')
    .action(run(async () => (await import('./keys-change.ts')).keysProtect));
  keys
    .command('replace')
    .description('on the server, after its keys were lost or stolen: take new ones by its recovery key')
    .option('--recovery-key-file <file>', 'file with the recovery key (else it is asked for, or $DIRPOST_RECOVERY_KEY)')
    .option('--overlap <time>', 'how long what was sealed for the keys before is opened', '30d')
    .action(run(async () => (await import('./keys-change.ts')).keysReplace));
}
