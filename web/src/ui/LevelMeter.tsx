/** Shows that the microphone hears: twenty bars. */
import type { AudioLevel } from '../meeting/AudioLevel';
import { useStore } from './hooks';
import { Icon } from './icons';

const BARS = Array.from({ length: 20 }, (_, index) => (index + 1) / 20);

export function LevelMeter({ level, on }: { level: AudioLevel; on: boolean }) {
  const value = useStore(level);
  return (
    <div className="meter">
      <meter className="visually-hidden" aria-label="Microphone level" value={value} />
      <Icon name={on ? 'mic' : 'micOff'} />
      <span className="meter-bars" aria-hidden="true">
        {BARS.map((bar) => (
          <i key={bar} className={on && value >= bar ? 'lit' : ''} />
        ))}
      </span>
      <span className="meter-words">{on ? '' : 'Microphone off'}</span>
    </div>
  );
}
