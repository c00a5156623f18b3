/** The thread that large transactions run in, with its own connection to the file. See large.ts for the other end. */
import { parentPort, workerData } from 'node:worker_threads';
import { pack, unpack } from './columns.ts';
import { openConnection } from './connection.ts';
import { storeError } from './errors.ts';
import { Session } from './session.ts';
import { carryError, type Answer, type Call, type WorkerData } from './worker-protocol.ts';

const port = parentPort!;
const { path, options } = workerData as WorkerData;
let session: Session | undefined;

port.on('message', (call: Call) => {
  let answer: Answer;
  try {
    answer = { result: run(call) };
  } catch (error) {
    answer = { error: carryError(storeError(error)) };
  }
  const transferred = 'result' in answer && answer.result !== null ? [answer.result.octets] : [];
  port.postMessage(answer, transferred);
  if (call.call === 'close') port.close();
});

function run(call: Call) {
  if (call.call === 'close') {
    session?.connection.close();
    return null;
  }
  // Opened by the first call, so that a failure is its answer.
  session ??= new Session(openConnection(path, options));
  if (call.call === 'perform') return pack(session.perform(call.method, unpack(call.args) as unknown[]));
  if (call.call === 'begin') session.begin(call.mode);
  else if (call.call === 'foldLog') session.connection.foldLog();
  else session[call.call]();
  return null;
}
