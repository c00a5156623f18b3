/** DNS SRV (RFC 2782), asked for within a time: a name server that says nothing holds up no read. */
import { Resolver } from 'node:dns/promises';
import { DirpostError } from '@dirpost/core';

export interface SrvRecord {
  name: string;
  port: number;
  priority: number;
  weight: number;
}

export interface SrvOptions {
  timeoutMs: number;
  signal: AbortSignal;
  /** `127.0.0.1:53`; absent: those of this machine. */
  nameServers?: string[];
}

/** Each name server is asked so often. */
const TRIES = 2;

/** Throws DirpostError `interrupted`, and whatever DNS says. */
export async function lookUpSrv(name: string, { timeoutMs, signal, nameServers }: SrvOptions): Promise<SrvRecord[]> {
  throwIfOver(signal);
  const resolver = resolverFor(timeoutMs, nameServers);
  const late = AbortSignal.timeout(timeoutMs);
  const over = AbortSignal.any([signal, late]);
  const cancel = () => resolver.cancel();
  over.addEventListener('abort', cancel, { once: true });
  try {
    return await resolver.resolveSrv(name);
  } catch (cause) {
    throwIfOver(signal);
    if (late.aborted) throw new Error(`no answer within ${timeoutMs / 1_000} s`, { cause });
    throw cause;
  } finally {
    over.removeEventListener('abort', cancel);
  }
}

/** RFC 1035 §4.2.1: a question that is lost is asked again; and each name server gets its turn within the time. */
function resolverFor(timeoutMs: number, nameServers?: string[]): Resolver {
  const count = (nameServers ?? new Resolver().getServers()).length;
  const resolver = new Resolver({
    timeout: Math.max(1, Math.ceil(timeoutMs / TRIES / Math.max(1, count))),
    tries: TRIES,
  });
  if (nameServers !== undefined) resolver.setServers(nameServers);
  return resolver;
}

function throwIfOver(signal: AbortSignal): void {
  if (signal.aborted) throw new DirpostError('interrupted', 'Interrupted.', { retry: 'later', cause: signal.reason });
}
