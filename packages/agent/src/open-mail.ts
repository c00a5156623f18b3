/** The mail transport of a postoffice, from its configuration and what joining told of the others. */
import { join } from 'node:path';
import { type Bounce, MailTransport } from '@dirpost/adapters';
import type { DirpostError, PostofficeName } from '@dirpost/core';
import { derivedSecret, type PrivateKeys } from '@dirpost/message';
import type { Configuration } from './config/load.ts';
import type { MailConfiguration } from './config/mail.ts';
import { judgeFor } from './joining/admission.ts';
import { type Joining, toldMail } from './joining/joining.ts';
import type { Probes } from './probes.ts';

export interface MailOptions {
  keys: PrivateKeys;
  joining: Pick<Joining, 'peers' | 'invitations' | 'applicants'>;
  /** Own message files that come back by mail. */
  probes?: Pick<Probes, 'has'> | undefined;
  onProblem(problem: DirpostError): void;
  onBounce(bounce: Bounce): Promise<void>;
}

/** Connects to nothing, and makes nothing, until it is used. */
export function openMail(
  { postoffice, role, server, dataFolder, limits }: Configuration,
  mail: MailConfiguration,
  { keys, joining, probes, onProblem, onBounce }: MailOptions,
): MailTransport {
  const { peers: _, ...settings } = mail;
  const judge = judgeFor({ own: postoffice, server: role === 'requestor' ? server : null }, joining, limits);
  return new MailTransport({
    ...settings,
    maxMessageBytes: Math.min(mail.maxMessageBytes, limits.maxMessageBytes),
    maxReceivedBytes: limits.maxMessageBytes,
    postoffice,
    addressOf: (peer) => (peer === postoffice ? mail.address : mailAddressOf(mail, joining, peer)),
    folder: join(dataFolder, 'mail'),
    tagSecret: derivedSecret(keys, 'dirpost mail tag secret'),
    judge: (bytes) => (probes?.has(bytes) === true ? { take: true } : judge(bytes)),
    onProblem,
    onBounce,
  });
}

/** What the configuration says counts more than what joining told: addresses change. null: none is known. */
export function mailAddressOf(
  { peers }: Pick<MailConfiguration, 'peers'>,
  joining: Pick<Joining, 'peers' | 'applicants'>,
  peer: PostofficeName,
): string | null {
  const configured = Object.hasOwn(peers, peer) ? peers[peer] : undefined;
  const moved = joining.peers.get(peer)?.moved;
  // What was announced since it was written there.
  if (moved?.mail !== undefined && moved.insteadOfMail === configured) return moved.mail;
  return configured ?? toldMail(joining, peer);
}
