/**
 * `npm run vectors`: makes the vectors that are not there yet; with `-- --all` all of them anew. Sealing is random, so a
 * vector that is made again has other bytes with the same outcome. Each bad one has one defect.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { badFiles } from './bad-files.ts';
import { badPayloads } from './bad-payloads.ts';
import { editVectors } from './edits.ts';
import { goodMessages } from './good-messages.ts';
import { enrolments } from './enrolments.ts';
import { otherKeys } from './other-keys.ts';
import { folder, formatVector } from './vector.ts';

mkdirSync(folder, { recursive: true });
for (const vector of [
  ...(await goodMessages()),
  ...(await enrolments()),
  ...(await otherKeys()),
  ...(await badFiles()),
  ...(await badPayloads()),
]) {
  const file = new URL(`${vector.name}.txt`, folder);
  if (existsSync(file) && !process.argv.includes('--all')) continue;
  writeFileSync(file, formatVector(vector));
  console.log(vector.name);
}

writeFileSync(new URL('../edits.json', folder), `${JSON.stringify(editVectors, null, 2)}\n`);
