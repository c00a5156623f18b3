/** Mapping of directories that are tables: names are titles of columns, and only what is meant to goes to the network. */
import { compileMapping, defaultLimits, type MappingOptions } from '@dirpost/core';
import { describe, expect, it } from 'vitest';

const row = (values: Record<string, string>) => ({
  dn: 'uid=7',
  attributes: new Map(Object.entries(values).map(([name, value]) => [name, [Buffer.from(value)]])),
});

function published(values: Record<string, string>, options: Partial<MappingOptions> = {}): Record<string, string> {
  const map = compileMapping({
    owner: 'oslo',
    key: 'Personnel Number',
    space: 'personnel number',
    columnPasses: (title) => ['mail', 'sn', 'objectclass'].includes(title),
    limits: defaultLimits,
    ...options,
  });
  const mapped = map(row({ 'personnel number': '7', objectclass: 'person', ...values }));
  if (mapped.outcome !== 'publish') throw new Error(JSON.stringify(mapped));
  return Object.fromEntries([...mapped.attributes].map(([name, [value]]) => [name, Buffer.from(value!).toString()]));
}

describe('the mapping of a table', () => {
  it('publishes columns that are called like attributes, and no others, not even the key', () => {
    expect(published({ mail: 'a@x', salary: '10000', 'e-mail address': 'b@x' })).toEqual({
      objectclass: 'person',
      mail: 'a@x',
      entrydn: 'uid=7',
    });
  });

  it('publishes what is named as it is called in the header, also in templates', () => {
    const attributes = { mail: 'E-mail Address', cn: '{First name|upper} {Straße}', sn: null };
    const values = { mail: 'old@x', 'e-mail address': 'a@x', 'first name': 'Ann', straße: 'Way', sn: 'Berg' };
    expect(published(values, { attributes })).toEqual({
      objectclass: 'person',
      mail: 'a@x',
      cn: 'ANN Way',
      entrydn: 'uid=7',
    });
  });

  it('never publishes a secret, even where the column passes', () => {
    expect(published({ userpassword: 'x' }, { columnPasses: () => true })).not.toHaveProperty('userpassword');
  });
});
