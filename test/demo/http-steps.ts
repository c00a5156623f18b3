/**
 * The steps of the demo over HTTP: three agents run, and what an administrator, a bad line or a broken export would do
 * happens to them. Each step looks at the files that were written and at `dirpost status --json` of every office.
 */
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AgentScene } from './agent-scene.ts';
import { readLdif } from './contents.ts';
import type { HttpScene } from './http-scene.ts';
import { same, unless } from './narrator.ts';
import type { Office } from './office.ts';
import { makePerson, type Person, personDn, uidOf } from './people.ts';

export const inStep = 'digests are equal everywhere, and every network.ldif holds exactly what the others own';

/** Otherwise hq and oslo would each hold what was approved at lima, and want a word of their own. */
export const LEAVE_IT_TO_THE_SENDER = 'holds: { removals: { percent: 100 }, lostMembers: { percent: 100 } }\n';

/** Where a person of `owner` stands at the others. */
const place = (person: Person, { name }: Office) =>
  `${personDn(person, name).split(',', 1)[0]},ou=${name},ou=network,dc=example,dc=org`;

const isThere = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  );

export async function makeServer(scene: HttpScene): Promise<void> {
  const { tell, hq, relay } = scene;
  await relay.open();
  await scene.makePeople();
  const ways = ['--listen', '127.0.0.1:0', '--address', relay.url, '--folder', '../exchange'];
  await scene.here(hq).must('init', 'hq', '--role', 'server', ...scene.directories(hq), ...ways);
  await scene.quicken(hq, LEAVE_IT_TO_THE_SENDER);
  await scene.run(hq);
  tell.log('hq', scene.agent(hq), /ready/);
  tell.check('hq listens', unless(relay.target !== null, 'it does not'));
}

export async function joinBranches(scene: HttpScene): Promise<void> {
  const { tell, hq, oslo, lima } = scene;
  for (const branch of [oslo, lima]) {
    const file = join(scene.root, `${branch.name}.invitation`);
    await scene.here(hq).must('invite', branch.name, '--out', file);
    const join_ = (invitation: string) => branch.run('join', '--file', invitation, ...scene.directories(branch));
    if (branch === oslo) {
      const cut = `${file}.cut`;
      const line = await readFile(file, 'utf8');
      await writeFile(cut, line.slice(0, line.length >> 1));
      const refused = await join_(cut);
      tell.check('half of an invitation, as a mail program may leave it, is refused before anything is made', [
        ...same('exit code', refused.code === 0, false),
        ...unless(!(await isThere(branch.config)), 'there is a configuration'),
      ]);
    }
    const joined = await join_(file);
    tell.quote(branch.name, joined, /has joined/);
    await scene.quicken(branch, branch === oslo ? LEAVE_IT_TO_THE_SENDER : '');
  }
  const { requestors } = await hq.json<{ requestors: { name: string; state: string }[] }>('requestor', 'list');
  const known = requestors.filter(({ state }) => state === 'active').map(({ name }) => name);
  tell.check(
    'hq knows oslo and lima; nobody copied a key or typed an address',
    same('joined', known.sort(), ['lima', 'oslo']),
  );
}

export async function firstCycle(scene: AgentScene): Promise<void> {
  const { tell, offices, oslo, lima } = scene;
  await scene.run(oslo, lima);
  await scene.until('both have the people of the others', async () => {
    const statuses = await Promise.all([oslo, lima].map((office) => office.status()));
    return statuses.flatMap(({ postoffice, own }) =>
      unless(own.replica.live > 300, `${postoffice} has ${own.replica.live}`),
    );
  });
  const written = await Promise.all(offices.map(({ network }) => isThere(network)));
  tell.check(
    'all know each other’s people, and no file was written: the first write into a directory waits for a word',
    same('written', written, [false, false, false]),
  );
  const approved = await Promise.all(offices.map((office) => office.must('approve', 'network')));
  for (const [i, office] of offices.entries()) tell.quote(office.name, approved[i]!, /^Approved/);
  await scene.inStep();
  for (const { postoffice, own } of await Promise.all(offices.map((office) => office.status()))) {
    tell.fact(
      `${postoffice.padEnd(4)} publishes ${own.live}, digest ${own.digest}; has ${own.replica.live} of the others`,
    );
  }
  tell.check(inStep, await scene.faults());
}

