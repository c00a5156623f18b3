import { createHash, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer, type Server } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseConfiguration } from '../config/load.ts';
import { sampleConfiguration } from '../config/sample.ts';
import { fetchCertificate, reachable } from './server-address.ts';

/** Signed by itself, until 2126; of no use but here. */
const KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgT7MifQmfGATJEg4K
MMPVWdYVXA4qiHYzhQgdSIrROTKhRANCAAQGtV6QWDKtm1NWEveq0KV4Z4aYUNTK
VGVV1+GANzVgui3eP4BWP/phxH5A7FRIgkBuA7mUxoupIMQWMIf3A+51
-----END PRIVATE KEY-----
`;
const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBpDCCAUugAwIBAgIUNY0myDTrtoHa7A9HtPFrQ7+i5WEwCgYIKoZIzj0EAwIw
GTEXMBUGA1UEAwwOaHEuZXhhbXBsZS5vcmcwIBcNMjYxMTIxMDI1MTEyWhgPMjEy
NjEwMjgwMjUxMTJaMBkxFzAVBgNVBAMMDmhxLmV4YW1wbGUub3JnMFkwEwYHKoZI
zj0CAQYIKoZIzj0DAQcDQgAEBrVekFgyrZtTVhL3qtCleGeGmFDUylRlVdfhgDc1
YLot3j+AVj/6YcR+QOxUSIJAbgO5lMaLqSDEFjCH9wPudaNvMG0wHQYDVR0OBBYE
FNJquku5mEGRw4HsyiUTZnXSqUTQMB8GA1UdIwQYMBaAFNJquku5mEGRw4HsyiUT
ZnXSqUTQMA8GA1UdEwEB/wQFMAMBAf8wGgYDVR0RBBMwEYcEfwAAAYIJbG9jYWxo
b3N0MAoGCCqGSM49BAMCA0cAMEQCIEfVDellkGNBV8n/tWawhsZRdLBhqEfX/uXB
O2ESBheJAiBU3awsNGjz/JdG/1ExnxWsJ4jTNUyQY1DwuIMoW8E+oQ==
-----END CERTIFICATE-----
`;
const PIN = createHash('sha256').update(new X509Certificate(CERTIFICATE).raw).digest('hex');

let folder: string;
let server: Server;
let url: string;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dirpost-address-'));
  server = createServer({ key: KEY, cert: CERTIFICATE }, (socket) => void socket.on('error', () => {}));
  server.on('tlsClientError', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(() => {
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

const signal = new AbortController().signal;

describe('a certificate that an invitation names', () => {
  it('is fetched, and taken where it is the same', async () => {
    const pem = await fetchCertificate(url, PIN, signal);
    expect(new X509Certificate(pem).fingerprint256).toBe(new X509Certificate(CERTIFICATE).fingerprint256);
  });

  it('is refused where it is another', async () => {
    await expect(fetchCertificate(url, 'ab'.repeat(32), signal)).rejects.toMatchObject({
      code: 'peer-invalid',
      hint: expect.stringMatching(/do not go on/),
    });
  });

  it('that cannot be had is a transport that failed', async () => {
    await new Promise((resolve) => server.close(resolve));
    await expect(fetchCertificate(url, PIN, signal)).rejects.toMatchObject({
      code: 'transport-failed',
      retry: 'later',
    });
  });
});

describe('an invitation says how the server is reached', () => {
  const server = async (http: string) => {
    await writeFile(join(folder, 'hq.pem'), CERTIFICATE);
    const text = sampleConfiguration({ postoffice: 'hq', role: 'server', folder: '../exchange' });
    return reachable(parseConfiguration(text.replace('transports:', `transports:\n  http: ${http}`), folder));
  };
  const exchange = () => join(folder, '..', 'exchange');
  const tls = 'tls: { certificate: hq.pem, key: hq.key }';

  it('with the hash of a certificate that is signed by itself', async () => {
    const { addresses, certificate } = await server(`{ listen: "hq.example.org:8943", ${tls} }`);
    expect(addresses).toEqual({ http: 'https://hq.example.org:8943', pin: PIN, folder: exchange() });
    expect(certificate).toContain('BEGIN CERTIFICATE');
  });

  it('by the address that the configuration names', async () => {
    const { addresses } = await server(`{ listen: "0.0.0.0:8943", ${tls}, address: "https://hq.example.org" }`);
    expect(addresses).toMatchObject({ http: 'https://hq.example.org', pin: PIN });
  });

  it('and not by one that others cannot use', async () => {
    for (const listen of ['0.0.0.0:8943', '[::]:8943', '127.0.0.1:0']) {
      expect((await server(`{ listen: "${listen}", ${tls} }`)).addresses).toEqual({ folder: exchange() });
    }
  });

  it('a certificate that is not there is said', async () => {
    await expect(
      server('{ listen: "hq.example.org:1", tls: { certificate: none.pem, key: k } }'),
    ).rejects.toMatchObject({
      code: 'file-missing',
    });
  });
});
