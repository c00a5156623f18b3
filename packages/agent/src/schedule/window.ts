/** The run window: the times of day of a zone between which scheduled work may start; it may reach over midnight. */
import { DAY_MS, MINUTE_MS, modulo, type Zone } from './zone.ts';

export interface RunWindow {
  /** Of the day, ms; the length is more than 0 and less than a day. */
  startMs: number;
  lengthMs: number;
  isOpen(atMs: number): boolean;
  /** The same moment while it is open. */
  opening(atMs: number): number;
}

/** `text`: as in the configuration, such as 22:00-05:00. */
export function openWindow(text: string, zone: Zone): RunWindow {
  const [startMs, endMs] = text.split('-').map(timeOfDay) as [number, number];
  const lengthMs = modulo(endMs - startMs, DAY_MS);
  const isOpen = (atMs: number) => modulo(zone.wallAt(atMs) - startMs, DAY_MS) < lengthMs;
  const opening = (atMs: number): number => {
    if (isOpen(atMs)) return atMs;
    const wallMs = zone.wallAt(atMs);
    const openingMs = zone.momentOf(wallMs + DAY_MS - modulo(wallMs - startMs, DAY_MS));
    // Where clocks are set back over the opening, its first moment is past, and the second is the wall's next.
    return openingMs > atMs ? openingMs : atMs + DAY_MS - modulo(wallMs - startMs, DAY_MS);
  };
  return { startMs, lengthMs, isOpen, opening };
}

function timeOfDay(text: string): number {
  const [hours, minutes] = text.split(':').map(Number);
  return (hours! * 60 + minutes!) * MINUTE_MS;
}
