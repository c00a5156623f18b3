/**
 * `dirpost queue`: message files that wait to be sent, parts that wait for others, what came back, and what could not be
 * opened.
 */
import type { OutgoingSummary } from '@dirpost/core';
import { adviceFor, type FailedMessage, failedWords, said } from '../bounce-words.ts';
import { loadBounces } from '../bounces.ts';
import { EXIT, type ExitCode, type Invocation, withAgent } from './command.ts';
import { bytes, time } from './screen.ts';

interface QueuedFile {
  queue: 'outgoing' | 'kept' | 'deferred' | 'failed' | 'incoming' | 'corrupt';
  what: string;
  peer: string;
  bytes: number | null;
  since: number | null;
  file: string;
  note: string;
}

export async function queue(call: Invocation): Promise<ExitCode> {
  return withAgent(call, { readOnly: true, quiet: true }, async ({ postoffice }) => {
    const { store, spool, requestor } = postoffice;
    const files = await store.read(async (tx) => {
      const outgoing = (await tx.outgoing()).map(outgoingFile);
      const senders = [
        requestor.server,
        ...(await tx.documentNames('server/requestor/')).map((name) => name.slice(17)),
      ];
      const deferred: QueuedFile[] = [];
      for (const peer of new Set(senders)) {
        for (const part of [...(await tx.parts(peer, 'update')), ...(await tx.parts(peer, 'exchange'))]) {
          const what = `${part.kind} ${part.number}, part ${part.part + 1} of ${part.parts}`;
          deferred.push({
            queue: 'deferred',
            what,
            peer,
            bytes: null,
            since: null,
            file: '',
            note: 'waits for the other parts',
          });
        }
      }
      const bounces = await loadBounces(tx);
      const failed = [...bounces].flatMap(([peer, returned]) => returned.failed.map((one) => failedFile(peer, one)));
      return [...outgoing, ...deferred, ...failed];
    });
    for (const { name, bytes: size, modifiedMs } of await spool.list('incoming')) {
      files.push({
        queue: 'incoming',
        what: 'not yet processed',
        peer: '',
        bytes: size,
        since: modifiedMs,
        file: name,
        note: '',
      });
    }
    for (const { name, bytes: size } of await spool.list('corrupt')) {
      const note = await spool.note(name);
      const why = note === undefined ? '' : `${note.code}: ${note.reason}`;
      files.push({
        queue: 'corrupt',
        what: 'not taken',
        peer: '',
        bytes: size,
        since: note?.atMs ?? null,
        file: name,
        note: why,
      });
    }
    show(call, files);
    return EXIT.done;
  });
}

function outgoingFile(message: OutgoingSummary): QueuedFile {
  const part = message.parts > 1 ? `, part ${message.part + 1} of ${message.parts}` : '';
  const delivered = message.deliveredMs !== null;
  const tries = `${message.attempts} ${message.attempts === 1 ? 'try' : 'tries'}`;
  const failed =
    message.lastError === null ? '' : `${tries}, next ${time(message.nextAttemptMs)}: ${message.lastError}`;
  return {
    queue: delivered ? 'kept' : 'outgoing',
    what: `${message.kind} ${message.number}${part}`,
    peer: message.to,
    bytes: message.payloadBytes,
    since: message.createdMs,
    file: `${message.id}.dpm`,
    note: delivered ? 'sent; kept until it is acknowledged' : failed,
  };
}

/** Of one that came back the file is not here any more: what was in it is composed again. */
function failedFile(peer: string, failed: FailedMessage): QueuedFile {
  const note = `${said(failed)} ${adviceFor(failed, peer)}`;
  const what = failedWords(failed);
  return { queue: 'failed', what, peer, bytes: null, since: failed.atMs, file: '', note };
}

function show({ screen }: Invocation, files: QueuedFile[]): void {
  screen.data(files);
  if (files.length === 0) return screen.line('No message files wait, and none is corrupt.');
  screen.table(files, [
    { title: 'queue', value: (file) => file.queue },
    { title: 'message', value: (file) => file.what },
    { title: 'peer', value: (file) => file.peer },
    { title: 'size', value: (file) => (file.bytes === null ? null : bytes(file.bytes)), align: 'right' },
    { title: 'since', value: (file) => time(file.since) },
  ]);
  // Below the table, where they are not cut.
  for (const file of files.filter(({ note }) => note !== '')) {
    screen.line(`  ${file.queue} ${file.file === '' ? file.what : file.file}: ${file.note}`);
  }
  const corrupt = files.filter((file) => file.queue === 'corrupt');
  if (corrupt.length > 0) screen.line(`\nLook into one with: dirpost message show --header ${corrupt[0]!.file}`);
}
