import { describe, expect, it } from 'vitest';
import { createLog, type LogOptions } from './log.ts';

const CANARY = 'Kari Canary';
const DN = `cn=${CANARY},ou=Ødegård,dc=example,dc=org`;

function logging(options: Partial<LogOptions> = {}) {
  const lines: string[] = [];
  const clock = { nowMs: Date.parse('2026-11-21T03:14:07.123Z') };
  const log = createLog({
    format: 'readable',
    level: 'info',
    write: (line) => lines.push(line),
    now: () => clock.nowMs,
    ...options,
  });
  return { log, lines, clock, parsed: () => lines.map((line) => JSON.parse(line) as Record<string, unknown>) };
}

describe('a line', () => {
  it('for people has the time, T0 to T3, the level and the text', () => {
    const { log, lines } = logging();
    log.event({
      time: 'T2',
      level: 'info',
      text: 'exchange 12 from oslo: accepted 3 changes',
      details: { number: 12 },
    });
    log.line('info', 'ready');
    expect(lines).toEqual([
      '2026-11-21 03:14:07Z T2 info    exchange 12 from oslo: accepted 3 changes\n',
      '2026-11-21 03:14:07Z -- info    ready\n',
    ]);
  });

  it('as JSON has the same, and the details', () => {
    const { log, parsed } = logging({ format: 'json' });
    log.event({ time: 'T1', level: 'warning', text: 'no exchange', details: { number: 12, t: 'x', level: 1, msg: 2 } });
    const [line] = parsed();
    expect(line).toMatchObject({ level: 'warning', t: 'T1', msg: 'no exchange', number: 12 });
    expect(Date.parse(String(line!['time']))).toBeGreaterThan(0);
    expect(Object.keys(line!).sort()).toEqual(['level', 'msg', 'number', 't', 'time']);
  });

  it('is one line, whatever somebody made a transport or a directory say', () => {
    const { log, lines } = logging();
    log.event({ time: 'T3', level: 'error', text: 'a\r\nb\u001b[2Jc\u202e\n2026-01-01 00:00:00Z T2 info forged' });
    expect(lines.join('').match(/\n/g)).toHaveLength(1);
    // oxlint-disable-next-line no-control-regex
    expect(lines[0]).not.toMatch(/[\u0000-\u0009\u001b\u202e]/);
  });

  it('below the level is left out', () => {
    const { log, lines } = logging({ level: 'warning' });
    for (const level of ['error', 'warning', 'info'] as const) log.event({ time: 'T0', level, text: level });
    log.line('debug', 'debug');
    expect(lines.map((line) => line.slice(24, 31).trim())).toEqual(['error', 'warning']);
  });
});

describe('personal values', () => {
  const details = {
    directory: 'people',
    code: 'ldif-syntax',
    number: 12,
    dn: DN,
    to: { seq: 7, digest: '00ff', name: CANARY },
    answer: { mode: 'delta', changes: 3, refused: [{ dn: DN, reason: CANARY }] },
    reason: CANARY,
    mail: 'kari@canary.example',
    from: 'kari@canary.example',
    file: DN,
    bytes: Buffer.from(CANARY),
    list: [CANARY],
  };
  const text = `people was not read: line 7 of "${CANARY}" is wrong; ${DN}: no such entry; kari@canary.example is refused`;

  it.each(['readable', 'json'] as const)('never stand in a %s log above debug', (format) => {
    for (const level of ['error', 'warning', 'info'] as const) {
      const { log, lines } = logging({ format, level: 'info' });
      log.event({ time: 'T0', level, text, details });
      log.line(level, text, details);
      expect(lines.length).toBeGreaterThan(0);
      expect(lines.join('').toLowerCase()).not.toMatch(/canary|kari|ødegård/);
      expect(lines.join('')).toContain('no such entry');
    }
  });

  it('stand in debug', () => {
    for (const format of ['readable', 'json'] as const) {
      const { log, lines } = logging({ format, level: 'debug' });
      log.event({ time: 'T0', level: 'warning', text, details });
      expect(lines.join('')).toContain(CANARY);
    }
  });

  it('do not take with them what an administrator needs', () => {
    const { log, parsed } = logging({ format: 'json' });
    log.event({ time: 'T0', level: 'info', text: 'people: read 3 entries; 1 new, 0 changed', details });
    expect(parsed()[0]).toMatchObject({
      msg: 'people: read 3 entries; 1 new, 0 changed',
      directory: 'people',
      code: 'ldif-syntax',
      number: 12,
      to: { seq: 7, digest: '00ff' },
      answer: { mode: 'delta', changes: 3 },
    });
  });
});

it('what quotes no entry stays as it is: which mail of whom, and what the mail server said', () => {
  const { log, lines } = logging();
  const text = 'The mail "Automatic reply" from dirpost@oslo.test was left: "550 5.1.1 <dirpost@oslo.test>".';
  log.event({ time: 'T3', level: 'warning', text, quotesNoEntry: true, details: { name: CANARY } });
  expect(lines.join('')).toContain(text);
  log.event({ time: 'T3', level: 'info', text: `Mails go to dirpost@oslo.test. ${text}` });
  expect(lines.at(-1)).toContain('Mails go to (an address). The mail "…" from (an address) was left: "…".');
});

describe('a warning that stays the same', () => {
  it('is told once an hour', () => {
    const { log, lines, clock } = logging();
    const event = { time: 'T3', level: 'warning', text: 'folder: nothing could be collected' } as const;
    for (let minute = 0; minute < 120; minute++) {
      log.event(event);
      clock.nowMs += 60_000;
    }
    expect(lines).toHaveLength(2);
  });

  it('is told each time in debug, and what is no warning always', () => {
    const { log, lines } = logging({ level: 'debug' });
    for (let i = 0; i < 3; i++) log.event({ time: 'T3', level: 'warning', text: 'again' });
    expect(lines).toHaveLength(3);
    const other = logging();
    for (let i = 0; i < 3; i++) other.log.event({ time: 'T3', level: 'info', text: 'folder: works again' });
    expect(other.lines).toHaveLength(3);
  });
});
