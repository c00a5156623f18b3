/**
 * `dirpost invite --from branches.csv`: a table of branches, and the bundle that each of them gets, with which it joins
 * without anybody typing anything:
 *
 *   <bundles>/<name>/dirpost.yaml   <bundles>/<name>/invitation (a secret)   <bundles>/<name>/README.txt
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileError, parseCsv, readBounded } from '@dirpost/adapters';
import { DirpostError, isPostofficeName, type PostofficeName, type PublishRule } from '@dirpost/core';
import { parseConfiguration } from '../config/load.ts';
import { sampleConfiguration } from '../config/sample.ts';
import { type BranchMail, bundleMail, MAIL_COLUMNS, readBranchMail } from './branch-mail.ts';
import { publishRuleOf } from './publish-words.ts';
import { CERTIFICATE_FILE, type Reachable } from './server-address.ts';

const MAX_TABLE_BYTES = 4 * 1024 * 1024;
const MAX_BRANCHES = 10_000;
const PLAIN_COLUMNS = 'name kinds mail_domains max_entries publish key subscribe container folder'.split(' ');
const COLUMNS = [...PLAIN_COLUMNS, ...MAIL_COLUMNS];

export interface Branch {
  name: PostofficeName;
  publish: PublishRule;
  /** Of its configuration, as `dirpost init` takes them. */
  directory?: string;
  key?: string;
  subscribe?: string;
  container?: string;
  folder?: string;
  mail?: BranchMail;
}

/**
 * All faults of the table at once, before anything is made. `otherwise`: for branches whose cells are empty. `serverHasMail`:
 * only then they may have mail.
 */
export async function readBranches(file: string, otherwise: PublishRule, serverHasMail = false): Promise<Branch[]> {
  let text: string;
  try {
    text = (await readBounded(file, MAX_TABLE_BYTES)).toString('utf8');
  } catch (error) {
    throw fileError(error, `read ${file}`);
  }
  const rows = await parseCsv(text);
  const faults: string[] = [];
  const seen = new Set<string>();
  const unknown = Object.keys(rows[0] ?? {}).filter((column) => !COLUMNS.includes(column));
  for (const column of unknown) faults.push(`there is no column ${JSON.stringify(column)}`);
  const branches = rows.map((row, i) => {
    const line = i + 2;
    const { name = '' } = row;
    if (!isPostofficeName(name)) faults.push(`line ${line}: ${JSON.stringify(name)} is not a name of a postoffice`);
    if (seen.has(name)) faults.push(`line ${line}: ${name} stands there twice`);
    seen.add(name);
    return readBranch(row, otherwise, serverHasMail, (fault) => faults.push(`line ${line}: ${fault}`));
  });
  if (branches.length === 0) faults.push('it has no branches');
  if (branches.length > MAX_BRANCHES) faults.push(`it has more than ${MAX_BRANCHES} branches`);
  if (faults.length === 0) return branches;
  const told = faults.slice(0, 20).map((fault) => `  ${fault}`);
  throw new DirpostError('wrong-use', `${file} is not a table of branches; nobody was invited:\n${told.join('\n')}`, {
    hint: `Columns: ${COLUMNS.join(', ')}; only name is needed. Several kinds or mail domains in a cell stand with spaces between.`,
  });
}

function readBranch(
  row: Record<string, string>,
  otherwise: PublishRule,
  serverHasMail: boolean,
  tell: (fault: string) => void,
): Branch {
  const cell = (column: string): string | undefined => (row[column]?.trim() === '' ? undefined : row[column]?.trim());
  const [kinds, domains, maxEntries] = [cell('kinds'), cell('mail_domains'), cell('max_entries')];
  let publish = otherwise;
  let mail: BranchMail | undefined;
  try {
    const own = publishRuleOf({
      ...(kinds && { kinds }),
      ...(domains && { mailDomain: [domains] }),
      ...(maxEntries && { maxEntries }),
    });
    publish = { ...otherwise, ...own };
    mail = readBranchMail(cell, serverHasMail, tell);
  } catch (error) {
    if (!(error instanceof DirpostError)) throw error;
    tell(error.message);
  }
  const given = {
    directory: cell('publish'),
    key: cell('key'),
    subscribe: cell('subscribe'),
    container: cell('container'),
    folder: cell('folder'),
    mail,
  };
  const present = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  return { name: row['name'] ?? '', publish, ...present };
}

/** Replaces a bundle of the same name: its invitation is void. */
export async function writeBundle(
  bundles: string,
  branch: Branch,
  line: string,
  server: PostofficeName,
  { addresses, certificate, mail: serverMail }: Reachable,
): Promise<void> {
  const { name, publish: _, folder: ownFolder, mail: branchMail, ...rest } = branch;
  const folder = ownFolder ?? addresses.folder;
  const mail = branchMail && serverMail && (await bundleMail(branchMail, serverMail));
  const configuration = sampleConfiguration({
    ...rest,
    postoffice: name,
    role: 'requestor',
    server,
    unattended: true,
    ...(folder === undefined ? {} : { folder }),
    ...(addresses.http === undefined ? {} : { http: addresses.http }),
    ...(certificate === undefined ? {} : { ca: CERTIFICATE_FILE }),
    ...(mail && { mail: mail.sample }),
  });
  const bundle = join(bundles, name);
  // What a cell of the table holds may not be in order.
  parseConfiguration(configuration, bundle, `dirpost.yaml of ${name}`);
  try {
    await mkdir(bundle, { recursive: true, mode: 0o700 });
    await writeFile(join(bundle, 'dirpost.yaml'), configuration, { mode: 0o600 });
    if (certificate !== undefined) await writeFile(join(bundle, CERTIFICATE_FILE), certificate, { mode: 0o600 });
    await writeFile(join(bundle, 'invitation'), `${line}\n`, { mode: 0o600 });
    for (const [file, text] of Object.entries(mail?.files ?? {})) {
      await writeFile(join(bundle, file), text, { mode: 0o600 });
    }
    await writeFile(join(bundle, 'README.txt'), readme(name, server, mail?.todo), { mode: 0o600 });
  } catch (error) {
    throw fileError(error, `write ${bundle}`);
  }
}

function readme(name: string, server: string, mail: string | undefined): string {
  const steps = [
    `Copy this folder to ${name}, where it stays: it becomes the data folder. Look through dirpost.yaml, mainly the paths.`,
    ...(mail === undefined ? [] : [mail]),
    `In this folder run:  dirpost join --file invitation   It joins ${server}, once; then delete the file invitation.`,
    'Then run:  dirpost check   and   dirpost run   (or dirpost sync, once a day)',
  ];
  return `${steps.map((step, i) => `${i + 1}. ${step}`).join('\n')}\n`;
}
