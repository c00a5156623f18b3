/**
 * An enrolment tells where its sender is reached by mail. One of earlier days, put there again by whoever carries message files, must
 * not lead what is sent to a branch back to a mailbox that it has left.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { defaultLimits } from '@dirpost/core';
import {
  createCodec,
  createSealer,
  enrolmentRequest,
  type PeerKeys,
  parsePrivateKeys,
  proofKeyOf,
  proofOf,
  publicKeys,
} from '@dirpost/message';
import { expect, it } from 'vitest';
import { parseInvitation } from '../../packages/agent/src/joining/invitation.ts';
import { asks, expectInStep, lineFor, makeBranch, makeServer } from '../cli/branches.ts';
import type { Office } from '../demo/office.ts';

/** As the branch wrote it when it joined, with the address that it had then. */
async function enrolmentOf(branch: Office, line: string, mail: string): Promise<{ id: string; bytes: Uint8Array }> {
  const keys = parsePrivateKeys(await readFile(join(branch.data, 'keys.json'), 'utf8'));
  const own = await publicKeys(keys);
  const invitation = parseInvitation(line);
  const { server, name } = invitation;
  const proven = { ...own, invitation: invitation.id, server, name };
  const proof = proofOf(proofKeyOf(invitation.secret), proven);
  const request = enrolmentRequest('0.0011223344556677', { ...own, version: '1', proof, mail });
  const peer: PeerKeys = { signing: [invitation.keys.signing], recipients: [invitation.keys.recipient] };
  const sealer = createSealer({
    name,
    keys,
    peers: (one) => (one === server ? peer : undefined),
    enrolling: () => invitation.id,
    limits: defaultLimits,
  });
  const id = randomBytes(16).toString('hex');
  const envelope = { id, from: name, to: server, forIncarnation: null, createdMs: Date.now() };
  return { id, bytes: await sealer.seal(envelope, createCodec(defaultLimits).encode(request, [])) };
}

const mailOf = async (hq: Office) =>
  (JSON.parse(await readFile(join(hq.data, 'peers', 'oslo.json'), 'utf8')) as { mail?: string }).mail;

async function lay(hq: Office, { id, bytes }: { id: string; bytes: Uint8Array }): Promise<void> {
  await mkdir(hq.inbox, { recursive: true });
  await writeFile(join(hq.inbox, `${id}.dpm`), bytes);
  await hq.must('dispatch');
}

it('an old enrolment takes back no mail address; one of who still waits for the answer tells it', async () => {
  const hq = await makeServer();
  const oslo = await makeBranch(hq, 'oslo');
  const line = await lineFor(hq, 'oslo');
  expect(await asks(oslo, line)).toMatchObject({ code: 0 });
  await hq.must('dispatch');
  await lay(hq, await enrolmentOf(oslo, line, 'first@oslo.example'));
  expect(await mailOf(hq)).toBe('first@oslo.example');
  await oslo.must('dispatch');
  await expectInStep(hq, oslo);
  await hq.must('requestor', 'mail', 'oslo', 'new@oslo.example');
  await lay(hq, await enrolmentOf(oslo, line, 'first@oslo.example'));
  expect(await mailOf(hq)).toBe('new@oslo.example');
  await expectInStep(hq, oslo);
});
