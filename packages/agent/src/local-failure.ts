/** What can be wrong about the local socket, in words. Loaded only when something is. */
import { DirpostError, isDirpostError } from '@dirpost/core';

export function foreignFolder(folder: string): DirpostError {
  return new DirpostError('file-denied', `${folder} is not a folder that only this user can reach.`, {
    retry: 'operator',
    hint: 'Find out who made it, and remove it; or use a shorter path for the data folder.',
    context: { folder },
  });
}

export function isLocked(error: unknown): error is DirpostError {
  return isDirpostError(error, 'locked');
}

export function lockedByCommand(error: DirpostError): DirpostError {
  const { message, context, cause } = error;
  // There may be no command to wait for: it says itself what else it can be.
  if (context['isHeldHere'] === false) return error;
  return new DirpostError('locked', message, {
    retry: 'later',
    hint: 'It is no agent that could take this command (or one that is just starting): wait until it has ended, and try again.',
    context,
    cause,
  });
}

export function notTaken(why: string): DirpostError {
  return new DirpostError('wrong-use', `The agent that runs did not take the command: ${why}.`, {
    retry: 'operator',
    hint: 'Is it of another version of dirpost? Restart it.',
  });
}

export function lineTooLong(message: string): DirpostError {
  return new DirpostError('limit-exceeded', message);
}

export function endedBefore(): DirpostError {
  return new DirpostError('interrupted', 'The agent ended before the command did.', {
    retry: 'later',
    hint: 'What was done stays done, and nothing is lost. Look at its log, start it again, and repeat the command.',
  });
}
