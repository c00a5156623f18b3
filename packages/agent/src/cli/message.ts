/** `dirpost message show`: what a message file says. The outside needs no key. */
import { readFile } from 'node:fs/promises';
import {
  defaultLimits,
  type Change,
  decodeAttributes,
  decodeEntry,
  DirpostError,
  type MessageHead,
} from '@dirpost/core';
import { inspect, type OpenedMessage } from '@dirpost/message';
import type { Postoffice } from '../postoffice.ts';
import { spoolQueues } from '../spool.ts';
import { EXIT, type ExitCode, type Invocation, withAgent } from './command.ts';
import { countOf, shownEntry, shownValue, textOf } from './entries.ts';
import { bytes, type Screen, time } from './screen.ts';

export async function messageShow(
  call: Invocation,
  file: string,
  options: { header?: boolean; changes: string },
): Promise<ExitCode> {
  const { screen } = call;
  if (options.header === true) {
    const content =
      (await fromFile(file)) ?? (await withAgent(call, lookOnly, ({ postoffice }) => fromSpool(postoffice, file)));
    const header = inspect(content);
    screen.data(header);
    screen.facts(
      Object.entries(header).map(([name, value]) => [name, name === 'createdMs' ? time(Number(value)) : shown(value)]),
    );
    return EXIT.done;
  }
  return withAgent(call, lookOnly, async ({ postoffice }) => {
    const content = (await fromFile(file)) ?? (await fromSpool(postoffice, file));
    const opened = await postoffice.sealer.open(content);
    const head = postoffice.requestor.codec.head(opened.payload);
    const changes = postoffice.requestor.codec.changes(opened.payload);
    showMessage(screen, { content, opened, head, changes }, countOf(options.changes));
    return EXIT.done;
  });
}

const lookOnly = { readOnly: true, quiet: true };

interface Shown {
  content: Uint8Array;
  opened: OpenedMessage;
  head: MessageHead;
  changes: Change[];
}

function showMessage(screen: Screen, { content, opened, head, changes }: Shown, limit: number): void {
  const { envelope, payload } = opened;
  screen.data({
    ...envelope,
    bytes: content.length,
    payloadBytes: payload.length,
    head,
    changes: changes.slice(0, limit).map(shownChange),
    total: changes.length,
  });
  screen.line(
    `${head.kind} from ${envelope.from} to ${envelope.to}, ${time(envelope.createdMs)}; signature and seal are good`,
  );
  const { kind: _, ...rest } = head;
  screen.facts([
    ['size', `${bytes(content.length)} sealed, ${bytes(payload.length)} opened`],
    ...Object.entries(rest).map(([name, value]): [string, string] => [name, shown(value)]),
  ]);
  if (changes.length === 0) return screen.line('No changes.');
  screen.line();
  screen.table(changes.slice(0, limit), [
    { title: 'number', value: (change) => change.number, align: 'right' },
    { title: 'owner', value: (change) => change.owner },
    { title: 'state', value: (change) => change.state },
    { title: 'entry', value: nameOfChange },
    { title: 'attributes', value: (change) => Object.keys(shownChange(change).attributes).join(', ') },
  ]);
  if (changes.length > limit)
    screen.line(`… and ${changes.length - limit} more changes; see them with --changes ${changes.length}`);
}

function nameOfChange(change: Change): string {
  if (change.state === 'whole') {
    const entry = decodeEntry(change.bytes);
    return textOf(entry, 'entrydn') ?? textOf(entry, 'cn') ?? Buffer.from(entry.id).toString('hex');
  }
  return change.id === null ? `entry number ${change.number}` : Buffer.from(change.id).toString('hex');
}

function shownChange(change: Change) {
  const { number, owner, state, id } = change;
  const named = { number, owner, state, id: id === null ? null : Buffer.from(id).toString('hex') };
  if (state === 'whole') return { ...named, ...shownEntry(decodeEntry(change.bytes)) };
  const attributes: Record<string, string[]> = {};
  for (const [name, values] of decodeAttributes(change.bytes))
    attributes[name] = values.map((value) => shownValue(name, value));
  return { ...named, attributes };
}

const MAX_SHOWN = 200;

function shown(value: unknown): string {
  const text = JSON.stringify(value, (_key, inner: unknown) => {
    const buffer = inner as { type?: unknown; data?: number[] } | null;
    if (inner instanceof Uint8Array) return Buffer.from(inner).toString('hex');
    return buffer?.type === 'Buffer' && Array.isArray(buffer.data) ? Buffer.from(buffer.data).toString('hex') : inner;
  });
  return text === undefined ? '–' : text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}

async function fromFile(file: string): Promise<Uint8Array | null> {
  try {
    const content = await readFile(file);
    if (content.length > defaultLimits.maxMessageBytes)
      throw new DirpostError('message-too-large', `${file} is too large for a message file.`);
    return content;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    if (error instanceof DirpostError) throw error;
    throw new DirpostError('file-failed', `${file} could not be read: ${(error as Error).message}.`, { cause: error });
  }
}

async function fromSpool({ spool }: Postoffice, file: string): Promise<Uint8Array> {
  const name = file.endsWith('.dpm') ? file : `${file}.dpm`;
  for (const queue of spoolQueues) {
    if ((await spool.list(queue)).some((one) => one.name === name)) return spool.read(queue, name);
  }
  throw new DirpostError('file-missing', `There is no file ${file}, and no message file of that name in the spool.`, {
    hint: 'dirpost queue lists the message files in the spool.',
  });
}
