/**
 * The steps of the demo. Each does what an administrator, a bad line or a broken disk would do, and then looks: at the
 * files that were written and at `dirpost status --json` of every office (contents.ts).
 */
import { copyFile, cp, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { contentFaults, digestFaults, readLdif, type Status } from './contents.ts';
import { cycle, type CycleOptions, type Office, type Ran, runHere } from './office.ts';
import { type Narrator, same, unless } from './narrator.ts';
import { makePerson, makeStaff, personDn, type Staff, uidOf } from './people.ts';

const SIZES: Record<string, number> = { hq: 1_000, oslo: 1_000, lima: 1_000 };
const GROUPS = 40;
/** Cycles after which everything has to be in step again, whatever was lost. */
const MAX_CYCLES = 6;

export interface Scene {
  tell: Narrator;
  root: string;
  /** The server first. */
  offices: Office[];
  hq: Office;
  oslo: Office;
  lima: Office;
  staff: Map<Office, Staff>;
  travelled: Travelled;
}

/** Counts what lies in the exchange folder, each message file once. */
export class Travelled {
  files = 0;
  bytes = 0;
  readonly #seen = new Set<string>();

  async look(offices: Office[]): Promise<void> {
    for (const office of offices) {
      for (const path of await office.waiting()) {
        if (this.#seen.has(basename(path))) continue;
        this.#seen.add(basename(path));
        this.files++;
        this.bytes += (await stat(path)).size;
      }
    }
  }
}

/** A cycle in which every message file is counted between being sent and being taken: of oslo, lima, hq, hq again. */
async function countedCycle({ offices, travelled }: Scene, options: CycleOptions = {}): Promise<Ran[]> {
  return cycle(offices, { between: () => travelled.look(offices), ...options });
}

async function faultsEverywhere({ offices }: Scene): Promise<string[]> {
  const digests = digestFaults(await Promise.all(offices.map((office) => office.status())));
  if (digests.length > 0) return digests;
  return (await Promise.all(offices.map((office) => contentFaults(office, offices)))).flat();
}

/** Cycles until nothing is wrong; how many it took. */
async function cyclesUntilInStep(scene: Scene): Promise<number> {
  for (let cycles = 1; ; cycles++) {
    await countedCycle(scene);
    const faults = await faultsEverywhere(scene);
    if (faults.length === 0) return cycles;
    if (cycles === MAX_CYCLES) scene.tell.check(`all are in step after ${MAX_CYCLES} cycles`, faults);
  }
}

const inStep = 'digests are equal at hq, oslo and lima, and every network.ldif holds exactly what the others own';

export async function setUp(scene: Scene): Promise<void> {
  const { tell, offices, staff } = scene;
  for (const office of offices) {
    const made = makeStaff(office.name, SIZES[office.name]!, GROUPS);
    staff.set(office, made);
    await office.writePeople(made);
    const size = (await stat(office.people)).size;
    tell.fact(
      `${office.name.padEnd(4)} ${made.people.length} people, ${made.groups.length} groups, ${kilobytes(size)} of LDIF`,
    );
  }
  const checks = await Promise.all(offices.map((office) => runHere(['--config', office.config, 'check'])));
  tell.check(
    'dirpost check finds no fault at any of them',
    checks.filter(({ code }) => code !== 0).map(({ out, err }) => out + err),
  );
}

export async function firstCycle(scene: Scene): Promise<void> {
  const { tell, hq, oslo, lima, travelled, offices } = scene;
  const ran = await countedCycle(scene, { waitSeconds: 30, held: true });
  tell.quote('oslo', ran[0]!, /^T/);
  tell.quote('hq', ran[2]!, /^T[02].*(people:|from oslo|from lima)/);
  tell.quote('hq', ran[3]!, /^T2.*verification from/);
  await approveFirstWrites(scene);
  const cycles = 1 + (await cyclesUntilInStep(scene));
  const statuses = await Promise.all(offices.map((office) => office.status()));
  for (const { postoffice, own } of statuses) {
    tell.fact(
      `${postoffice.padEnd(4)} publishes ${own.live}, digest ${own.digest}; has ${own.replica.live} of the others`,
    );
  }
  tell.check(inStep, await faultsEverywhere(scene));
  const files = await Promise.all([hq, oslo, lima].map(async (office) => (await stat(office.people)).size));
  const ldif = files.reduce((total, size) => total + size, 0);
  tell.fact(
    `${cycles} cycles, ${travelled.files} message files, ${kilobytes(travelled.bytes)}; sending three LDIF files to two others each would be ${kilobytes(2 * ldif)}`,
  );
}

/** Nothing is written into a directory before its administrator has said so. */
async function approveFirstWrites({ tell, offices }: Scene): Promise<void> {
  const present = await Promise.all(
    offices.map(({ network }) =>
      stat(network).then(
        () => true,
        () => false,
      ),
    ),
  );
  tell.check('nobody has written a network.ldif yet: the first write into a directory waits for approval', [
    ...same('written', present, [false, false, false]),
  ]);
  const approved = await Promise.all(offices.map((office) => office.must('approve', 'network')));
  for (const [i, office] of offices.entries()) tell.quote(office.name, approved[i]!, /^(Approved|T3.*wrote)/);
}

export async function changes(scene: Scene): Promise<void> {
  const { tell, hq, oslo, lima, staff, travelled } = scene;
  const people = staff.get(lima)!;
  const before = travelled.bytes;
  for (const person of people.people.slice(100, 130))
    person.telephoneNumber = `+51 1 ${person.telephoneNumber.slice(-6)}`;
  for (let i = 0; i < 20; i++) people.people.push(makePerson('lima', 10_000 + i));
  const leavers = people.people.splice(200, 10);
  const married = people.people[300]!;
  const oldDn = personDn(married, 'lima');
  Object.assign(married, { sn: 'Ñahui-Østby', uid: uidOf(married.givenName, 'Ñahui-Østby', 300) });
  const newcomer = people.people.at(-1)!;
  people.groups[0]!.members.push(newcomer.key);
  await lima.writePeople(people);
  tell.fact('at lima 30 telephone numbers change, 20 people come, 10 leave, one is renamed, one joins a group');

  const ran = await countedCycle(scene);
  tell.quote('lima', ran[1]!, /^T[01]/);
  tell.quote('hq', ran[2]!, /^T2.*from lima/);
  if ((await faultsEverywhere(scene)).length > 0) {
    const more = await countedCycle(scene);
    tell.quote('oslo', more[0]!, /^T3/);
    tell.quote('hq', more[3]!, /^T2.*verification from oslo/);
  }
  const atOslo = await readLdif(oslo.network);
  const place = (dn: string) => `${dn.split(',', 1)[0]},ou=lima,ou=network,dc=example,dc=org`;
  const moved = atOslo.get(place(personDn(married, 'lima')));
  tell.check(
    `at oslo ${place(oldDn).split(',', 1)[0]} is now ${place(personDn(married, 'lima')).split(',', 1)[0]}, the same entry`,
    [
      ...same('surname', moved?.get('sn'), ['Ñahui-Østby']),
      ...unless(!atOslo.has(place(oldDn)), 'the old DN is still there'),
    ],
  );
  const group = atOslo.get(`cn=${people.groups[0]!.cn},ou=lima,ou=network,dc=example,dc=org`);
  tell.check('the newcomer is in the group there, and nobody who left is anywhere', [
    ...unless(group?.get('member')?.includes(place(personDn(newcomer, 'lima'))) === true, 'not a member'),
    ...leavers.filter((one) => atOslo.has(place(personDn(one, 'lima')))).map(({ uid }) => `${uid} is still there`),
  ]);
  const { server } = await hq.status();
  const seqs = server!.requestors.map(({ name, verifiedSeq }) => `${name} ${verifiedSeq}`);
  tell.check(
    `verifications are back: server seq ${server!.seq}, verified by ${seqs.join(', ')}`,
    await faultsEverywhere(scene),
  );
  tell.fact(`${kilobytes(travelled.bytes - before)} travelled for it`);
}

export async function losses(scene: Scene): Promise<void> {
  const { tell, root, offices, hq, oslo, lima, staff } = scene;
  const kept = join(root, 'kept-copies');
  await mkdir(kept);
  const lose = async (office: Office) => {
    const files = await office.waiting();
    for (const file of files) {
      await copyFile(file, join(kept, `${office.name}-${basename(file)}`));
      await rm(file);
    }
    return files.length;
  };
  const people = staff.get(oslo)!;
  for (const person of people.people.slice(0, 50)) person.title = 'Director';
  people.people.splice(1_000, 5);
  await oslo.writePeople(people);
  await oslo.must('sync', '--wait', '0');
  const exchanges = await lose(hq);
  await oslo.must('sync', '--wait', '0');
  await hq.must('sync');
  const updates = (await lose(oslo)) + (await lose(lima));
  await lima.must('sync', '--wait', '0');
  await hq.must('dispatch');
  await lima.must('dispatch');
  const verifications = await lose(hq);
  tell.check(
    `lost on the way: ${exchanges} to hq, ${updates} to the branches, then ${verifications} with a verification`,
    [...unless(exchanges > 0 && updates > 0 && verifications > 0, 'nothing was lost')],
  );
  const cycles = await cyclesUntilInStep(scene);
  tell.check(
    `after ${cycles} more ${cycles === 1 ? 'cycle' : 'cycles'} nothing is missing: ${inStep}`,
    await faultsEverywhere(scene),
  );

  const before = await standing(offices);
  let repeats = 0;
  for (const office of offices) {
    await mkdir(office.inbox, { recursive: true });
    const names = (await readdir(kept)).sort().filter((name) => name.startsWith(`${office.name}-`));
    for (const name of names) {
      await copyFile(join(kept, name), join(office.inbox, name.slice(office.name.length + 1)));
      repeats++;
    }
    await office.must('dispatch');
  }
  tell.check(`the ${repeats} lost message files turn up after all, too late and out of order: nothing changes`, [
    ...same('digests', await standing(offices), before),
    ...unless(repeats === exchanges + updates + verifications, 'not all came back'),
  ]);
}

/** What must not move: seqs and digests. */
async function standing(offices: Office[]): Promise<unknown> {
  return Promise.all(offices.map(async (office) => standingOf(await office.status())));
}

function standingOf({ postoffice, own, server }: Status): unknown {
  const requestors = server?.requestors.map(({ name, acceptedSeq, ownerDigest }) => [name, acceptedSeq, ownerDigest]);
  return [postoffice, own.seq, own.digest, own.replica, server?.seq, requestors];
}

export async function damage(scene: Scene): Promise<void> {
  const { tell, hq, lima, staff, offices } = scene;
  const people = staff.get(lima)!;
  people.people[7]!.title = 'Captain';
  await lima.writePeople(people);
  await lima.must('sync', '--wait', '0');
  const before = await standing([hq]);
  const files = await hq.waiting();
  for (const file of files) await flipBit(file);
  const ran = await hq.run('dispatch');
  tell.fact(
    `lima changes a title; in what it sends to hq (message files: ${files.length}) a bit is flipped on the way`,
  );
  tell.quote('hq', ran, /corrupt/);
  const queue = await hq.json<{ queue: string; note: string }[]>('queue');
  const codes = queue.filter((one) => one.queue === 'corrupt').map(({ note }) => note.split(':', 1)[0]);
  tell.check('they are kept in corrupt with the reason, the command says so, and nothing else changed', [
    ...same('exit code', ran.code, 1),
    ...unless(files.length > 0, 'there was none'),
    ...same(
      'corrupt',
      codes,
      files.map(() => 'message-signature'),
    ),
    ...same('hq', await standing([hq]), before),
  ]);
  const cycles = await cyclesUntilInStep(scene);
  const titles = (await readLdif(offices[1]!.network)).get(
    `uid=${people.people[7]!.uid},ou=lima,ou=network,dc=example,dc=org`,
  );
  tell.check(
    `after ${cycles} more ${cycles === 1 ? 'cycle' : 'cycles'} the change has arrived all the same`,
    same('title', titles?.get('title'), ['Captain']),
  );
}

async function flipBit(file: string): Promise<void> {
  const bytes = await readFile(file);
  bytes[bytes.length >> 1]! ^= 1;
  await writeFile(file, bytes);
}

export async function backUpServer({ root, hq }: Scene): Promise<void> {
  await cp(hq.data, join(root, 'backup-of-hq'), { recursive: true });
}

export async function restoreServer(scene: Scene): Promise<void> {
  const { tell, root, hq, lima, staff } = scene;
  const before = (await hq.status()).server!;
  await rm(hq.data, { recursive: true });
  await cp(join(root, 'backup-of-hq'), hq.data, { recursive: true });
  const old = (await hq.status()).server!;
  tell.check(`the disk of hq breaks; its data folder is put back as it was ${before.seq - old.seq} changes ago`, [
    ...unless(old.seq < before.seq, `the copy is at seq ${old.seq} as well`),
  ]);
  const people = staff.get(lima)!;
  people.people.splice(50, 3);
  people.people.push(makePerson('lima', 20_000));
  await lima.writePeople(people);
  tell.fact('meanwhile three people leave lima and one comes; nobody types anything but sync and dispatch');
  const ran = await countedCycle(scene);
  tell.quote('hq', ran[2]!, /older copy/);
  const cycles = 1 + (await cyclesUntilInStep(scene));
  const after = (await hq.status()).server!;
  tell.check(`hq noticed it by itself and goes on as incarnation ${after.incarnation}`, [
    ...same('restores noticed', after.lives, old.lives + 1),
    ...unless(generationOf(after.incarnation) > generationOf(before.incarnation), 'the generation did not grow'),
  ]);
  tell.check(
    `after ${cycles} cycles nothing is lost and nobody has come back: ${inStep}`,
    await faultsEverywhere(scene),
  );
}

function generationOf(incarnation: string): number {
  return Number.parseInt(incarnation, 10);
}

export async function end(scene: Scene, startedMs: number): Promise<void> {
  const { tell, offices, travelled } = scene;
  const statuses = await Promise.all(offices.map((office) => office.status()));
  for (const { postoffice, own, server, corrupt } of statuses) {
    const known = statuses[0]!.server!.requestors.find(({ name }) => name === postoffice)!;
    const lives = server === null ? '' : `, restored ${server.lives} time`;
    tell.fact(
      `${postoffice.padEnd(4)} own digest ${own.digest} seq ${own.seq}; the server has ${known.ownerDigest} seq ${known.acceptedSeq}`,
    );
    tell.fact(`     replica    ${own.replica.digest}, ${own.replica.live} entries; ${corrupt} corrupt${lives}`);
  }
  tell.check(inStep, await faultsEverywhere(scene));
  tell.fact(`${travelled.files} message files and ${kilobytes(travelled.bytes)} travelled in all`);
  tell.line();
  const seconds = ((Date.now() - startedMs) / 1_000).toFixed(1);
  tell.line(`Everything with a ✓ was checked (${tell.checks} checks, ${seconds} s).`);
}

function kilobytes(bytes: number): string {
  return bytes < 10_000 ? `${bytes} B` : `${Math.round(bytes / 1_000)} kB`;
}
