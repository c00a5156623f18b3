/** The part of the configuration that says what carries the message files, and how the http transport is reached. */
import { z } from 'zod';
import { path } from './fields.ts';
import { mail } from './mail.ts';

/** Host, or IPv6 address in brackets, and port; port 0 takes a free one. */
const LISTEN_PATTERN = /^(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):(\d{1,5})$/;

const listen = z
  .string()
  .refine(
    (text) => Number(LISTEN_PATTERN.exec(text)?.[1] ?? 65_536) <= 65_535,
    'must be an address and a port, such as 0.0.0.0:8943 or 127.0.0.1:8943',
  );

const httpAddress = z.url({ protocol: /^https?$/, error: 'must be an address such as https://hq.example.org:8943' });

const folder = z
  .strictObject({
    path: path.describe(
      'The exchange folder. dirpost never makes it, so that a stick that is not plugged in is noticed.',
    ),
  })
  .describe('A shared folder or a stick.');

const http = z
  .strictObject({
    listen: listen
      .optional()
      .describe('Server: address and port to listen on. Beyond this machine (127.0.0.1) it needs `tls`.'),
    address: httpAddress
      .optional()
      .describe('Server: how requestors reach it; stands in invitations. Default: made of `listen`.'),
    tls: z
      .strictObject({
        certificate: path.describe('PEM file: the certificate, and those between it and its authority.'),
        key: path.describe('PEM file: its private key.'),
      })
      .optional()
      .describe('Server: certificate. Both files are read again when they change.'),
    tlsAtProxy: z
      .boolean()
      .default(false)
      .describe('Server: something in front of it does TLS; then it may listen without.'),
    url: httpAddress.optional().describe('Requestor: address of the server.'),
    ca: path
      .optional()
      .describe(
        'Requestor: PEM file of the authority that signed the certificate of the server, if it is a private one.',
      ),
    proxy: httpAddress.optional().describe('Requestor: HTTP proxy on the way to the server.'),
    proxyLogin: path.optional().describe('Requestor: file with one line USER:PASSWORD for that proxy.'),
  })
  .describe('HTTP: the server listens, requestors post their message files and collect theirs.');

export const transportNames = ['http', 'mail', 'folder'] as const;
export type TransportName = (typeof transportNames)[number];

export const transports = z
  .strictObject({
    prefer: z
      .array(z.enum(transportNames))
      .optional()
      .describe(
        'Order in which they are tried. Default: http, mail, folder. An answer goes the way that its exchange came.',
      ),
    http: http.optional(),
    mail: mail.optional(),
    folder: folder.optional(),
  })
  .prefault({})
  .describe('What carries the message files.');

export type HttpConfiguration = z.output<typeof http>;
