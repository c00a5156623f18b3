/** An invitation as somebody would make it up who has seen the header of an enrolment, but not the secret. */
import { randomBytes } from 'node:crypto';
import { formatInvitation, parseInvitation } from '../../packages/agent/src/joining/invitation.ts';

export function forged(line: string): string {
  return formatInvitation({ ...parseInvitation(line), secret: randomBytes(20) });
}
