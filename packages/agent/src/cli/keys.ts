/** `dirpost keys`: the fingerprints of this postoffice and of those it believes, for people who compare them. */
import { fingerprint, isHybrid, keyId, publicKeys, recoveryFingerprint } from '@dirpost/message';
import { loadKeys } from '../keys.ts';
import { loadPeers, type Peer } from '../peers.ts';
import { configurationOf, EXIT, type ExitCode, type Invocation } from './command.ts';
import { time } from './screen.ts';

export async function keysCommand(call: Invocation): Promise<ExitCode> {
  const { postoffice, role, dataFolder } = await configurationOf(call);
  const own = await loadKeys(dataFolder);
  const announced = await publicKeys(own);
  const peers = [...(await loadPeers(dataFolder)).values()];
  const { screen } = call;
  const self = {
    name: postoffice,
    role,
    fingerprint: fingerprint(announced),
    keyIds: [keyIdOf(announced.signing)],
    recipient: announced.recipient,
    recovery: own.recovery === undefined ? null : recoveryFingerprint(own.recovery),
    postQuantum: isHybrid(announced.recipient),
    olderUntilMs: own.older?.untilMs ?? null,
  };
  const shown = (peer: Peer) => shownPeer(peer, own.announced?.serial);
  screen.data({ own: self, peers: peers.map(shown) });
  screen.line(`${postoffice} (this postoffice)`);
  screen.facts([
    ['fingerprint', self.fingerprint],
    ['key id', self.keyIds.join(', ')],
    [
      'recovery key',
      self.recovery ?? (role === 'server' ? 'none: it was made by an older dirpost' : 'only a server has one'),
    ],
    ['sort', self.postQuantum ? 'post-quantum hybrid' : 'X25519'],
    ...(self.olderUntilMs === null
      ? []
      : ([['older keys', `until ${time(self.olderUntilMs)}`]] satisfies [string, string][])),
  ]);
  for (const peer of peers.map(shown)) {
    screen.line();
    screen.line(`${peer.name} (${peer.role}${peer.suspended ? ', suspended' : ''})`);
    screen.facts([
      ['fingerprint', peer.fingerprint],
      ['key id', peer.keyIds.join(', ')],
      ...(peer.knowsOurs ? [] : ([['knows ours', 'not yet']] satisfies [string, string][])),
      ...(peer.recovery === null ? [] : ([['recovery key', peer.recovery]] satisfies [string, string][])),
    ]);
  }
  screen.line();
  screen.line('These are fingerprints: nothing here is secret. Compare them by telephone, not by mail.');
  return EXIT.done;
}

function shownPeer(peer: Peer, serial: number | undefined) {
  const { name, role, signing, recoveryKey, suspended = false, fingerprint: print, heard } = peer;
  const recovery = recoveryKey === undefined ? null : recoveryFingerprint(recoveryKey);
  return {
    name,
    role,
    fingerprint: print,
    keyIds: signing.map(keyIdOf),
    recovery,
    suspended,
    knowsOurs: serial === undefined || heard === serial,
  };
}

function keyIdOf(signing: string): string {
  return keyId(signing).toString('hex');
}
