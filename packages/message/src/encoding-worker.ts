/** A thread that makes columns. See encoding-threads.ts for the other end. */
import { parentPort, workerData } from 'node:worker_threads';
import { type CarriedTask, carriedTask } from './carried-task.ts';
import type { ThreadAnswer, ThreadData } from './encoding-threads.ts';
import { makeColumns } from './payload.ts';

const port = parentPort!;
const { limits } = workerData as ThreadData;

port.on('message', (carried: CarriedTask) => {
  const answer = answerTo(carried);
  const octets = 'columns' in answer && answer.columns !== null ? [answer.columns.buffer as ArrayBuffer] : [];
  port.postMessage(answer, octets);
});

function answerTo(carried: CarriedTask): ThreadAnswer {
  try {
    const columns = makeColumns(carriedTask(carried), limits);
    // With a copy: what is transferred must not be of a pool.
    return { columns: columns === undefined ? null : Uint8Array.from(columns) };
  } catch {
    // What was asked of it cannot be made: the main thread tries, and says so.
    return { failed: true };
  }
}
