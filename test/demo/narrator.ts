/** What the demo prints: numbered steps, one line per fact. A line with ✓ stands for something that was just checked. */
import type { Agent } from './agent.ts';
import type { Ran } from './office.ts';

const MAX_FAULTS_SHOWN = 5;

export class Narrator {
  checks = 0;
  #step = 0;
  #width: number;

  constructor(private readonly out: { write(text: string): unknown; columns?: number }) {
    this.#width = Math.max(80, out.columns ?? 120);
  }

  step(title: string): void {
    this.line();
    this.line(`${++this.#step}. ${title}`);
  }

  fact(text: string): void {
    this.line(`   ${text}`);
  }

  /** The lines of a command that match, as it printed them. */
  quote(who: string, { command, out }: Ran, pattern: RegExp): void {
    const short = command.replace(/--config \S+ /, '').replaceAll(/\S*\/dirpost-demo-\w+\//g, '');
    this.line(`   ${this.#cut(`${who}$ ${short}`)}`);
    for (const line of out.split('\n').filter((one) => pattern.test(one))) this.line(`     ${this.#cut(line)}`);
  }

  /** The last line of its log that matches; where there is no room, from the match on. */
  log(who: string, agent: Agent, pattern: RegExp): void {
    this.line(`   ${who}: the log of its agent`);
    const said = agent.log.findLast((line) => pattern.test(line)) ?? '';
    const fits = said.length <= this.#width - 6;
    this.line(`     ${this.#cut(fits ? said : `… ${said.slice(said.search(pattern))}`)}`);
  }

  /** Prints the claim if there are no faults; else the demo ends. */
  check(claim: string, faults: string[]): void {
    if (faults.length > 0) throw new ClaimFailed(claim, faults);
    this.checks++;
    this.line(`   ✓ ${claim}`);
  }

  line(text = ''): void {
    this.out.write(`${text}\n`);
  }

  #cut(text: string): string {
    const room = this.#width - 6;
    return text.length <= room ? text : `${text.slice(0, room - 1)}…`;
  }
}

/** Nothing where it holds. */
export function unless(holds: boolean, fault: string): string[] {
  return holds ? [] : [fault];
}

export function same(what: string, found: unknown, expected: unknown): string[] {
  const [a, b] = [JSON.stringify(found), JSON.stringify(expected)];
  return unless(a === b, `${what}: ${a} instead of ${b}`);
}

export class ClaimFailed extends Error {
  constructor(claim: string, faults: string[]) {
    const more = faults.length > MAX_FAULTS_SHOWN ? [`… and ${faults.length - MAX_FAULTS_SHOWN} more`] : [];
    super([`This should hold and does not: ${claim}`, ...faults.slice(0, MAX_FAULTS_SHOWN), ...more].join('\n  '));
  }
}
