/**
 * The command line. Each command has a file of its own, which is loaded when the command is called; here they are named,
 * and errors become words and exit codes.
 */
import { Command, CommanderError, Option } from 'commander';
import { VERSION } from '../version.ts';
import { EXIT, type ExitCode, invocation, type Origin } from './command.ts';
import type { Action, Run } from './runs.ts';
import { printable, type Streams } from './screen.ts';
import { addSetUp } from './set-up-commands.ts';

const always = (): boolean => true;

/** Resolves to the exit code. `streams` and the working directory are those of the process unless a test gives others. */
export async function main(
  argv: string[],
  streams: Streams = { out: process.stdout, err: process.stderr },
): Promise<number> {
  const interrupt = new AbortController();
  const stop = () => void import('./failure.ts').then(({ interrupted }) => interrupt.abort(interrupted()));
  // Once: the second signal ends the process as signals do.
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  try {
    return await runCommand(argv.slice(2), streams, interrupt.signal);
  } finally {
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
  }
}

/** `argv`: without node and the program. `origin`: the command was typed elsewhere, and runs in this agent. */
export async function runCommand(
  argv: string[],
  streams: Streams,
  signal: AbortSignal,
  origin: Origin | null = null,
): Promise<ExitCode> {
  let code: ExitCode = EXIT.done;
  // As it was understood: what looks like an option may be an argument (after "--").
  let json = false;
  const run =
    <Arguments extends unknown[]>(
      load: () => Promise<Action<Arguments>>,
      runsInAgent: (...args: Arguments) => boolean = () => false,
    ) =>
    async (...args: unknown[]): Promise<void> => {
      const call = invocation(args.at(-1) as Command, argv, streams, signal, origin);
      json = call.screen.json;
      const given = args.slice(0, -1) as Arguments;
      const isStraight = origin === null && runsInAgent(...given);
      const there = isStraight ? await (await import('./straight.ts')).runStraight(call) : null;
      code = there ?? (await (await load())(call, ...given));
    };
  try {
    await buildProgram(run, streams).parseAsync(argv, { from: 'user' });
  } catch (error) {
    code = await tell(signal.aborted ? signal.reason : error, streams, json);
  }
  return code;
}

