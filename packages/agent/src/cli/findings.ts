/** What `dirpost check` finds, wherever it looks. */
import { DirpostError } from '@dirpost/core';

export interface Finding {
  what: string;
  result: 'ok' | 'warning' | 'fault';
  text: string;
  mend?: string;
}

/** A check that throws is a finding. */
export async function finding(what: string, look: () => Promise<Finding[]>): Promise<Finding[]> {
  try {
    return await look();
  } catch (error) {
    if (!(error instanceof DirpostError)) throw error;
    const mend = error.hint === undefined ? {} : { mend: error.hint };
    return [{ what, result: 'fault', text: error.message, ...mend }];
  }
}
