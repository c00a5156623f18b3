/** YAML in one line, for configurations that dirpost writes. */
export interface Flow {
  [name: string]: string | number | Flow | undefined;
}

/** In one line; what is undefined is left out. */
export function flow(settings: Flow): string {
  const given = Object.entries(settings).flatMap(([name, value]) => {
    if (value === undefined) return [];
    return [`${name}: ${typeof value === 'object' ? flow(value) : typeof value === 'string' ? quoted(value) : value}`];
  });
  return `{ ${given.join(', ')} }`;
}

/** JSON strings are YAML, whatever stands in them. */
export function quoted(text: string): string {
  return /^[\w./=,-]+$/.test(text) && !/^[-.\d]*$/.test(text) ? text : JSON.stringify(text);
}
