/**
 * LDAP transactions (RFC 5805): many updates that take effect together, with one sync of the disk. The server's only writer
 * is held meanwhile, so that they are kept short by whoever fills them.
 */
import { BerWriter } from 'ldapts';
import type { LdapControl, Operation } from './requests.ts';
import type { LdapResult } from './responses.ts';
import { SUCCESS } from './results.ts';
import type { Session } from './session.ts';

const START = '1.3.6.1.1.21.1';
const SPECIFICATION = '1.3.6.1.1.21.2';
const END = '1.3.6.1.1.21.3';

/** True: all took effect. False: none did, and they may be tried one by one. Throws DirpostError where the line breaks: unknown. */
export async function inTransaction(session: Session, operations: Operation[], signal: AbortSignal): Promise<boolean> {
  const started = await session.request({ type: 'extended', name: START }, { signal });
  if (started.code !== SUCCESS || started.value === null) return false;
  const identifier = Buffer.from(started.value);
  const controls: LdapControl[] = [{ type: SPECIFICATION, critical: true, value: identifier }];
  const results = await Promise.all(operations.map((operation) => session.request(operation, { controls, signal })));
  const isGood = results.every(({ code }) => code === SUCCESS);
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
