/** Documents and examples that are made from the code, or read by it, are current and in order. */
import { readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { configurationFaults, parseConfiguration } from '../../packages/agent/src/config/load.ts';
import { documentPath, documents } from './make.ts';

const read = (name: string) => readFileSync(documentPath(name), 'utf8').replaceAll('\r\n', '\n');

it.each(Object.keys(documents))('%s is current (else: npm run docs)', (name) => {
  expect(read(name)).toBe(documents[name]!());
});

const examples = readdirSync(documentPath('deploy/examples')).filter((name) => name.endsWith('.yaml'));

describe('examples are configurations without a fault', () => {
  it('there are some', () => expect(examples).toEqual(expect.arrayContaining(['server.yaml', 'branch.yaml'])));
  it.each(examples)('deploy/examples/%s', (name) => {
    expect(configurationFaults(read(`deploy/examples/${name}`), resolve('/etc/dirpost'))).toEqual([]);
  });
});

describe.each([
  { network: 'by http and folders', serverFile: 'server.yaml', isOf: (name: string) => !name.startsWith('mail-') },
  { network: 'by mail', serverFile: 'mail-server.yaml', isOf: (name: string) => name.startsWith('mail-') },
])('examples fit together: $network', ({ serverFile, isOf }) => {
  const example = (name: string) => parseConfiguration(read(`deploy/examples/${name}`), resolve('/etc/dirpost'));
  const server = example(serverFile);
  const branches = examples.filter((name) => isOf(name) && name !== serverFile);
  const requestors = branches.map((name) => ({ name, ...example(name) }));

  it('there is one server', () => {
    expect(server.role).toBe('server');
    expect(requestors.length).toBeGreaterThan(0);
    const { http, mail } = server.transports;
    expect(mail ?? http).toMatchObject(
      mail === undefined ? { listen: expect.any(String), tls: expect.any(Object) } : { address: expect.any(String) },
    );
  });

  it.each(requestors)('$name: its server knows it, gives it a list, and is reached where it listens', (requestor) => {
    expect(requestor).toMatchObject({ role: 'requestor', server: server.postoffice });
    expect(Object.keys(server.requestors)).toContain(requestor.postoffice);
    expect(
      server.lists.filter(({ receivers }) => receivers === '*' || receivers.includes(requestor.postoffice)),
    ).toHaveLength(1);
    const { http, mail } = requestor.transports;
    if (http !== undefined) expect(http.url).toBe(server.transports.http?.address);
    if (mail !== undefined) expect(mail.peers).toEqual({ hq: server.transports.mail?.address });
  });

  it.each(requestors)('$name: the server lets it publish the kinds that it publishes', (requestor) => {
    const allowed = server.requestors[requestor.postoffice]?.publish.kinds;
    const publishing = requestor.directories.filter(({ direction }) => direction === 'publish');
    expect(publishing.length).toBeGreaterThan(0);
    const rooms = publishing.some(({ name }) => name === 'rooms');
    expect(allowed).toEqual(expect.arrayContaining(rooms ? ['person', 'resource'] : ['person']));
  });
});

describe('systemd units', () => {
  const units = readdirSync(documentPath('deploy/systemd'));
  /** Settings in their order, without comments. */
  const settings = (name: string) =>
    read(`deploy/systemd/${name}`)
      .split('\n')
      .filter((line) => /^[A-Z]\w*=/.test(line));

  it('there is one for a postoffice, and one for several', () => {
    expect(units.sort()).toEqual(['dirpost.service', 'dirpost@.service']);
  });

  it('both say the same', () => {
    const plain = settings('dirpost@.service').map((line) => line.replace(/, postoffice %i$|\/%i/, ''));
    expect(plain).toEqual(settings('dirpost.service'));
  });

  it.each(units)('%s: runs the agent on the configuration and in the data folder of the examples', (name) => {
    const own = name.includes('@') ? '/%i' : '';
    expect(settings(name)).toEqual(
      expect.arrayContaining([
        `ExecStart=/usr/bin/env dirpost run --config /etc/dirpost${own}/dirpost.yaml`,
        `StateDirectory=dirpost${own}`,
        'User=dirpost',
        'UMask=0077',
      ]),
    );
    const { dataFolder } = parseConfiguration(read('deploy/examples/server.yaml'), resolve('/etc/dirpost'));
    expect(dataFolder).toBe(resolve('/var/lib/dirpost'));
  });

  it.each(units)('%s: gives up every right that dirpost does not need', (name) => {
    expect(settings(name)).toEqual(
      expect.arrayContaining([
        'NoNewPrivileges=yes',
        'CapabilityBoundingSet=',
        'ProtectSystem=strict',
        'ProtectHome=yes',
        'PrivateTmp=yes',
        'SystemCallFilter=@system-service',
        'RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX',
      ]),
    );
  });

  it.each(units)('%s: waits longer than dirpost takes to stop', (name) => {
    const [, seconds] =
      settings(name)
        .map((line) => /^TimeoutStopSec=(\d+)$/.exec(line))
        .find(Boolean) ?? [];
    expect(Number(seconds)).toBeGreaterThan(10);
  });
});

/** Markdown files of the repository that administrators read. */
function pages(): string[] {
  const docs = readdirSync(documentPath('docs'), { recursive: true, encoding: 'utf8' });
  const root = readdirSync(documentPath('.')).filter((name) => name.endsWith('.md'));
  return [...root, ...docs.filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`)];
}

/** The ```yaml blocks of a page, with the line that each begins at. */
export function yamlBlocks(page: string): { line: number; text: string }[] {
  return [...page.matchAll(/^```ya?ml\n([\s\S]*?)^```/gm)].map((found) => ({
    line: page.slice(0, found.index).split('\n').length + 1,
    text: found[1]!,
  }));
}

/** A block that is a part of a configuration only lacks things; a whole one lacks nothing. */
export function blockFaults(text: string): string[] {
  const whole = /^postoffice:/m.test(text);
  return configurationFaults(text, resolve('/etc/dirpost'))
    .map(({ line, path, message }) => `${line} ${path}: ${message}`)
    .filter((fault) => whole || !/: is missing|follows no list/.test(fault));
}

describe('YAML in the documents is dirpost configuration', () => {
  const blocks = pages().flatMap((page) => yamlBlocks(read(page)).map(({ line, text }) => ({ page, line, text })));
  it.each(blocks)('$page:$line', ({ text }) => expect(blockFaults(text)).toEqual([]));

  it('a wrong block would be found', () => {
    const [block] = yamlBlocks('text\n\n```yaml\nretry: { exchangeAftr: 1m }\n```\n');
    expect(block?.line).toBe(4);
    expect(blockFaults(block!.text)).toEqual([expect.stringContaining('did you mean exchangeAfter?')]);
  });
});
