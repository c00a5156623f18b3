/**
 * `npm run chaos -- --mail`: a network of real agents by mail, over a real Exim and Dovecot, all of which are killed in
 * turn while exchanges pass. It has to be as if nothing had happened.
 *
 *   join ─▶ in step ─▶ kills, changes ─▶ in step again ─▶ nothing waits ─▶ what was sent, what is left
 */
import { Network } from '../network/network.ts';
import { countFaults, waitingIn } from '../network/remains.ts';
import { resentFaults } from '../network/resent.ts';
import { mailServers } from '../servers/mail/programs.ts';
import { startMail } from '../servers/mail/system.ts';
import { INSTALL } from '../servers/programs.ts';
import { MailChaos } from './mail-chaos.ts';
import { mailNetworkOptions, mailUsers, namesOf } from './mail-network.ts';

const KILL_EACH_MS = 1_500;
const JOIN_WITHIN_MS = 120_000;
const AGREE_WITHIN_MS = 300_000;
const PROGRESS_EACH_MS = 15_000;

export interface MailChaosWanted {
  agents: number;
  exchanges: number;
  /** Of each: Exim, Dovecot, agents. */
  rounds: number;
  seed: string;
}

export interface MailChaosResult {
  table: Record<string, number>;
  violations: string[];
}

export async function chaosByMail(
  root: string,
  { agents, exchanges, rounds, seed }: MailChaosWanted,
  say: (text: string) => void,
): Promise<MailChaosResult> {
  const lacking = mailServers.lacks();
  if (lacking.length > 0) return { table: {}, violations: [...lacking, `to get them: ${INSTALL}`] };
  const branches = agents - 1;
  const mail = await startMail({ users: mailUsers(namesOf(branches)) });
  const network = new Network(await mailNetworkOptions(mail, { root, branches, seed, every: '2s' }));
  const chaos = new MailChaos({ network, mail }, { rounds, exchanges, killEachMs: KILL_EACH_MS }, seed);
  const violations: string[] = [];
  const table: Record<string, number> = { agents };
  const progress = setInterval(() => say(JSON.stringify(chaos.happened)), PROGRESS_EACH_MS);
  try {
    await network.make();
    await network.inStep(JOIN_WITHIN_MS);
    say(`${agents} agents have joined by mail and are in step; now they, Exim and Dovecot are killed`);
    const before = await network.statuses();
    await chaos.run();
    say('no more kills; it has to come to agree');
    table['agreed after (s)'] = (await network.inStep(AGREE_WITHIN_MS)) / 1_000;
    await network.until('nothing waits any more', () => waitingIn(network), AGREE_WITHIN_MS);
    violations.push(...countFaults(before, await network.statuses()), ...(await network.stopAll()));
    const watched = await resentFaults(network, network.told, true);
    violations.push(...watched.faults);
    Object.assign(table, { 'updates watched': watched.updates, messages: watched.messages });
  } catch (error) {
    violations.push(error instanceof Error ? error.message : String(error));
  } finally {
    clearInterval(progress);
    await network.close();
    await mail.stop();
  }
  violations.push(...network.surprises);
  const { exim, dovecot, agents: killed, changes, exchanges: passed } = chaos.happened;
  Object.assign(table, { 'kills of Exim': exim, 'kills of Dovecot': dovecot, 'kills of agents': killed });
  Object.assign(table, { exchanges: passed, 'people changed': changes });
  return { table, violations };
}
