/** Small languages: LDAP filters, DNs, templates of the mapping, the configuration. */
import { strict as assert } from 'node:assert';
import { readdirSync, readFileSync } from 'node:fs';
import {
  type Attributes,
  attributesLookup,
  compileFilter,
  compileMapping,
  compileTemplate,
  defaultLimits,
  escapeDnValue,
  escapeFilterValue,
  isWithin,
  normalizeDn,
  parentDn,
  parseDn,
  parseFilter,
  rdnOf,
  writeDn,
  writeFilter,
} from '@dirpost/core';
import { configurationFaults, parseConfiguration } from 'dirpost';
import { encodeSearch } from '../../../packages/adapters/src/directories/ldap/requests.ts';
import { sampleConfiguration } from '../../../packages/agent/src/config/sample.ts';
import { octets, ownWork, type Target, text, tolerated } from '../target.ts';

const attributes: Attributes = new Map(
  Object.entries({
    cn: ['Åse Berg', 'ab'],
    sn: ['Berg'],
    mail: ['ase@oslo.example'],
    objectclass: ['top', 'person'],
    telephonenumber: ['+47 22 00 00 00'],
    whenchanged: ['20260101000000Z'],
    entrydn: ['cn=Åse Berg,ou=People,dc=example'],
  }).map(([name, values]) => [name, values.map((value) => Buffer.from(value))]),
);
const entry = { dn: 'cn=Åse Berg,ou=People,dc=example', attributes };

const filter: Target = {
  name: 'filter',
  about: 'LDAP filters (RFC 4515): parse, write, match, as octets of a request',
  seeds: () =>
    octets(
      '(&(objectClass=person)(|(cn=Å*s\\2a)(!(mail=*@x)))(sn>=a)(sn<=z)(cn~=ase))',
      '(cn:caseIgnoreMatch:=x)',
      '(ou:dn:=People)',
      '(:dn:2.5.13.5:=x)',
      '(telephoneNumber=+47*)',
      '(&)',
      '(|)',
      '(whenChanged>=20260101000000Z)',
      '( & ( a = b ) )',
      '(cn=\\c3\\85*)',
    ),
  words: ['(&', '(|', '(!', ')', '*', '\\00', '\\ff', ':=', ':dn:', '>=', '<=', '~=', 'objectClass', 'entrydn'],
  run(input) {
    const parsed = parseFilter(text(input));
    const written = writeFilter(parsed);
    assert.deepEqual(
      ownWork(() => parseFilter(written)),
      parsed,
    );
    const compiled = compileFilter(parsed);
    compiled.matches(attributesLookup(attributes));
    encodeSearch(1, { base: '', scope: 'sub', filter: written, attributes: [] });
  },
};

const filterValue: Target = {
  name: 'filter-value',
  about: 'a value that is put into a filter and into a DN stays one value, whatever it is',
  seeds: () => octets('ase', '*)(uid=*', 'a,b+c="d"', '\\2a', ' x ', '#x', 'å', '\0'),
  words: ['*', '(', ')', '\\', ',', '+', '"', '=', '#', ' ', '\0', ';', '<', '>'],
  run(input) {
    const found = ownWork(() => parseFilter(`(cn=${escapeFilterValue(input)})`));
    assert.equal(found.kind, 'equality');
    assert.equal(Buffer.compare((found as { value: Uint8Array }).value, input), 0);
    const dn = ownWork(() => parseDn(`cn=${escapeDnValue(input)},dc=x`));
    assert.equal(dn.length, 2);
    assert.equal(dn[0]!.length, 1);
    assert.equal(normalizeDn(`CN=${escapeDnValue(input)},dc=x`), normalizeDn(`cn=${escapeDnValue(input)}, DC=X`));
  },
};

const dn: Target = {
  name: 'dn',
  about: 'distinguished names (RFC 4514): parse, write, compare',
  seeds: () =>
    octets(
      'cn=Åse Berg+uid=7,ou=People,dc=example,dc=com',
      'CN="a, b";O=x',
      'cn=\\23a\\,b\\20,c=no',
      '1.3.6.1=#0403616263',
      '',
      'cn= a  b ,dc=x',
      'OID.2.5.4.3=x',
    ),
  words: ['cn=', ',', '+', ';', '\\', '\\,', '#04', '"', '=', '\\ff', 'oid.'],
  run(input) {
    const given = text(input);
    const parsed = parseDn(given);
    const written = writeDn(parsed);
    assert.deepEqual(
      ownWork(() => parseDn(written)),
      parsed,
    );
    const normal = normalizeDn(given);
    assert.equal(
      ownWork(() => normalizeDn(written)),
      normal,
    );
    assert.equal(
      ownWork(() => normalizeDn(normal)),
      normal,
    );
    if (parsed.length > 0) rdnOf(given);
    const parent = parentDn(given);
    if (parent !== null) assert.equal(isWithin(given, parent), true);
    assert.equal(isWithin(given, given), true);
  },
};

const template: Target = {
  name: 'template',
  about: 'templates and mappings of attributes, by lines',
  seeds: () => octets('{sn}, {cn|trim|upper}', '{{x}} {mail|local}@{mail|domain}', '{cn|first}\nmail\n{dn}\n', '{Ä ö}'),
  words: ['{', '}', '{{', '}}', '|', '|trim', '|lower', '|first', '|domain', '|constructor', '{dn}', 'constructor'],
  run(input) {
    const lines = text(input).split('\n').slice(0, 20);
    const made = lines.map((line, i) => [i % 2 === 0 ? `made${i}` : 'cn', line] as const);
    for (const [, line] of made) tolerated(() => void compileTemplate(line, true)(entry));
    const options = { owner: 'oslo', key: 'mail', space: 'mail', limits: defaultLimits };
    const mapping = compileMapping({ ...options, attributes: Object.fromEntries(made) });
    mapping(entry);
  },
};

const examples = new URL('../../../deploy/examples/', import.meta.url);

const configuration: Target = {
  name: 'configuration',
  about: 'dirpost.yaml: what is wrong with it is told with its line, whatever stands there',
  seeds: () => [
    ...readdirSync(examples).map((file) => readFileSync(new URL(file, examples))),
    Buffer.from(sampleConfiguration({ postoffice: 'hq', role: 'server' })),
    ...octets('a: &x [*x]\n', 'postoffice: oslo\nrole: [', '{"postoffice": 1}'),
  ],
  words: [
    '&a ',
    '*a',
    '<<: ',
    '!!binary ',
    '? ',
    '- ',
    ': ',
    '|\n',
    '%YAML 1.1\n---\n',
    'directories:',
    '{',
    '[',
    '"',
    "'",
  ],
  maxBytes: 16 * 1024,
  run(input) {
    const faults = configurationFaults(text(input), '/srv/dirpost');
    assert.equal(
      faults.every(({ line, column }) => line >= 1 && column >= 1),
      true,
    );
    parseConfiguration(text(input), '/srv/dirpost');
    assert.equal(faults.length, 0);
  },
};

export const textTargets = [filter, filterValue, dn, template, configuration];