/** commander has written its own errors already. */
async function tell(error: unknown, streams: Streams, json: boolean): Promise<ExitCode> {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.wrongUse;
  return (await import('./failure.ts')).tellError(error, streams, json);
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

function addCycle(program: Command, run: Run): void {
  program
    .command('run')
    .description('run the agent: on its schedule and on arrival, until it is stopped (Ctrl-C, SIGTERM)')
    .option('--once', 'run one scheduled cycle and end, for a timer of the system')
    .action(run(async () => (await import('./run.ts')).run));
  program
    .command('preview')
    .description('show what the next sync would publish and write; changes nothing')
    .option('--ldif', 'print what would be written as LDIF change records')
    .action(run(async () => (await import('./preview.ts')).preview, always));
  program
    .command('sync')
    .description('run a whole cycle now: collect, send, process, dispatch')
    .option('--wait <seconds>', 'how long to wait for the answer of the server', '30')
    .option('--whole', 'read the directories whole, not only what changed in them')
    .action(run(async () => (await import('./sync.ts')).sync, always));
  program
    .command('dispatch')
    .description('take and process what has arrived, send what is due')
    .option('--again', 'ask directories again for the entries that they refused')
    .action(run(async () => (await import('./dispatch.ts')).dispatchCommand, always));
}

function addLooking(program: Command, run: Run): void {
  program
    .command('status')
    .description('show where this postoffice and, on the server, its requestors stand')
    .option('--alert', 'one line for a monitoring program; exit code 1 where somebody is needed')
    .action(run(async () => (await import('./status.ts')).status));
  program
    .command('queue')
    .description('list message files: waiting, deferred, corrupt')
    .action(run(async () => (await import('./queue.ts')).queue));
  const message = program.command('message').description('message files');
  message
    .command('show')
    .argument('<file>', 'a .dpm file, or the name of one in the spool')
    .description('open a message file and show what it says')
    .option('--header', 'only what stands on the outside; needs no key')
    .option('--changes <count>', 'how many changes to list', '20')
    .action(run(async () => (await import('./message.ts')).messageShow));
  program
    .command('held')
    .description('list what is held, with the limits that it is over, and first writes that wait')
    .addOption(new Option('--place <place>', 'only there').choices(['read', 'server', 'replica']))
    .option('--owner <name>', 'only entries of this postoffice')
    .option('--limit <count>', 'at most so many examples of each sort', '10')
    .action(run(async () => (await import('./held.ts')).held));
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
    .action(run(async () => (await import('./entries.ts')).entries));
  program
    .command('duplicates')
    .description('list entries that have the same mail, uid or employee number, here and across the network')
    .option('--attribute <name...>', 'other attributes (default: mail, uid, employeeNumber)')
    .option('--limit <count>', 'at most so many values', '50')
    .action(run(async () => (await import('./duplicates.ts')).duplicates));
  program
    .command('conflicts')
    .argument('[number]', 'one conflict')
    .description('list what was changed by hand or by others on both sides, and settle what waits')
    .addOption(new Option('--take <side>', 'settle it: that side wins').choices(['directory', 'network']))
    .option('--forget', 'remove it from the list')
    .option('--open', 'only those that wait')
    .option('--limit <count>', 'at most so many, the newest', '50')
    .action(
      run(
        async () => (await import('./conflicts.ts')).conflicts,
        (_number, { take, forget }) => take !== undefined || forget === true,
      ),
    );
  program
    .command('explain')
    .argument('<person>', 'entry id, mail address, name, uid, key, DN or RFC 4515 filter')
    .description('tell where the change of a person is, and why it is not where it should be')
    .option('--read', 'read the directories of this postoffice too, and say what the mapping makes of the entry')
    .action(run(async () => (await import('./explain.ts')).explain));
  const list = program.command('list').description('address lists (on the server)');
  list
    .command('show')
    .argument('[name]', 'one list')
    .description('show who receives what')
    .action(run(async () => (await import('./list.ts')).listShow));
  program
    .command('export')
    .argument('[file]', 'LDIF file to write (default: standard output)')
    .description('write the replica as LDIF')
    .action(run(async () => (await import('./export.ts')).exportCommand));
}

function addRepair(program: Command, run: Run): void {
  program
    .command('approve')
    .argument('[directory]', 'the first write into this directory; or what is held of its read')
    .description('let what is held happen: all of it, of one owner, of some entries; or a first write')
    .option('--all', 'everything that is held here (but no first write)')
    .option('--owner <name>', 'what is held of the entries of this postoffice')
    .option('--entry <id-or-dn...>', 'what is held of these entries')
    .addOption(new Option('--place <place>', 'only what is held there').choices(['read', 'server', 'replica']))
    .action(
      run(
        async () => (await import('./approve.ts')).approveCommand,
        // Without a choice it only shows what there is to choose from.
        (directory, { all, owner, entry }) => [directory, all, owner, entry].some((one) => one !== undefined),
      ),
    );
  program
    .command('backup')
    .argument('<file>', 'new file to make it in')
    .description('back up store, keys and configuration, sealed for the recovery key; an agent may be running')
    .option('--passphrase', 'seal it by a passphrase, which is asked for (or $DIRPOST_BACKUP_PASSPHRASE)')
    .option('--passphrase-file <file>', 'seal it by the passphrase in this file')
    .option('--passphrase-command <command>', 'seal it by the passphrase that this program prints')
    .option('--recipient <recipient...>', 'seal it for these age recipients (age1…)')
    .option('--plain', 'do not seal it: a folder, which holds private keys')
    .action(run(async () => (await import('./backup.ts')).backup));
  program
    .command('restore')
    .argument('<file>', 'a sealed backup')
    .description('make a postoffice of a sealed backup; it goes on as a new incarnation')
    .option('--replace', 'take the place of the postoffice that is there, which is kept aside')
    .option(
      '--passphrase-file <file>',
      'file with its passphrase (else it is asked for, or $DIRPOST_BACKUP_PASSPHRASE)',
    )
    .option('--passphrase-command <command>', 'program that prints its passphrase')
    .option('--recovery-key-file <file>', 'file with the recovery key (else it is asked for, or $DIRPOST_RECOVERY_KEY)')
    .option('--identity <file>', 'file with an age identity, where it was sealed for another recipient')
    .action(run(async () => (await import('./restore.ts')).restoreCommand));
  program
    .command('repair')
    .description('get everything anew that the network holds, and submit everything anew')
    .option('--new-store', 'also make a new store in place of a damaged one, which is kept aside')
    .action(
      run(
        async () => (await import('./repair.ts')).repair,
        ({ newStore }) => newStore !== true,
      ),
    );
  program
    .command('move')
    .description('on the server: announce other addresses, which requestors follow by themselves; or who knows them')
    .option('--http <url>', 'what requestors call from now on, such as https://hq2.example.org:8943')
    .option('--certificate <file>', 'PEM file of its certificate, where that is its own authority')
    .option('--mail <address>', 'its mail address from now on')
    .option('--answer', 'on the old machine, after the move: only tell those who still call here')
    .option('--back', 'on the old machine: the server lives here after all')
    .action(run(async () => (await import('./move.ts')).move));
  program
    .command('unlink')
    .argument('<directory>', 'name of a directory in the configuration')
    .argument('<dn>', 'DN of the entry there')
    .description('forget which entry of the network an entry of a directory is')
    .option('--entry <id>', 'where it may be several: the entry of the network that it is not')
    .option('--as-new', 'of an entry that is published: it leaves the network, and comes as a new one')
    .action(run(async () => (await import('./unlink.ts')).unlinkCommand, always));
  program
    .command('link')
    .argument('<directory>', 'name of a directory in the configuration')
    .argument('<dn>', 'DN of the entry there')
    .description('take back what unlink said: these two may be the same entry again')
    .action(run(async () => (await import('./unlink.ts')).linkCommand, always));
  const directory = program.command('directory').description('directories of this postoffice');
  directory
    .command('remove')
    .argument('<name>', 'name that it had in the configuration')
    .description('say what becomes of what a directory published, or got, that leaves the configuration')
    .option('--keep', 'what it published stays published; what was written into it stays there')
    .option(
      '--withdraw',
      'what it published leaves the network; what was written into it is removed, while it is configured',
    )
    .action(
      run(
        async () => (await import('./directory.ts')).directoryRemove,
        (_name, { keep, withdraw }) => (keep === true) !== (withdraw === true),
      ),
    );
  program
    .command('recover')
    .description('go on after this postoffice stopped because of another copy')
    .option('--only-copy', 'I have made sure that no other copy of it runs')
    .action(
      run(
        async () => (await import('./recover.ts')).recover,
        ({ onlyCopy }) => onlyCopy === true,
      ),
    );
}
