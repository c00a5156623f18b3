import { expect, it } from 'vitest';
import { Load } from './load.ts';

it('one address that tries to enrol again and again keeps nobody else from it', () => {
  const load = new Load({ maxInFlight: 4, maxBytes: 1e6, enrolmentsPerMinute: 100, enrolmentsPerMinuteAndAddress: 3 });
  for (let i = 0; i < 3; i++) expect(load.enrol('192.0.2.1')).toBeUndefined();
  expect(load.enrol('192.0.2.1')).toMatchObject({ status: 429 });
  expect(load.enrol('192.0.2.2')).toBeUndefined();
});
