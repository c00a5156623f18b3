/** Figures as a table that fits 100 columns. */
import type { JudgedFigure } from './run.ts';

export function formatTable(figures: JudgedFigure[]): string {
  const rows = figures.map(({ what, value, unit, peer, peerValue, ratio, goal, met }) => [
    what,
    `${formatNumber(value)} ${unit}`,
    peer === undefined || peerValue === undefined ? '' : `${peer}: ${formatNumber(peerValue)}`,
    ratio === null ? '' : `${ratio.toFixed(2)} ×`,
    goal === null ? '' : `${goal} ${met ? 'met' : 'MISSED'}`,
  ]);
  const widths = [32, 16, 26, 8, 14];
  return rows.map((row) => `  ${row.map((cell, i) => cell.padEnd(widths[i]!)).join('')}`.trimEnd()).join('\n');
}

function formatNumber(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString('en') : value.toPrecision(3);
}
