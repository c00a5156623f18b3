/** What a requestor may publish, as people write it: options of `dirpost invite`, and cells of a table of branches. */
import { DirpostError, type PublishRule } from '@dirpost/core';
import type { z } from 'zod';
import { publishedKinds } from '../config/directory-fields.ts';
import { count, mailDomain } from '../config/fields.ts';

export interface PublishWords {
  /** Separated by commas or spaces, as the mail domains. */
  kinds?: string;
  mailDomain?: string[];
  maxEntries?: string;
}

/** Throws DirpostError `wrong-use`, which names the word that is wrong. */
export function publishRuleOf({ kinds, mailDomain: domains, maxEntries }: PublishWords): PublishRule {
  return {
    ...(kinds === undefined ? {} : { kinds: words(kinds).map(kindOf) }),
    ...(domains === undefined
      ? {}
      : { mailDomains: domains.flatMap(words).map((domain) => checked(mailDomain, domain, 'The mail domain')) }),
    ...(maxEntries === undefined ? {} : { maxEntries: checked(count, Number(maxEntries), 'The number of entries') }),
  };
}

function words(text: string): string[] {
  return text.split(/[\s,;]+/).filter((word) => word !== '');
}

function kindOf(word: string): (typeof publishedKinds)[number] {
  const found = publishedKinds.find((one) => one === word);
  if (found !== undefined) return found;
  const known = publishedKinds.join(', ');
  throw new DirpostError('wrong-use', `${JSON.stringify(word)} is not a kind of entry; there are: ${known}.`);
}

function checked<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const shown = Number.isNaN(value) ? 'given' : JSON.stringify(value);
  throw new DirpostError('wrong-use', `${what} ${shown} ${parsed.error.issues[0]!.message}.`);
}
