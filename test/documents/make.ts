/** `npm run docs`: writes the documents that are made from the code. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { configurationReference, configurationSchemaDocument } from '../../packages/agent/src/config/reference.ts';

/** Path from the root of the repository → its content. */
export const documents: Record<string, () => string> = {
  'docs/configuration.md': configurationReference,
  'docs/dirpost.schema.json': configurationSchemaDocument,
};

export function documentPath(name: string): string {
  return fileURLToPath(new URL(`../../${name}`, import.meta.url));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [name, make] of Object.entries(documents)) writeFileSync(documentPath(name), make());
}
