import { readdirSync, readFileSync } from 'node:fs';
import { DirpostError } from '@dirpost/core';
import { expect, test } from 'vitest';
import { codec, describeContent, folder, parseVector, sealerOf, type Vector } from './vector.ts';

const files = readdirSync(folder).filter((file) => file.endsWith('.txt'));

async function outcome(vector: Vector): Promise<{ expect: string; content?: string }> {
  try {
    const { payload } = await (await sealerOf(vector.receiver)).open(vector.bytes);
    return { expect: 'ok', content: describeContent(codec.head(payload), codec.changes(payload)) };
  } catch (error) {
    if (!(error instanceof DirpostError)) throw error;
    return { expect: error.code };
  }
}

test('there are vectors', () => {
  expect(files.length).toBeGreaterThan(50);
});

test.each(files)('%s opens to what it says', async (file) => {
  const vector = parseVector(readFileSync(new URL(file, folder), 'utf8'));
  expect(`${vector.name}.txt`).toBe(file);
  const started = performance.now();
  const found = await outcome(vector);
  expect(found).toEqual(
    vector.content === undefined ? { expect: vector.expect } : { expect: 'ok', content: vector.content },
  );
  expect(performance.now() - started).toBeLessThan(5000);
});
