/**
 * What YAML allows, no configuration needs, and would end the process: many levels, before the parser reads them, since it calls
 * itself for each; and keys that are no texts, before they become texts, each twice as long as what is in it.
 */
import { CST, type Document, isNode, isPair, isScalar, Lexer, visit } from 'yaml';

/** Of brackets in brackets. */
const MAX_BRACKETS = 100;
/** In blocks each level begins further to the right, or at most two in one column. */
const MAX_COLUMN = 500;

/** The line, from 1, in which it becomes too deep; null: it does not. */
export function tooDeepAt(text: string): number | null {
  let [line, column, brackets] = [1, 0, 0];
  for (const lexeme of new Lexer().lex(text)) {
    switch (CST.tokenType(lexeme)) {
      case 'flow-map-start':
      case 'flow-seq-start':
        if (++brackets > MAX_BRACKETS) return line;
        break;
      case 'flow-map-end':
      case 'flow-seq-end':
        brackets = Math.max(0, brackets - 1);
        break;
      case 'seq-item-ind':
      case 'explicit-key-ind':
      case 'map-value-ind':
        if (brackets === 0 && column > MAX_COLUMN) return line;
        break;
    }
    for (const char of lexeme) {
      column = char === '\n' ? 0 : column + 1;
      if (char === '\n') line++;
    }
  }
  return null;
}

/** The offset of a key that is a list, a table or an alias; null: there is none. */
export function strangeKeyAt(document: Document.Parsed): number | null {
  let found: number | null = null;
  visit(document, {
    Pair(_, pair) {
      if (!isPair(pair) || pair.key === null || isScalar(pair.key)) return undefined;
      found = (isNode(pair.key) ? pair.key.range?.[0] : undefined) ?? 0;
      return visit.BREAK;
    },
  });
  return found;
}
