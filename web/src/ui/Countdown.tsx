/** How long it is until a moment, as minutes and seconds that run down. */
import { useNow } from './hooks';

/** @param to in ms since 1970. */
export function Countdown({ to }: { to: number }) {
  return <span className="countdown">{remaining(to - useNow())}</span>;
}

export function remaining(ms: number): string {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}
