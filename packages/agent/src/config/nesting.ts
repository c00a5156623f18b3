/**
 * How deep a text is nested, before the YAML parser reads it: that calls itself for each level, and a file of some kilobytes
 * that is nothing but levels would end the process.
 */
import { CST, Lexer } from 'yaml';

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
