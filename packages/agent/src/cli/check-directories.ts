/** `dirpost check` for directories: what would be published of each, and whether it can be written. LDAP has more: check-ldap.ts. */
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CsvDirectory, foldColumn } from '@dirpost/adapters';
import { compileMapping } from '@dirpost/core';
import { openDirectory } from '../agent.ts';
import { type DirectoryConfiguration, type PublishDirectory, wantedColumns } from '../config/directory.ts';
import type { Configuration } from '../config/load.ts';
import { counted } from '../events.ts';
import { ldapFindings } from './check-ldap.ts';
import type { Invocation } from './command.ts';
import { type Finding, finding } from './findings.ts';

export async function checkDirectory(
  call: Invocation,
  configuration: Configuration,
  directory: DirectoryConfiguration,
): Promise<Finding[]> {
  const what = directory.name;
  if (directory.type === 'ldap') {
    const found = await finding(what, () => ldapFindings(call, configuration, directory));
    if (directory.direction === 'subscribe' || found.some(({ result }) => result === 'fault')) return found;
    return [...found, ...(await checkEntries(call, configuration, directory))];
  }
  if (directory.direction === 'subscribe') return checkTarget(what, directory.path);
  return checkEntries(call, configuration, directory);
}

async function checkEntries(
  call: Invocation,
  configuration: Configuration,
  directory: PublishDirectory,
): Promise<Finding[]> {
  const what = directory.name;
  return finding(what, async () => {
    const mapping = compileMapping({ ...directory, owner: configuration.postoffice, limits: configuration.limits });
    const counts = { publish: 0, 'leave-out': 0, refuse: 0 };
    const reasons = new Map<string, number>();
    const found: Finding[] = [];
    const opened = openDirectory(directory, configuration);
    if (directory.type === 'csv' && opened instanceof CsvDirectory) {
      found.push(columnsFinding(directory, await opened.columnTitles(call.signal)));
    }
    for await (const batch of opened.read(null, call.signal)) {
      for (const entry of batch.entries) {
        const mapped = mapping(entry);
        counts[mapped.outcome]++;
        const why = mapped.outcome === 'refuse' ? mapped.reason : mapped.outcome === 'leave-out' ? mapped.why : null;
        if (why !== null) reasons.set(`${mapped.outcome} ${why}`, (reasons.get(`${mapped.outcome} ${why}`) ?? 0) + 1);
        call.screen.progress({ what: `reading ${what}`, done: counts.publish });
      }
      for (const remark of batch.certificate?.remarks ?? []) {
        found.push({ what, result: batch.certificate!.complete ? 'warning' : 'fault', text: remark });
      }
    }
    const text = `${counted(counts.publish, 'entry')} to publish, ${counts['leave-out']} left out, ${counts.refuse} refused`;
    found.unshift({ what, result: 'ok', text });
    for (const [why, count] of reasons) {
      const [outcome, ...words] = why.split(' ');
      const times = `${count} × ${words.join(' ')}`;
      if (outcome === 'refuse')
        found.push({ what, result: 'warning', text: times, mend: 'Is `key` the right attribute?' });
      else found.push({ what, result: 'ok', text: `left out: ${times}` });
    }
    return found;
  });
}

/** What of a CSV file goes to the network is decided by its header: told, so that nobody is surprised. */
function columnsFinding(directory: Extract<PublishDirectory, { type: 'csv' }>, titles: string[]): Finding {
  const mapped = new Set(wantedColumns(directory).map(({ title }) => foldColumn(title)));
  const dropped = Object.entries(directory.attributes).flatMap(([name, source]) => (source === null ? [name] : []));
  const used = new Set([directory.key, directory.dn ?? '', directory.members ?? 'member', ...dropped].map(foldColumn));
  const stays = titles.filter((title) => {
    const folded = foldColumn(title);
    return !mapped.has(folded) && !used.has(folded) && !directory.columnPasses(folded);
  });
  const text =
    stays.length === 0
      ? `${counted(titles.length, 'column')}; none stays here unused`
      : `${counted(titles.length, 'column')}; not published: ${stays.join(', ')} (name them under \`attributes\` if they shall be)`;
  return { what: directory.name, result: 'ok', text };
}

async function checkTarget(what: string, path: string): Promise<Finding[]> {
  try {
    await access(dirname(path), constants.W_OK);
    return [{ what, result: 'ok', text: path }];
  } catch {
    return [
      {
        what,
        result: 'fault',
        text: `${dirname(path)} cannot be written`,
        mend: 'Make that folder, or mend its rights.',
      },
    ];
  }
}
