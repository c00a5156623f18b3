/**
 * Who a requestor is to a server that listens (http): by its newest key, with statements that lead there from older keys as
 * long as the server has not said that it knows it. A server that was restored from before may have said so, and know less:
 *
 *   refused ─▶ known to it, it is said ─▶ doubted: statements go with requests, and with message files
 *          └─▶ statements went with it ─▶ by the key before, as long as it is there; then by the newest again
 */
import { isDirpostError, type PostofficeName, type RequestSigner } from '@dirpost/core';
import { type PrivateKeys, requestSigner } from '@dirpost/message';
import type { Joining } from './joining/joining.ts';

export class RequestIdentity {
  readonly signer: RequestSigner;
  #isByOlder = false;

  constructor(
    own: PostofficeName,
    private readonly server: PostofficeName,
    private readonly keys: PrivateKeys,
    private readonly joining: Partial<Pick<Joining, 'doubt' | 'statementsFor'>> | undefined,
  ) {
    this.signer = requestSigner(
      own,
      keys,
      () => (this.#isByOlder ? keys.older?.signing : null) ?? keys.signing,
      () => joining?.statementsFor?.(server) ?? [],
    );
  }

  /** Does it once more, proving more, where the server does not let this postoffice in. */
  async prove<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!isRefusedRequest(error) || !(await this.#provesMore())) throw error;
      return work();
    }
  }

  async #provesMore(): Promise<boolean> {
    if ((await this.joining?.doubt?.(this.server)) === true) return true;
    const hasOlder = (this.keys.older?.signing ?? null) !== null;
    this.#isByOlder = hasOlder && !this.#isByOlder;
    return hasOlder;
  }
}

/** The server does not let this postoffice in. */
function isRefusedRequest(error: unknown): boolean {
  return isDirpostError(error, 'transport-failed') && error.context['status'] === 403;
}
