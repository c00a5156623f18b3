/** `dirpost restore`: a sealed backup becomes a postoffice again, which goes on as a new incarnation. */
import { resolve } from 'node:path';
import { readBounded } from '@dirpost/adapters';
import { DirpostError } from '@dirpost/core';
import { type AgeKey, ParsedKeys, parseRecoveryKey, recoveryIdentity } from '@dirpost/message';
import { describePublish } from '../joining/enrol.ts';
import { needsPassphrase, restore, type Restored } from '../restore.ts';
import type { RestoredPeer } from '../restored-trust.ts';
import { PASSPHRASE_ENV } from './backup.ts';
import { EXIT, type ExitCode, type Invocation } from './command.ts';
import { type Screen, time } from './screen.ts';
import { secretFor } from './typed-secret.ts';

export const RECOVERY_KEY_ENV = 'DIRPOST_RECOVERY_KEY';
const MAX_IDENTITY_FILE_BYTES = 64 * 1024;

interface RestoreCommandOptions {
  replace?: boolean;
  passphraseFile?: string;
  passphraseCommand?: string;
  recoveryKeyFile?: string;
  identity?: string;
}

export async function restoreCommand(
  call: Invocation,
  file: string,
  options: RestoreCommandOptions,
): Promise<ExitCode> {
  const { screen, configFile, signal, cwd } = call;
  const path = resolve(cwd, file);
  const key = await keyFor(call, path, options);
  const restored = await restore(path, key, {
    configFile,
    replace: options.replace === true,
    signal,
    progress: (done) => screen.progress({ what: 'restoring, kB', done: Math.round(done / 1_000) }),
  });
  const { manifest, configuration, aside, life, kept } = restored;
  screen.data({
    postoffice: manifest.postoffice,
    madeMs: manifest.madeMs,
    dataFolder: configuration.dataFolder,
    configuration: configFile,
    aside,
    incarnation: life.own,
    serverIncarnation: life.server,
    kept,
    fingerprint: restored.fingerprint,
    peers: restored.peers,
    compared: restored.isCompared,
    invitations: { open: restored.invitations, void: restored.voidsInvitations },
  });
  show(call, restored);
  return EXIT.done;
}

async function keyFor(call: Invocation, path: string, options: RestoreCommandOptions): Promise<AgeKey> {
  const isByPassphrase = await needsPassphrase(path);
  refuseOtherSort(options, isByPassphrase);
  if (isByPassphrase) {
    const source = { file: options.passphraseFile, command: options.passphraseCommand, env: PASSPHRASE_ENV };
    const hint = `Give it by --passphrase-file, --passphrase-command or $${PASSPHRASE_ENV}.`;
    return { passphrase: await secretFor(call, 'the passphrase of the backup', source, hint) };
  }
  if (options.identity !== undefined) return identitiesIn(resolve(call.cwd, options.identity));
  const source = { file: options.recoveryKeyFile, env: RECOVERY_KEY_ENV };
  const hint = `It is on paper, where the server was made. Give it by --recovery-key-file FILE or $${RECOVERY_KEY_ENV}; where the backup was sealed for another age recipient: --identity FILE.`;
  const typed = await secretFor(call, 'the recovery key of the server', source, hint);
  return { identities: [recoveryIdentity(parseRecoveryKey(typed))] };
}

/** Who gave a passphrase must not be asked for the recovery key as if he had given nothing. */
function refuseOtherSort(options: RestoreCommandOptions, isByPassphrase: boolean): void {
  const passphrase = options.passphraseFile ?? options.passphraseCommand;
  const key = options.recoveryKeyFile ?? options.identity;
  const [right, wrong] = isByPassphrase ? [passphrase, key] : [key, passphrase];
  if (wrong === undefined || right !== undefined) return;
  throw new DirpostError(
    'wrong-use',
    isByPassphrase
      ? 'This backup is sealed by a passphrase; no recovery key or identity opens it.'
      : 'This backup is sealed for the recovery key of the server, or for an age identity; no passphrase opens it.',
    { hint: `Give ${isByPassphrase ? '--passphrase-file' : '--recovery-key-file or --identity'} instead.` },
  );
}

/** As age-keygen writes them: a line each, and comments. */
async function identitiesIn(path: string): Promise<AgeKey> {
  const text = (await readBounded(path, MAX_IDENTITY_FILE_BYTES)).toString('utf8');
  const lines = text.split(/\r?\n/).filter((line) => line !== '' && !line.startsWith('#'));
  const identities = lines.length === 0 ? null : new ParsedKeys().identities(lines);
  if (identities !== null) return { identities };
  throw new DirpostError('wrong-use', `${path} holds no age identity (AGE-SECRET-KEY-1…).`);
}

