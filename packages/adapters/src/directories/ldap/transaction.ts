/**
 * LDAP transactions (RFC 5805): many updates that take effect together, with one sync of the disk. The server's only writer
 * is held meanwhile, so that they are kept short by whoever fills them.
 */
import { setTimeout as wait } from 'node:timers/promises';
import { BerWriter } from 'ldapts';
import { pipelined } from './pipelined.ts';
import type { LdapControl, Operation } from './requests.ts';
import type { LdapResult } from './responses.ts';
import { SUCCESS } from './results.ts';
import type { Session } from './session.ts';

const START = '1.3.6.1.1.21.1';
const SPECIFICATION = '1.3.6.1.1.21.2';
const END = '1.3.6.1.1.21.3';

/**
 * slapd 2.5 answers an update before its thread has let go of it, and dies of a use after free where the end comes in that
 * moment: once in 200 transactions when it comes at once, once in 2,500 after another round trip, never seen after 10 ms.
 */
const SETTLE_MS = 25;
/** Until the end the server only collects. */
const IN_FLIGHT = 256;

/**
 * True: all took effect. False: none did, and they may be tried one by one. Throws DirpostError where the line breaks: unknown.
 * The server only collects the operations until the end comes, and `turn` is waited for before that: others may take effect
 * meanwhile, and are then before these.
 */
export async function inTransaction(
  session: Session,
  operations: Operation[],
  signal: AbortSignal,
  turn: () => Promise<void> = async () => {},
): Promise<boolean> {
  const started = await session.request({ type: 'extended', name: START }, { signal });
  if (started.code !== SUCCESS || started.value === null) return false;
  const identifier = Buffer.from(started.value);
  const controls: LdapControl[] = [{ type: SPECIFICATION, critical: true, value: identifier }];
  const results = await pipelined(
    operations,
    (operation) => session.request(operation, { controls, signal }),
    IN_FLIGHT,
  );
  const isGood = results.every(({ code }) => code === SUCCESS);
  await Promise.all([wait(SETTLE_MS), turn()]);
  const ended = await end(session, identifier, isGood, signal);
  return isGood && ended.code === SUCCESS;
}

function end(session: Session, identifier: Buffer, commit: boolean, signal: AbortSignal): Promise<LdapResult> {
  const writer = new BerWriter();
  writer.startSequence();
  // RFC 4511 §5.1: TRUE is the default, and left out.
  if (!commit) writer.writeBoolean(false);
  writer.writeBuffer(identifier, 0x04);
  writer.endSequence();
  return session.request({ type: 'extended', name: END, value: writer.buffer }, { signal });
}
