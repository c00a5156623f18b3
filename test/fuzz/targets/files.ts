/** Files of people: LDIF and CSV, as readers of text and as directories. */
import { strict as assert } from 'node:assert';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CsvDirectory,
  formatLdif,
  LdifDirectory,
  LdifParser,
  type LdifRecord,
  parseCsv,
  type WritableRecord,
} from '@dirpost/adapters';
import { type Directory, isDirpostError } from '@dirpost/core';
import { octets, ownWork, type Target, text } from '../target.ts';

const ldifSeeds = () =>
  octets(
    'version: 1\n\ndn: cn=Ann,dc=x\nobjectClass: person\ncn: Ann\nsn:: w4Vz\n description: folded\n  over lines\n\n# c\n',
    'dn: cn=A\nchangetype: modify\nadd: cn\ncn: b\n-\nreplace: sn\n-\ndelete: x\nx: 1\n-\n\n',
    'dn: cn=A\ncontrol: 1.2.3 true:: AAA=\nchangetype: delete\n\ndn:: Y249w4U=\nchangetype: add\ncn: x\n\n',
    'dn: cn=A,dc=x\r\nchangetype: modrdn\r\nnewrdn: cn=B\r\ndeleteoldrdn: 1\r\nnewsuperior: dc=y\r\n\r\n',
    'dn: cn=A\nphoto:< file:///etc/hostname\n\n# search result\nsearch: 2\nresult: 0 Success\n',
    'dn: cn=A\nchangetype: modify\nincrement: uidNumber\nuidNumber: 1\n-\n\nref: ldap://x/\n',
    '\ufeffdn: \nobjectClass: top\n',
  );
const ldifWords = [
  '\n',
  '\r\n',
  ': ',
  ':: ',
  ':< ',
  '\n ',
  'dn: ',
  'changetype: ',
  '-\n',
  '#',
  'version: 1\n',
  'control: ',
  'AAA=',
];

/** Without line numbers; attributes in one order. */
function comparable(records: LdifRecord[]): unknown[] {
  return records.map((one) => ({
    ...one,
    line: 0,
    ...('attributes' in one ? { attributes: [...one.attributes].sort(([a], [b]) => (a < b ? -1 : 1)) } : {}),
  }));
}

function parseIn(chunks: Uint8Array[]): LdifRecord[] {
  const parser = new LdifParser({ minScanBytes: 1 });
  return [...chunks.flatMap((chunk) => parser.push(chunk)), ...parser.end()];
}

const ldif: Target = {
  name: 'ldif',
  about: 'LDIF (RFC 2849): the same however it is cut into chunks, and the same when it is written and read again',
  seeds: ldifSeeds,
  words: ldifWords,
  run(input) {
    const inTwo = () => parseIn([input.subarray(0, input.length / 2), input.subarray(input.length / 2)]);
    let records: LdifRecord[];
    try {
      records = parseIn([input]);
    } catch (error) {
      // Of several faults, which is found first depends on the chunks.
      assert.throws(inTwo, isDirpostError);
      throw error;
    }
    assert.deepEqual(comparable(ownWork(inTwo)), comparable(records));
    const writable = records.filter(
      (one): one is Extract<LdifRecord, WritableRecord> => !one.kind.startsWith('search-'),
    );
    const written = formatLdif(writable);
    assert.deepEqual(comparable(ownWork(() => parseIn([Buffer.from(written)]))), comparable(writable));
  },
};

/** A directory that reads one file in a folder of its own. */
function fileTarget(
  about: Pick<Target, 'name' | 'about' | 'seeds' | 'words'>,
  open: (path: string) => Directory,
): Target {
  let folder = '';
  let path = '';
  return {
    ...about,
    async open() {
      folder = await mkdtemp(join(tmpdir(), 'dirpost-fuzz-'));
      path = join(folder, 'people');
    },
    close: () => rm(folder, { recursive: true, force: true }),
    async run(input) {
      await writeFile(path, input);
      let certificates = 0;
      for await (const { entries, certificate } of open(path).read(null, new AbortController().signal)) {
        assert.equal(certificates, 0);
        assert.equal(
          entries.every(({ dn }) => typeof dn === 'string'),
          true,
        );
        if (certificate !== undefined) certificates++;
      }
      assert.equal(certificates, 1);
    },
  };
}

const ldifFile = fileTarget(
  { name: 'ldif-file', about: 'an LDIF file as a directory, with change records', seeds: ldifSeeds, words: ldifWords },
  (path) => new LdifDirectory({ name: 'people', path }),
);

const csvSeeds = () => [
  ...octets(
    'uid,cn,mail\n1,Ann,ann@x\n2,"B ""b""\nc",b@x|c@x\n',
    'sep=;\nUID;Name;Mitglieder\r\n="007";Å;1|2\r\n',
    'uid\tcn\n1\tx\n1\ty\n',
    'uid,cn,dn\n1,x,"cn=x,dc=y"\n2,y,nonsense\n',
    'uid,cn\n1,1.23E+12\n,empty\n3\n4,a,b,c\n',
  ),
  Buffer.from('\ufeffuid,cn\n1,Å\n', 'utf16le'),
  Buffer.from('uid,cn\n1,\xc5\n', 'latin1'),
];
const csvWords = ['"', '""', ',', ';', '\t', '|', '\r', '\r\n', '="', 'sep=', 'uid', '\ufeff'];

const csvFile = fileTarget(
  {
    name: 'csv-file',
    about: 'a CSV file as a directory: any encoding, delimiter and quotes',
    seeds: csvSeeds,
    words: csvWords,
  },
  (path) => new CsvDirectory({ name: 'people', path, key: 'uid', separator: '|', suffix: 'dc=x' }),
);

const csvTable: Target = {
  name: 'csv-table',
  about: 'tables that an administrator wrote, such as a list of branches',
  seeds: csvSeeds,
  words: csvWords,
  async run(input) {
    const rows = await parseCsv(text(input));
    assert.equal(
      rows.every((row) => Object.values(row).every((cell) => typeof cell === 'string')),
      true,
    );
  },
};

export const fileTargets = [ldif, ldifFile, csvFile, csvTable];