export async function change(scene: AgentScene): Promise<void> {
  const { tell, lima, oslo, hq, staff } = scene;
  const people = staff.get(lima)!;
  for (const person of people.people.slice(100, 130))
    person.telephoneNumber = `+51 1 ${person.telephoneNumber.slice(-6)}`;
  for (let i = 0; i < 10; i++) people.people.push(makePerson('lima', 10_000 + i));
  const leavers = people.people.splice(50, 5);
  const married = people.people[60]!;
  const before = place(married, lima);
  Object.assign(married, { sn: 'Ñahui-Østby', uid: uidOf(married.givenName, 'Ñahui-Østby', 60) });
  await lima.writePeople(people);
  tell.fact('at lima 30 telephone numbers change, 10 people come, 5 leave, one marries. Nobody types anything.');
  const seconds = await scene.inStep();
  const atOslo = await readLdif(oslo.network);
  tell.check(
    `after ${seconds} s oslo has it: ${before.split(',', 1)[0]} is ${place(married, lima).split(',', 1)[0]} now, the same entry`,
    [
      ...same('surname', atOslo.get(place(married, lima))?.get('sn'), ['Ñahui-Østby']),
      ...unless(!atOslo.has(before), 'the old DN is there, too'),
      ...leavers.filter((one) => atOslo.has(place(one, lima))).map(({ uid }) => `${uid} is still there`),
    ],
  );
  const explained = await scene.here(hq).run('explain', `${married.uid}@lima.example.org`);
  tell.check('dirpost explain at hq finds her by her new address', [
    ...same('exit code', explained.code, 0),
    ...unless(explained.out.includes(married.uid), explained.out),
  ]);
}

export async function cutsAndKills(scene: HttpScene): Promise<void> {
  const { tell, relay, hq, oslo, lima, staff } = scene;
  const cutsBefore = relay.cutCount;
  relay.cutNext('posted', 0.5, 2);
  const people = staff.get(oslo)!;
  for (const person of people.people.slice(0, 80)) person.title = 'Director';
  await oslo.writePeople(people);
  await scene.until('two connections are cut', () => unless(relay.cutCount >= cutsBefore + 2, `${relay.cutCount} cut`));
  tell.check(
    'oslo changes 80 titles; the line is cut twice, in the middle of a message file',
    same('cuts', relay.cutCount - cutsBefore, 2),
  );
  const killed = [hq, lima, oslo];
  for (const office of killed) {
    people.people.push(makePerson('oslo', 20_000 + people.people.length));
    await oslo.writePeople(people);
    await scene.agent(office).kill();
    await scene.run(office);
  }
  tell.check(
    `kill -9, at moments that nobody chose: ${killed.map(({ name }) => name).join(', ')}; each is started again`,
    killed.flatMap((office) => same(office.name, scene.agent(office).starts, 2)),
  );
  await scene.inStep();
  const statuses = await Promise.all(scene.offices.map((office) => office.status()));
  tell.check(`nothing was lost: ${inStep}`, [
    ...(await scene.faults()),
    ...statuses.flatMap(({ postoffice, corrupt }) => same(`corrupt at ${postoffice}`, corrupt, 0)),
  ]);
}

interface Held {
  groups: { effects: { effect: string; held: number }[] }[];
}

const removalsHeld = async (office: Office): Promise<number> => {
  const { groups } = await office.json<Held>('held');
  return groups
    .flatMap(({ effects }) => effects)
    .reduce((sum, { effect, held }) => sum + (effect === 'removals' ? held : 0), 0);
};

