/** Whom a transport that listens lets in: it takes nothing from strangers, and hands out nothing to them. */
import { type Admission, isDirpostError, type Limits, type RequestChecker } from '@dirpost/core';
import { Authenticator, type Header, headerOf } from '@dirpost/message';
import type { Joining } from './joining.ts';

/** `refused` is told of each sender that was turned away, once its header could be read. */
export function admission(
  joining: Pick<Joining, 'peers' | 'invitations' | 'applicants'>,
  limits: Limits,
  refused: (name: string, why: string) => void = () => {},
): Admission & RequestChecker {
  const { peers, invitations, applicants } = joining;
  const authenticator = new Authenticator({
    peers: (name) => peers.get(name),
    isInvited: (name, invitation) => invitations.isGiven(name, invitation),
  });
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
        if (!isDirpostError(error, 'message-sender')) throw error;
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
    check(name, request, signature) {
      const peer = peers.get(name);
      if (peer?.suspended === true) return false;
      // Whoever has only a used invitation must not empty the mailbox of the postoffice that bears the name.
      const keys = peer ?? applicants.get(name);
      return keys !== undefined && authenticator.checkRequest(keys, request, signature);
    },
  };
}
