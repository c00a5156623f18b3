/** dirpost, the deployable: configuration, the cycle, spool, keys, command line. */
export * from './agent.ts';
export * from './collect.ts';
export { type Configuration, configurationFaults, loadConfiguration, parseConfiguration } from './config/load.ts';
export * from './complete-reads.ts';
export * from './directory-state.ts';
export * from './dispatch.ts';
export * from './events.ts';
export { addPeer, exportPeer, parsePeer } from './peers.ts';
export * from './postoffice.ts';
export * from './process.ts';
export * from './routes.ts';
export * from './send.ts';
export * from './spool.ts';
export * from './write.ts';
