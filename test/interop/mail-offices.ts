/** The two postoffices of the command line's tests, moved from the exchange folder to mail. Commands run in this process. */
import { readFile, writeFile } from 'node:fs/promises';
import { contentFaults, digestFaults } from '../demo/contents.ts';
import type { Office } from '../demo/office.ts';
import { freshNetwork, type Network } from '../cli/network.ts';
import type { MailSystem } from '../servers/mail/system.ts';
import { addressOf, mailSettings, passwordOf, writePassword } from './mail-network.ts';

/** In step; hq and oslo. `hqPeers`: what hq believes of addresses. */
export async function mailOffices(mail: MailSystem, hqPeers?: Record<string, string>): Promise<Network> {
  const network = await freshNetwork();
  const { hq, oslo } = network;
  await moveToMail(hq, mail, hqPeers ?? { oslo: addressOf(oslo) });
  await moveToMail(oslo, mail, { hq: addressOf(hq) });
  return network;
}

export async function moveToMail(office: Office, mail: MailSystem, peers: Record<string, string>): Promise<void> {
  await writePassword(office, passwordOf(office));
  const text = await readFile(office.config, 'utf8');
  const transports = JSON.stringify({ mail: { ...mailSettings(mail, office), peers } });
  await writeFile(
    office.config,
    text.replace(/^transports:.*\n(?: .*\n)*/m, () => `transports: ${transports}\n`),
  );
}

/** One cycle, each after the mails of the one before have arrived. */
export async function mailCycle({ hq, oslo }: Network, mail: MailSystem): Promise<void> {
  await oslo.must('sync', '--wait', '0');
  await mail.settled();
  await hq.must('sync');
  await mail.settled();
  await oslo.must('dispatch');
  await mail.settled();
  await hq.must('dispatch');
  await mail.settled();
}

/** What is not in step; empty: all is. */
export async function faultsOf({ offices }: Network): Promise<string[]> {
  const faults = digestFaults(await Promise.all(offices.map((office) => office.status())));
  if (faults.length > 0) return faults;
  for (const office of offices) faults.push(...(await contentFaults(office, offices)));
  return faults;
}

/** How many cycles it took. */
export async function cyclesUntilInStep(network: Network, mail: MailSystem, most: number): Promise<number> {
  for (let cycles = 1; ; cycles++) {
    await mailCycle(network, mail);
    const faults = await faultsOf(network);
    if (faults.length === 0) return cycles;
    if (cycles === most) throw new Error(`not in step after ${most} cycles:\n  ${faults.slice(0, 10).join('\n  ')}`);
  }
}