function show({ screen, configFile }: Invocation, { manifest, configuration, ...restored }: Restored): void {
  const { postoffice, role, madeMs } = manifest;
  screen.line(`${postoffice} is restored as it was on ${time(madeMs)}, and its store is whole.`);
  screen.facts([
    ['data folder', configuration.dataFolder],
    ['configuration', restored.wroteConfiguration ? `${configFile}, from the backup` : `${configFile}, as it was here`],
    ['incarnation', restored.life.server ?? restored.life.own],
    ...(restored.aside === null ? [] : ([['kept aside', restored.aside]] satisfies [string, string][])),
  ]);
  for (const path of restored.kept) screen.line(`${path} was there already, and stays as it is.`);
  showTrust(screen, { manifest, configuration, ...restored });
  screen.line();
  screen.line(
    'See that no other copy of it runs anywhere. Next: dirpost check; then start the agent, or dirpost sync.',
  );
  screen.line(
    role === 'server'
      ? 'It asks its branches for what the backup does not know. Until a branch has answered nobody of that branch is removed anywhere. After two cycles of every branch all is as it was.'
      : 'It reads its directories and submits everything once; what it lacks of the others comes with the answer.',
  );
}

/** A backup is not authenticated, and knows nothing of what was taken back since: somebody has to look. */
function showTrust(screen: Screen, restored: Restored): void {
  const { manifest, peers, invitations, fingerprint } = restored;
  screen.line();
  screen.line('Whoever can replace a backup could have made this one. Compare, with the paper or by telephone:');
  screen.table(
    [
      { name: `${manifest.postoffice} (this one)`, fingerprint: fingerprint ?? 'sealed, see: dirpost keys', state: '' },
      ...peers.map((peer) => ({
        name: peer.name,
        fingerprint: peer.fingerprint ?? 'its file is damaged',
        state: stateWords(peer),
      })),
    ],
    [
      { title: 'name', value: (row) => row.name },
      { title: 'fingerprint', value: (row) => row.fingerprint },
      { title: 'state', value: (row) => row.state },
    ],
  );
  if (manifest.role === 'server') showRequestors(screen, restored);
  if (invitations.length === 0) return;
  screen.line(
    restored.voidsInvitations
      ? `Its invitations are void: ${invitations.join(', ')}. Who shall still join is invited again: dirpost invite NAME`
      : `Its invitations are open as of ${time(manifest.madeMs)}: ${invitations.join(', ')}. Void again what was void: dirpost requestor remove NAME --keep-entries`,
  );
}

function showRequestors(screen: Screen, restored: Restored): void {
  const { manifest, peers, aside, isCompared } = restored;
  showRules(screen, restored);
  const suspended = peers.filter(({ why }) => why !== null).map(({ name }) => name);
  if (suspended.length > 0) {
    screen.line(`Suspended, since what was here (${aside}) does not trust them: ${suspended.join(', ')}.`);
    screen.line('  to part from one     dirpost requestor remove NAME --keep-entries | --withdraw-entries');
    screen.line('  to let it come back  dirpost requestor resume NAME: the keys of the backup count again');
  }
  if (isCompared || peers.length === 0) return;
  const names = peers.map(({ name }) => name).join(', ');
  screen.line(`Its requestors are those as of ${time(manifest.madeMs)}: ${names}.`);
  screen.line('Remove or suspend again who was since: dirpost requestor remove NAME …, dirpost requestor suspend NAME');
}

/** Who may publish what decides whom a requestor can pass for. */
function showRules(screen: Screen, { manifest, configuration, wroteConfiguration, peers }: Restored): void {
  if (peers.length === 0) return;
  const isOfHere = (name: string) => !wroteConfiguration && configuration.requestors[name] !== undefined;
  screen.line();
  screen.table(peers, [
    { title: 'requestor', value: ({ name }) => name },
    {
      title: 'may publish',
      value: ({ name, publish }) => describePublish(configuration.requestors[name]?.publish ?? publish ?? {}),
    },
    {
      title: 'as',
      value: ({ name, isRuleOfHere }) => (isRuleOfHere || isOfHere(name) ? 'set here' : `of ${time(manifest.madeMs)}`),
    },
  ]);
}

function stateWords({ suspended, why }: RestoredPeer): string {
  if (!suspended) return '';
  return why === null ? 'suspended' : `suspended: ${why}`;
}