export async function massRemoval(scene: AgentScene): Promise<void> {
  const { tell, lima, hq, oslo, staff } = scene;
  const people = staff.get(lima)!;
  const whole = [...people.people];
  const atOslo = async () =>
    [...(await readLdif(oslo.network)).keys()].filter((dn) => /^uid=.*,ou=lima,/.test(dn)).length;

  people.people = whole.slice(0, 120);
  await lima.writePeople(people);
  const gone = whole.length - 120;
  await scene.until('lima holds them', async () => same('held', await removalsHeld(lima), gone));
  tell.fact(`the export of lima breaks off: ${gone} of its ${whole.length} people are not in it`);
  tell.log('lima', scene.agent(lima), /held: \d+ removals/);
  tell.check('lima holds the removals, and says so with exit code 3; at hq and oslo nobody vanishes', [
    ...same('exit code', (await scene.here(lima).run('status')).code, 3),
    ...same('people of lima at oslo', await atOslo(), whole.length),
  ]);
  people.people = [...whole];
  await lima.writePeople(people);
  await scene.until('nothing is held any more', async () => same('held', await removalsHeld(lima), 0));
  tell.check('the export is mended: nothing is held any more, and nobody was ever missing', await scene.faults());

  people.people = whole.slice(0, 140);
  await lima.writePeople(people);
  const leaving = whole.length - 140;
  await scene.until('lima holds them', async () => same('held', await removalsHeld(lima), leaving));
  tell.quote('lima', await lima.run('held', '--limit', '2'), /removals/);
  tell.quote('lima', await lima.must('approve', '--all'), /^Approved/);
  await scene.inStep();
  tell.check(`this time they have really left: approved at lima, the ${leaving} are gone everywhere`, [
    ...same('people of lima at oslo', await atOslo(), 140),
    ...same('held at hq', await removalsHeld(hq), 0),
  ]);
}

export async function withoutHttp(scene: HttpScene): Promise<void> {
  const { tell, relay, hq, oslo, staff } = scene;
  const sentAnew = async () =>
    (await hq.status()).server!.requestors.map(({ name, counts }) => [name, counts['fulls'], counts['repairs']]);
  const before = await sentAnew();
  relay.shut();
  const people = staff.get(oslo)!;
  for (const person of people.people.slice(90, 120)) person.title = 'Pilot';
  await oslo.writePeople(people);
  const told = () => scene.agent(oslo).log.some((line) => line.includes('go by folder instead of http'));
  await scene.until('oslo takes the folder', () => unless(told(), 'it does not'));
  const seconds = await scene.inStep();
  const { connections } = relay;
  tell.fact('HTTP is gone altogether. There is an exchange folder as well, and oslo changes 30 titles.');
  tell.log('oslo', scene.agent(oslo), /go by folder instead of http/);
  tell.check(`by the folder alone all are in step again, ${seconds} s later; nothing had to be sent anew`, [
    ...(await scene.faults()),
    ...same('connections meanwhile', relay.connections, connections),
    ...same('everything sent, and repaired', await sentAnew(), before),
  ]);
  relay.restore();
  for (const person of people.people.slice(120, 130)) person.title = 'Pilot';
  await oslo.writePeople(people);
  const back = () => scene.agent(oslo).log.some((line) => line.includes('go by http instead of folder'));
  await scene.until('oslo takes http again', () => unless(back(), 'it does not'));
  await scene.inStep();
  tell.log('oslo', scene.agent(oslo), /go by http instead of folder/);
  tell.check('HTTP is back, and taken again by itself', await scene.faults());
}

export async function end(scene: AgentScene, startedMs: number): Promise<void> {
  const { tell, offices } = scene;
  const statuses = await Promise.all(offices.map((office) => office.status()));
  for (const { postoffice, own } of statuses) {
    const known = statuses[0]!.server!.requestors.find(({ name }) => name === postoffice)!;
    tell.fact(`${postoffice.padEnd(4)} own digest ${own.digest}; the server has ${known.ownerDigest}`);
  }
  tell.check(inStep, await scene.faults());
  tell.check(
    'asked to stop (SIGTERM), all agents end with exit code 0',
    same('exit codes', await scene.stopAll(), [0, 0, 0]),
  );
  tell.line();
  const seconds = ((Date.now() - startedMs) / 1_000).toFixed(1);
  tell.line(`Everything with a ✓ was checked (${tell.checks} checks, ${seconds} s).`);
}
