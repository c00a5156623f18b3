/** In which order the server takes what has arrived. */
import { createHash } from 'node:crypto';
import { readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readLdif } from '../demo/contents.ts';
import { freshNetwork } from './network.ts';

it('changes of the server itself go with the answers of the same sync, also to an exchange that lay there before', async () => {
  const { hq, oslo, staff } = await freshNetwork();
  await oslo.must('sync', '--wait', '0');
  // As after a crash between collecting and processing.
  const [exchange] = await hq.waiting();
  const name = createHash('sha256')
    .update(await readFile(exchange!))
    .digest('hex')
    .slice(0, 32);
  await rename(exchange!, join(hq.data, 'spool/incoming', `${name}_folder.dpm`));
  const [first, ...others] = staff.hq.people;
  await hq.writePeople({ ...staff.hq, people: [{ ...first!, title: 'Changed just now' }, ...others] });
  await hq.must('sync');
  await oslo.must('dispatch');
  const titles = [...(await readLdif(oslo.network)).values()].map((attributes) => attributes.get('title')?.[0]);
  expect(titles).toContain('Changed just now');
});
