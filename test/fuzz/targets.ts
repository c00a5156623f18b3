/** All that is fuzzed. */
import type { Target } from './target.ts';
import { backupTargets } from './targets/backups.ts';
import { fileTargets } from './targets/files.ts';
import { keyTargets } from './targets/keys.ts';
import { ldapTargets } from './targets/ldap.ts';
import { lineTargets } from './targets/lines.ts';
import { mailTargets } from './targets/mail.ts';
import { messageTargets } from './targets/messages.ts';
import { nameTargets } from './targets/names.ts';
import { relayedTargets } from './targets/relayed.ts';
import { textTargets } from './targets/texts.ts';

export const targets: readonly Target[] = [
  ...messageTargets,
  ...relayedTargets,
  ...fileTargets,
  ...textTargets,
  ...ldapTargets,
  ...mailTargets,
  ...lineTargets,
  ...nameTargets,
  ...backupTargets,
  ...keyTargets,
];

export function targetNamed(name: string): Target | undefined {
  return targets.find((target) => target.name === name);
}
