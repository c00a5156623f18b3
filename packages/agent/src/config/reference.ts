/**
 * The reference page and the JSON Schema, made from the schema (`npm run docs` writes them; a test says when they are
 * not current).
 */
import { configurationJsonSchema, type JsonSchema } from './schema.ts';

/** docs/dirpost.schema.json */
export function configurationSchemaDocument(): string {
  return `${JSON.stringify({ title: 'dirpost', ...configurationJsonSchema() }, null, 2)}\n`;
}

/** docs/configuration.md */
export function configurationReference(): string {
  const lines = [
    '# Configuration',
    '',
    '<!-- Made from the schema by `npm run docs`; do not edit. -->',
    '',
    'One YAML file per postoffice, `dirpost.yaml`; `dirpost init` writes a commented one. Paths are seen from the folder of',
    'the file. Unknown settings are refused, and `dirpost check` tells all faults at once, with their lines. Durations are',
    'written `30s`, `15m`, `12h`, `90d`; sizes `512 KiB`, `8 MiB`. For editors that check while you type, put this line at',
    'the top of the file:',
    '',
    '```yaml',
    '# yaml-language-server: $schema=dirpost.schema.json',
    '```',
    '',
    'Examples: [the server](../deploy/examples/server.yaml), [a branch](../deploy/examples/branch.yaml), [a branch with a',
    'spreadsheet and a program](../deploy/examples/csv.yaml), [a server](../deploy/examples/mail-server.yaml) and [a',
    'branch](../deploy/examples/mail-branch.yaml) that have nothing in common but mail, [a branch with',
    'OpenLDAP](../deploy/examples/openldap.yaml), [one with Active Directory](../deploy/examples/ad.yaml), [one that is',
    'published from and written into](../deploy/examples/both.yaml).',
    '',
    ...section('', configurationJsonSchema(), new Map()),
  ];
  return `${lines.join('\n').trimEnd()}\n`;
}

/** As the usual readers of Markdown make it of a heading. */
function anchorOf(title: string): string {
  return title
    .toLowerCase()
    .replace(/[^\w -]/g, '')
    .replaceAll(' ', '-');
}

interface Nested {
  title: string;
  schema: JsonSchema;
}

/** A table of settings, followed by the tables of what is nested in them. */
function section(title: string, schema: JsonSchema, told: Map<string, string>): string[] {
  // The same group at another place (a login) is not told again.
  const { description, ...rest } = schema;
  const text = JSON.stringify(rest);
  const earlier = told.get(text);
  if (earlier !== undefined)
    return [`## \`${title}\``, '', `As [${earlier}](#${anchorOf(earlier)}). ${description ?? ''}`.trimEnd(), ''];
  told.set(text, title);
  const settings = Object.entries(schema.properties ?? {});
  const nested = settings.flatMap(([name, one]) => nestedOf(title === '' ? name : `${title}.${name}`, one));
  return [
    `## ${title === '' ? 'The file' : `\`${title}\``}`,
    '',
    ...(description === undefined || title === '' ? [] : [description, '']),
    '| setting | value | default | what it says |',
    '|---|---|---|---|',
    ...settings.map(([name, one]) => row(name, one, schema.required?.includes(name) ?? false)),
    '',
    ...nested.flatMap((one) => section(one.title, one.schema, told)),
  ];
}

function nestedOf(title: string, schema: JsonSchema): Nested[] {
  const values = schema.additionalProperties;
  if (schema.items !== undefined) return nestedOf(`${title}[]`, schema.items);
  if (schema.oneOf !== undefined)
    return schema.oneOf.flatMap((one) =>
      one.oneOf === undefined ? [{ title: `${title} ${constants(one)}`, schema: one }] : nestedOf(title, one),
    );
  if (schema.properties !== undefined) return [{ title, schema }];
  if (typeof values === 'object' && values.properties !== undefined) return nestedOf(`${title}.NAME`, values);
  return [];
}

/** What tells one choice from another: "type: ldif, direction: publish", "method: simple". */
function constants(schema: JsonSchema): string {
  const told = ['type', 'direction', 'method'].flatMap((name) => {
    const value = schema.properties?.[name]?.const;
    return value === undefined ? [] : [`${name}: ${plain(value)}`];
  });
  return told.length === 0 ? '' : `(${told.join(', ')})`;
}

function row(name: string, schema: JsonSchema, required: boolean): string {
  const byDefault = schema.default === undefined ? '' : inline(JSON.stringify(schema.default));
  const cells = [inline(name), valueOf(schema), required ? '**required**' : byDefault, schema.description ?? ''];
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

function valueOf(schema: JsonSchema): string {
  if (schema.const !== undefined) return inline(plain(schema.const));
  if (schema.enum !== undefined) return schema.enum.map((one) => inline(plain(one))).join(', ');
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices !== undefined) return [...new Set(choices.map(valueOf))].join(' or ');
  if (schema.items !== undefined) return `list of ${valueOf(schema.items)}`;
  if (Array.isArray(schema.type)) return schema.type.map(typeName).join(' or ');
  if (schema.pattern?.includes('(ms|s|m|h|d)')) return 'duration';
  if (schema.pattern?.includes('KiB')) return 'size';
  return typeName(schema.type ?? 'any');
}

function typeName(type: string): string {
  const names: Record<string, string> = {
    string: 'text',
    integer: 'number',
    boolean: '`true`, `false`',
    object: 'settings',
  };
  return names[type] ?? type;
}

function inline(text: string): string {
  return `\`${text}\``;
}

/** Of a constant. */
function plain(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
