/**
 * Values that an LDIF file names by URL (`jpegPhoto:< file:///…`). Whoever can write the LDIF file could have us
 * publish any file that we can read; so only files inside one given folder are read, links followed before that is
 * decided.
 */
import { readFileSync, realpathSync, statSync } from 'node:fs';
import { isAbsolute, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defaultLimits, type Limits } from '@dirpost/core';
import { ldifError } from './records.ts';
import type { UrlReader } from './values.ts';

/** Reads synchronously: such values are rare and small, and a parser that can wait would be slower for all others. */
export function folderUrlReader(folder: string, limits: Limits = defaultLimits): UrlReader {
  return (url, place) => {
    const fault = (reason: string, cause?: unknown) =>
      ldifError(place, reason, { code: 'ldif-url', ...(cause === undefined ? {} : { cause }) });
    let path: string;
    try {
      if (new URL(url).protocol !== 'file:') throw new Error('only file: URLs are read');
      path = realpathSync(fileURLToPath(url));
      const inside = relative(realpathSync(folder), path);
      if (inside === '' || inside.startsWith('..') || isAbsolute(inside)) throw new Error(`it is not inside ${folder}`);
      const stat = statSync(path);
      if (!stat.isFile()) throw new Error('it is not a regular file');
      if (stat.size > limits.maxValueBytes) throw new Error(`it is larger than ${limits.maxValueBytes} bytes`);
      return readFileSync(path);
    } catch (cause) {
      // Without the path, which may name a person: what is in quotation marks does not stand in the log.
      const reason = cause instanceof Error ? cause.message.replace(/, \w+ '.*'$/s, '') : String(cause);
      throw fault(`the value cannot be read from ${JSON.stringify(url.slice(0, 200))}: ${reason}`, cause);
    }
  };
}
