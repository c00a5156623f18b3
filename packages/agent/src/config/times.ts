/** Cron expressions and zones in a configuration. */
import cron from 'node-cron';
import { z } from 'zod';

export const cronExpression = z
  .string()
  .refine((text) => cron.validate(text), 'is not a cron expression: minute hour day-of-month month day-of-week');

export const timeZone = z.string().refine(isTimeZone, 'is not an IANA time zone such as Europe/Oslo');

function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}
