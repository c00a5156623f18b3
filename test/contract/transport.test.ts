/** The transport contract against the adapters that need no server. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectMemoryTransports, FolderTransport } from '@dirpost/adapters';
import { CONTRACT_MAX_MESSAGE_BYTES, transportContract } from './transport.ts';

const maxMessageBytes = CONTRACT_MAX_MESSAGE_BYTES;

transportContract('folder', async () => {
  const root = await mkdtemp(join(tmpdir(), 'dirpost-folder-'));
  return {
    sender: new FolderTransport({ root, postoffice: 'oslo', maxMessageBytes }),
    receiver: new FolderTransport({ root, postoffice: 'hq', maxMessageBytes }),
    dispose: () => rm(root, { recursive: true, force: true }),
  };
});

transportContract('memory', async () => {
  const [sender, receiver] = connectMemoryTransports({ maxMessageBytes });
  return { sender, receiver, dispose: async () => {} };
});
