/** The part of the configuration for the agent that runs: its times, its log, and the limits on effects. */
import { defaultHolds, type HoldLimit } from '@dirpost/core';
import { z } from 'zod';
import { duration } from './fields.ts';
import { cronExpression, timeZone } from './times.ts';

const window = z
  .string()
  .regex(/^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$/, 'must be two times of day, such as 22:00-05:00');

export const schedule = z
  .strictObject({
    every: duration
      .optional()
      .describe(
        'A whole cycle this often, at a time of its own that the name of the postoffice gives, so that not all come at once. Whole days are counted by the clock of the zone. Default: 1d, unless T1, T2 or T3 is given.',
      ),
    T1: cronExpression.optional().describe('Cron: when to collect and send (T0 and T1).'),
    T2: cronExpression
      .optional()
      .describe('Cron, server: when to process and dispatch what has arrived until then. Default: on arrival.'),
    T3: cronExpression.optional().describe('Cron: when to dispatch what has arrived until then. Default: on arrival.'),
    zone: timeZone
      .optional()
      .describe(
        'IANA zone of all these times, such as Europe/Oslo. Default: that of the machine. A time of day that is left out in spring comes right after the gap; one that comes twice in autumn counts once.',
      ),
    window: window
      .optional()
      .describe(
        'Only between these times of day of the zone is anything sent on schedule or tried again; what comes due outside is done once at the next opening. Arrivals do not wait for it.',
      ),
    jitter: duration.prefault('0s').describe('Each run comes later by a random time up to this.'),
    onArrival: z
      .boolean()
      .optional()
      .describe(
        'Whether what arrives is processed and dispatched at once, and not only kept in the spool until the next run. Default: yes, unless T2 or T3 is given.',
      ),
    poll: duration
      .prefault('1m')
      .describe('Transports are also asked this often, since some cannot say when something has arrived.'),
  })
  .prefault({})
  .describe('When the agent (`dirpost run`) does what.');

export const log = z
  .strictObject({
    format: z.enum(['readable', 'json']).default('readable').describe('Lines for people, or one JSON object a line.'),
    level: z
      .enum(['error', 'warning', 'info', 'debug'])
      .default('info')
      .describe('Names and addresses of people stand in `debug` only.'),
  })
  .prefault({})
  .describe('The log of the agent, on its standard output.');

const holdLimit = (byDefault: HoldLimit) =>
  z.strictObject({
    above: z.int().min(0).default(byDefault.above).describe('Held above so many …'),
    percent: z.number().min(0).max(100).default(byDefault.percent).describe('… and above so many percent. 100: never.'),
  });

export const holds = z
  .strictObject({
    removals: holdLimit(defaultHolds.removals).prefault({}).describe('Entries that vanish.'),
    clearedValues: holdLimit(defaultHolds.clearedValues)
      .prefault({})
      .describe(
        'Entries that lose all values of an attribute. Also of `direction: both`: entries that are changed by hand in the container at once, or by the edits of others.',
      ),
    lostMembers: holdLimit(defaultHolds.lostMembers).prefault({}).describe('Members that groups lose.'),
    renames: holdLimit(defaultHolds.renames).prefault({}).describe('Entries that get another DN.'),
  })
  .prefault({})
  .describe('Limits on effects: what goes beyond is held until `dirpost approve`, at sender, server and receiver.');
