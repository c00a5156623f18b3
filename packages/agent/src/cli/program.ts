/** The command line. Each command has a file of its own; here they are named, and errors become words and exit codes. */
import { DirpostError } from '@dirpost/core';
import { Command, CommanderError, Option } from 'commander';
import { VERSION } from '../version.ts';
import { check } from './check.ts';
import { EXIT, type ExitCode, exitCodeOf, type Invocation, invocation } from './command.ts';
import { dispatchCommand } from './dispatch.ts';
import { entries } from './entries.ts';
import { exportCommand } from './export.ts';
import { init } from './init.ts';
import { listShow } from './list.ts';
import { messageShow } from './message.ts';
import { peerAdd, peerExport, peerList } from './peer.ts';
import { preview } from './preview.ts';
import { queue } from './queue.ts';
import { recover } from './recover.ts';
import { printable, printableJson, type Streams } from './screen.ts';
import { status } from './status.ts';
import { sync } from './sync.ts';
import { unlinkCommand } from './unlink.ts';

type Action<Arguments extends unknown[]> = (call: Invocation, ...args: Arguments) => Promise<ExitCode>;
/** Makes an action of ours into one of commander, which gives arguments, options and the command, in this order. */
type Run = <Arguments extends unknown[]>(action: Action<Arguments>) => (...args: unknown[]) => Promise<void>;

/** Resolves to the exit code. `streams` and the working directory are those of the process unless a test gives others. */
export async function main(
  argv: string[],
  streams: Streams = { out: process.stdout, err: process.stderr },
): Promise<number> {
  const interrupt = new AbortController();
  const stop = () => interrupt.abort(interrupted());
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  let code: number = EXIT.done;
  const run =
    <Arguments extends unknown[]>(action: Action<Arguments>) =>
    async (...args: unknown[]): Promise<void> => {
      const call = invocation(args.at(-1) as Command, streams, interrupt.signal);
      code = await action(call, ...(args.slice(0, -1) as Arguments));
    };
  try {
    await buildProgram(run, streams).parseAsync(argv);
  } catch (error) {
    code = tellError(interrupt.signal.aborted ? interrupt.signal.reason : error, streams, argv.includes('--json'));
  } finally {
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
  }
  return code;
}

function interrupted(): DirpostError {
  return new DirpostError('interrupted', 'Interrupted.', {
    retry: 'later',
    hint: 'What was done stays done, and nothing is lost: the next sync goes on from there.',
  });
}

function buildProgram(run: Run, streams: Streams): Command {
  const program = new Command('dirpost')
    .description('Directory synchronization by message files.')
    .version(VERSION)
    .option('-c, --config <file>', 'configuration file (default: dirpost.yaml, or $DIRPOST_CONFIG)')
    .option('--json', 'print one JSON document instead of text')
    .option('-v, --verbose', 'show details of what happens')
    .showHelpAfterError('(dirpost --help lists the commands)')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void streams.out.write(text),
      // It repeats what was typed.
      writeErr: (text) => void streams.err.write(printable(text, true)),
    })
    .addHelpText('after', '\nExit codes: 0 done, 1 failed, 2 wrong use or configuration, 3 something is held.');
  addSetUp(program, run);
  addCycle(program, run);
  addLooking(program, run);
  addRepair(program, run);
  return program;
}

