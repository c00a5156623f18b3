/**
 * The invitations that a server gave: `<data>/invitations/<name>.json`, at most one for each name; a new one voids the one
 * before. The secret itself is not kept: only a key derived from it, with which a proof is checked.
 *
 *   open ──right proof──▶ used (its repeat is answered again)      open ──10 wrong proofs──▶ void
 *     └──the time is over──▶ late: told to whoever has the secret
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, fileError, readBounded, writeDurably } from '@dirpost/adapters';
import {
  checkPostofficeName,
  DirpostError,
  isPostofficeName,
  type PostofficeName,
  type PublishRule,
} from '@dirpost/core';
import { proofKeyOf } from '@dirpost/message';
import { z } from 'zod';
import { publishedKinds } from '../config/directory-fields.ts';
import { FolderChanges } from './folder-changes.ts';
import { SECRET_BYTES } from './invitation.ts';

/** Guessing 160 bits is hopeless anyway; this says that somebody tries. */
export const MAX_WRONG_PROOFS = 10;
const MAX_FILE_BYTES = 256 * 1024;

const schema = z.strictObject({
  dirpost: z.literal('invitation'),
  version: z.literal(1),
  name: z.string().refine(isPostofficeName),
  id: z.string().regex(/^[0-9a-f]{32}$/),
  proofKey: z.string().regex(/^[0-9a-f]{64}$/),
  publish: z.strictObject({
    kinds: z.array(z.enum(publishedKinds)).optional(),
    mailDomains: z.array(z.string()).optional(),
    maxEntries: z.int().positive().optional(),
  }),
  madeMs: z.int(),
  expiresMs: z.int(),
  wrongProofs: z.int().min(0),
  used: z.strictObject({ signing: z.string(), recipient: z.string(), atMs: z.int() }).nullable(),
});

/** What the server keeps of one. */
export type GivenInvitation = Omit<z.output<typeof schema>, 'dirpost' | 'version' | 'publish'> & {
  publish: PublishRule;
};

export type InvitationState = 'open' | 'used' | 'late' | 'void';

export function stateOf({ used, wrongProofs, expiresMs }: GivenInvitation, nowMs: number): InvitationState {
  if (used !== null) return 'used';
  if (wrongProofs >= MAX_WRONG_PROOFS) return 'void';
  return nowMs > expiresMs ? 'late' : 'open';
}

export interface NewInvitation {
  name: PostofficeName;
  publish: PublishRule;
  nowMs: number;
  validMs: number;
}

export class Invitations {
  #invitations = new Map<PostofficeName, GivenInvitation>();
  readonly #folder: string;
  readonly #changes: FolderChanges;

  private constructor(dataFolder: string) {
    this.#folder = join(dataFolder, 'invitations');
    this.#changes = new FolderChanges(this.#folder);
  }

  /** Throws DirpostError `config-invalid` for a damaged file, which it names. */
  static async load(dataFolder: string): Promise<Invitations> {
    const invitations = new Invitations(dataFolder);
    await invitations.reload();
    return invitations;
  }

  get(name: PostofficeName): GivenInvitation | undefined {
    return this.#invitations.get(name);
  }

  all(): GivenInvitation[] {
    return [...this.#invitations.values()];
  }

  /** Whether an enrolment that names it deserves to be looked at; also one that is used or late, which is answered so. */
  isGiven(name: PostofficeName, id: string): boolean {
    const invitation = this.#invitations.get(name);
    return invitation?.id === id && (invitation.used !== null || invitation.wrongProofs < MAX_WRONG_PROOFS);
  }

  /** Durable when it resolves. The secret is in no file: it goes to the branch, or is lost. `replaced`: one that was open. */
  async make(wanted: NewInvitation): Promise<{ given: GivenInvitation; secret: Uint8Array; replaced: boolean }> {
    const { name, publish, nowMs, validMs } = wanted;
    const before = this.get(checkPostofficeName(name));
    const secret = randomBytes(SECRET_BYTES);
    const given: GivenInvitation = {
      name,
      id: randomBytes(16).toString('hex'),
      proofKey: proofKeyOf(secret).toString('hex'),
      publish,
      madeMs: nowMs,
      expiresMs: nowMs + validMs,
      wrongProofs: 0,
      used: null,
    };
    await this.#save(given);
    return { given, secret, replaced: before !== undefined && stateOf(before, nowMs) === 'open' };
  }

  /** Durable when it resolves. */
  async use(given: GivenInvitation, keys: { signing: string; recipient: string }, nowMs: number): Promise<void> {
    await this.#save({ ...given, used: { signing: keys.signing, recipient: keys.recipient, atMs: nowMs } });
  }

  /** How many there were now. */
  async countWrongProof(given: GivenInvitation): Promise<number> {
    const wrongProofs = given.wrongProofs + 1;
    await this.#save({ ...given, wrongProofs });
    return wrongProofs;
  }

  /** Whether there was one. */
  async remove(name: PostofficeName): Promise<boolean> {
    const known = this.#invitations.delete(checkPostofficeName(name));
    await rm(join(this.#folder, `${name}.json`), { force: true });
    return known;
  }

  async reload(): Promise<void> {
    this.#changes.note();
    const invitations = new Map<PostofficeName, GivenInvitation>();
    for (const file of await this.#files()) {
      const given = await read(join(this.#folder, file));
      if (`${given.name}.json` !== file) throw invalid(join(this.#folder, file), `it is for ${given.name}`);
      invitations.set(given.name, given);
    }
    this.#invitations = invitations;
  }

  /** Reads the files again if one of them was written; cheap where none was. */
  async refresh(): Promise<void> {
    if (this.#changes.happened()) await this.reload();
  }

  async #save(given: GivenInvitation): Promise<void> {
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    } catch (error) {
      throw fileError(error, `make ${this.#folder}`);
    }
    const file: z.input<typeof schema> = {
      dirpost: 'invitation',
      version: 1,
      ...given,
      publish: given.publish as z.input<typeof schema>['publish'],
    };
    const text = `${JSON.stringify(file, null, 2)}\n`;
    await writeDurably(this.#folder, `${given.name}.json`, Buffer.from(text), { mode: 0o600 });
    this.#invitations.set(given.name, given);
  }

  async #files(): Promise<string[]> {
    try {
      return (await readdir(this.#folder)).filter(
        (file) => file.endsWith('.json') && isPostofficeName(file.slice(0, -5)),
      );
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return [];
      throw fileError(error, `read ${this.#folder}`);
    }
  }
}

async function read(path: string): Promise<GivenInvitation> {
  const text = (await readBounded(path, MAX_FILE_BYTES)).toString('utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalid(path, 'it is not JSON');
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw invalid(path, parsed.error.issues.map((issue) => issue.path.join('.')).join(', '));
  const { dirpost: _, version: __, publish, ...given } = parsed.data;
  const { kinds, mailDomains, maxEntries } = publish;
  const rule = { ...(kinds && { kinds }), ...(mailDomains && { mailDomains }), ...(maxEntries && { maxEntries }) };
  return { ...given, publish: rule };
}

function invalid(path: string, reason: string): DirpostError {
  return new DirpostError('config-invalid', `${path} is not a file of an invitation: ${reason}.`, {
    retry: 'operator',
    hint: 'Remove it, and invite that postoffice again.',
  });
}
