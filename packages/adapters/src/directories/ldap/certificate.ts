/**
 * What a read has seen, kept while it goes on, and the word at its end whether deletions may be derived from it (design
 * rule 5). Everything that could hide an entry makes the read incomplete: an answer with an error, a limit of the server, a
 * base that is not there, a referral to elsewhere.
 */
import type { ReadCertificate } from '@dirpost/core';
import type { LdapBase } from './options.ts';
import { isBesideThePoint } from './referrals.ts';
import type { LdapResult } from './responses.ts';
import {
  ADMIN_LIMIT_EXCEEDED,
  INSUFFICIENT_ACCESS_RIGHTS,
  NO_SUCH_OBJECT,
  REFERRAL,
  resultName,
  SIZE_LIMIT_EXCEEDED,
  SUCCESS,
  TIME_LIMIT_EXCEEDED,
} from './results.ts';

const MAX_REMARKS = 20;

export class ReadNotes {
  entries = 0;
  /** Named by the server as being as they were. */
  present = 0;
  #referrals = 0;
  #lacks = 0;
  readonly #remarks: string[] = [];
  readonly #filled = new Set<string>();
  #complete = true;

  /** Entries of this base, also those that lie in another one too. */
  saw(base: LdapBase, entries: number): void {
    if (entries > 0) this.#filled.add(placeOf(base));
  }

  /**
   * Whether entries were seen in each of the bases. At the end of a whole read: one that shows nothing, and had entries before, is
   * taken for a fault.
   */
  filled(bases: LdapBase[], before: boolean[] | undefined, extent: 'whole' | 'delta'): boolean[] {
    return bases.map((base, i) => {
      const isFilled = this.#filled.has(placeOf(base));
      if (isFilled || extent === 'delta') return isFilled || before?.[i] === true;
      if (before?.[i] === true) this.incomplete(emptied(base));
      else if (bases.length > 1) this.remark(`Nothing was found below "${base.dn}".`);
      return false;
    });
  }

  /** An entry without the attribute that it should keep for life. */
  withoutAnchor(): void {
    this.#lacks++;
  }

  referred(urls: string[]): void {
    if (!isBesideThePoint(urls)) this.#referrals++;
  }

  /** Something is or may be missing: no deletions. */
  incomplete(remark: string): void {
    this.#complete = false;
    this.remark(remark);
  }

  remark(remark: string): void {
    if (this.#remarks.length < MAX_REMARKS && !this.#remarks.includes(remark)) this.#remarks.push(remark);
  }

  /** The end of the search of one base. */
  ended({ dn, filter }: LdapBase, server: string, result: LdapResult): void {
    const { code, message, referrals } = result;
    if (code === SUCCESS) return;
    const words = message === '' ? '' : ` (${message.replaceAll(/[\p{Cc}\p{Cf}]+/gu, ' ').slice(0, 200)})`;
    this.incomplete(
      `${server} ended the search of "${dn}" with ${resultName(code)}${words}. ${mend(code, filter, referrals)}`.trimEnd(),
    );
  }

  /** `known`: of entries that should be there, as far as is known. */
  certificate(server: string, rest: Pick<ReadCertificate, 'bookmark' | 'extent'>): ReadCertificate {
    if (this.#referrals > 0) {
      this.incomplete(
        `${this.#referrals} referrals to other servers were not followed: what is there was not seen. Leave that part out by base or filter, or configure \`referrals: follow\`.`,
      );
    }
    if (this.#lacks > 0) {
      this.incomplete(
        `${this.#lacks} entries came without the attribute that they keep for life: may this account read it, and is it the right one?`,
      );
    }
    const { extent = 'whole' } = rest;
    if (this.entries + this.present === 0 && extent === 'whole') {
      this.incomplete(
        'Nothing at all was found. An empty answer is taken for a fault, and nobody is removed: look at base, filter and rights.',
      );
    }
    return {
      complete: this.#complete,
      remarks: this.#remarks,
      entries: this.entries + this.present,
      source: server,
      extent,
      // A bookmark of a read that has seen only a part would hide the rest for ever.
      bookmark: this.#complete ? rest.bookmark : null,
    };
  }
}

function placeOf({ dn, scope }: LdapBase): string {
  return `${scope} ${dn}`;
}

function emptied({ dn }: LdapBase): string {
  return `Nothing was found below "${dn}", and there were entries before: may this account still see them? If they are gone indeed: dirpost sync --whole.`;
}

function shortened(filter: string): string {
  return filter.length > 300 ? `${filter.slice(0, 300)}…` : filter;
}

function mend(code: number, filter: string, referrals: string[]): string {
  switch (code) {
    case NO_SUCH_OBJECT:
      return 'Is the base written rightly, and may this account see it?';
    case SIZE_LIMIT_EXCEEDED:
    case ADMIN_LIMIT_EXCEEDED:
      return 'A limit of the server cuts the answer: raise it for this account.';
    case TIME_LIMIT_EXCEEDED:
      return `The server has no time for it: an index for ${shortened(filter)} may be missing, or raise its limit for this account.`;
    case INSUFFICIENT_ACCESS_RIGHTS:
      return 'This account may not search there.';
    case REFERRAL:
      return `It is elsewhere: ${referrals.join(' ').slice(0, 300)}`;
    default:
      return '';
  }
}
