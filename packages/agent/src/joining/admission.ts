/** Whom a transport lets in that strangers reach, too (http, mail): it takes nothing from them, and hands out nothing to them. */
import type { Judgement } from '@dirpost/adapters';
import { type Admission, isDirpostError, type Limits, type PostofficeName, type RequestChecker } from '@dirpost/core';
import { Authenticator, type Header, headerOf } from '@dirpost/message';
import type { Joining } from './joining.ts';

/** `refused` is told of each sender that was turned away, once its header could be read. */
export function admission(
  joining: Pick<Joining, 'peers' | 'invitations' | 'applicants'>,
  limits: Limits,
  refused: (name: string, why: string) => void = () => {},
): Admission & RequestChecker {
  const { peers, applicants } = joining;
  const authenticator = authenticatorOf(joining);
  return {
    admit(start) {
      let header: Header;
      try {
        header = headerOf(start, limits);
      } catch {
        return null;
      }
      const { from } = header.envelope;
      try {
        authenticator.keysFor(header);
        return { from };
      } catch (error) {
        // Also a statement of keys in a wrong form, which a stranger may have written.
        if (!isDirpostError(error)) throw error;
        refused(from, error.message);
        return null;
      }
    },
    authenticate(file) {
      try {
        authenticator.checkFile(file, limits);
        return true;
      } catch (error) {
        if (!isDirpostError(error)) throw error;
        return false;
      }
    },
    check(name, request, signature, statements) {
      const peer = peers.get(name);
      if (peer?.suspended === true) return false;
      // Whoever has only a used invitation must not empty the mailbox of the postoffice that bears the name.
      const keys = peer ?? applicants.get(name);
      return keys !== undefined && authenticator.checkRequest(name, keys, { request, signature, statements });
    },
  };
}

/** For transports that share a mailbox with others. `server`: at a requestor, the only one that it hears. */
export interface Receiver {
  own: PostofficeName;
  server: PostofficeName | null;
}

/** Whether a whole message file is for this postoffice, and signed by one whom it believes; else why not. */
export function judgeFor(
  { own, server }: Receiver,
  joining: Pick<Joining, 'peers' | 'invitations'>,
  limits: Limits,
): (file: Uint8Array) => Judgement {
  const authenticator = authenticatorOf(joining);
  return (file) => {
    try {
      const { from, to } = headerOf(file, limits).envelope;
      if (to !== own) return { take: false, why: `it is for ${to}; this is ${own}`, isForAnother: true };
      if (server !== null && from !== server) {
        return { take: false, why: `it is from ${from}; ${own} takes what ${server} sends, and nothing else` };
      }
      authenticator.checkFile(file, limits);
      return { take: true };
    } catch (error) {
      if (!isDirpostError(error)) throw error;
      return { take: false, why: error.message };
    }
  };
}

function authenticatorOf({ peers, invitations }: Pick<Joining, 'peers' | 'invitations'>): Authenticator {
  return new Authenticator({
    peers: (name) => peers.get(name),
    isInvited: (name, invitation) => invitations.isGiven(name, invitation),
  });
}
