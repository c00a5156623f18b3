/**
 * The kinds of value that stand in a configuration. Each checks itself, says in a sentence what is wrong, and hands on
 * what the code works with: milliseconds, bytes, checked names.
 */
import { resolve } from 'node:path';
import { compileFilter, isDirpostError, parseDn, POSTOFFICE_NAME_PATTERN, isPostofficeName } from '@dirpost/core';
import { z } from 'zod';
import { DURATION_PATTERN, parseDuration, parseSize, SIZE_PATTERN } from './units.ts';

export const ATTRIBUTE_PATTERN = /^(?:[A-Za-z][A-Za-z0-9-]*|\d+(?:\.\d+)+)(?:;[A-Za-z0-9-]+)*$/;
const DOMAIN_PATTERN =
  /^(?=.{1,253}$)(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9][A-Za-z0-9-]{0,62}$/;

const nameRule = 'must be 1 to 63 small letters, digits and hyphens, beginning with a letter or digit';

export const postofficeName = z
  .string()
  .regex(POSTOFFICE_NAME_PATTERN, nameRule)
  .refine((name) => !POSTOFFICE_NAME_PATTERN.test(name) || isPostofficeName(name), 'is a device name of Windows');

/** Of directories and lists. */
export const plainName = z.string().regex(POSTOFFICE_NAME_PATTERN, nameRule);

export const attributeName = z
  .string()
  .regex(ATTRIBUTE_PATTERN, 'is not the name of an attribute (letters, digits and hyphens, beginning with a letter)');

const durationRule = 'must be a duration such as 30s, 15m, 12h or 90d';

export const duration = z
  .string(durationRule)
  .regex(DURATION_PATTERN, durationRule)
  .transform((text) => parseDuration(text) ?? 0);

const sizeRule = 'must be a number of bytes or a size such as 512 KiB or 8 MiB';

export const size = z
  .union([z.int().positive(sizeRule), z.string().regex(SIZE_PATTERN, sizeRule)], sizeRule)
  .transform((value) => (typeof value === 'number' ? value : (parseSize(value) ?? 0)));

export const count = z.int('must be a whole number').positive('must be at least 1');

export const filter = z.string().superRefine((text, context) => complain(context, () => compileFilter(text)));

export const dn = z.string().superRefine((text, context) => complain(context, () => parseDn(text)));

export const mailDomain = z
  .string()
  .regex(DOMAIN_PATTERN, 'is not a mail domain (only what stands after the @)')
  .transform((domain) => domain.toLowerCase());

export const regularExpression = z
  .string()
  .superRefine((text, context) => complain(context, () => new RegExp(text, 'iu')));

export const path = z
  .string()
  .min(1, 'must be a path')
  .refine((text) => !text.includes('\0'), 'must be a path');

/** As everywhere in a configuration: seen from the folder of its file. */
export function resolvePath(folder: string, text: string): string {
  return resolve(folder, text);
}

/** Makes a fault of what `check` throws. */
export function complain(context: z.core.$RefinementCtx<string>, check: () => unknown): void {
  try {
    check();
  } catch (error) {
    if (!isDirpostError(error) && !(error instanceof SyntaxError)) throw error;
    context.addIssue({ code: 'custom', message: error.message });
  }
}