function addSetUp(program: Command, run: Run): void {
  program
    .command('init')
    .argument('<name>', 'name of this postoffice, such as oslo')
    .description('make a postoffice here: configuration and keys')
    .addOption(
      new Option('--role <role>', 'directory server or requestor')
        .choices(['server', 'requestor'])
        .makeOptionMandatory(),
    )
    .option('--server <name>', 'name of the directory server (for a requestor)')
    .option('--publish <file>', 'LDIF file with the people of this office')
    .option('--key <attribute>', 'attribute that an entry keeps for life', 'entryUUID')
    .option('--subscribe <file>', 'LDIF file to write the people of the others to')
    .option('--container <dn>', 'DN under which they are written')
    .option('--folder <path>', 'exchange folder that carries the message files')
    .action(run(init));

  const peer = program.command('peer').description('other postoffices: their public keys');
  peer
    .command('export')
    .description('write the public file of this postoffice, to be carried to others')
    .option('--out <file>', 'file to write (default: standard output)')
    .action(run(peerExport));
  peer
    .command('add')
    .argument('<file>', 'public file of another postoffice')
    .description('trust another postoffice, after comparing its fingerprint')
    .option('--fingerprint <fingerprint>', 'the fingerprint as its administrator read it out')
    .option('--yes', 'trust it without being asked')
    .option('--replace', 'replace other keys that are known of it')
    .action(run(peerAdd));
  peer.command('list').description('list known postoffices and their fingerprints').action(run(peerList));

  program
    .command('check')
    .description('find what is wrong with configuration, keys, directories and transports, and say how to mend it')
    .action(run(check));
}

function addCycle(program: Command, run: Run): void {
  program
    .command('preview')
    .description('show what the next sync would publish and write; changes nothing')
    .option('--ldif', 'print what would be written as LDIF change records')
    .action(run(preview));
  program
    .command('sync')
    .description('run a whole cycle now: collect, send, process, dispatch')
    .option('--wait <seconds>', 'how long to wait for the answer of the server', '30')
    .action(run(sync));
  program
    .command('dispatch')
    .description('take and process what has arrived, send what is due')
    .action(run(dispatchCommand));
}

function addLooking(program: Command, run: Run): void {
  program
    .command('status')
    .description('show where this postoffice and, on the server, its requestors stand')
    .action(run(status));
  program.command('queue').description('list message files: waiting, deferred, corrupt').action(run(queue));
  const message = program.command('message').description('message files');
  message
    .command('show')
    .argument('<file>', 'a .dpm file, or the name of one in the spool')
    .description('open a message file and show what it says')
    .option('--header', 'only what stands on the outside; needs no key')
    .option('--changes <count>', 'how many changes to list', '20')
    .action(run(messageShow));
  program
    .command('entries')
    .argument('[filter]', 'RFC 4515 filter, such as "(cn=anna*)"')
    .description('list entries')
    .addOption(
      new Option('--of <table>', 'whose')
        .choices(['replica', 'published', 'collected'])
        .default('replica', 'replica, the copy of the list that this postoffice follows'),
    )
    .option('--limit <count>', 'at most so many', '50')
    .action(run(entries));
  const list = program.command('list').description('address lists (on the server)');
  list.command('show').argument('[name]', 'one list').description('show who receives what').action(run(listShow));
  program
    .command('export')
    .argument('[file]', 'LDIF file to write (default: standard output)')
    .description('write the replica as LDIF')
    .action(run(exportCommand));
}

function addRepair(program: Command, run: Run): void {
  program
    .command('unlink')
    .argument('<directory>', 'name of a directory in the configuration')
    .argument('<dn>', 'DN of the entry there')
    .description('forget which entry of the network an entry of a directory is')
    .action(run(unlinkCommand));
  program
    .command('recover')
    .description('go on after this postoffice stopped because of another copy')
    .option('--only-copy', 'I have made sure that no other copy of it runs')
    .action(run(recover));
}

function tellError(error: unknown, streams: Streams, json: boolean): ExitCode {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.wrongUse;
  if (!(error instanceof DirpostError)) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    streams.err.write(`dirpost: this is a fault of the program itself; please report it:\n${printable(text, true)}\n`);
    return EXIT.failed;
  }
  if (json) {
    const { code, message, hint, retry } = error;
    streams.err.write(`${printableJson({ error: { code, message, hint, retry } })}\n`);
  } else {
    streams.err.write(`dirpost: ${printable(error.message, true)}\n`);
    if (error.hint !== undefined) streams.err.write(`  ${printable(error.hint, true)}\n`);
  }
  return exitCodeOf(error);
}
