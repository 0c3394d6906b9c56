/** One person: their picture, or their initials; their name; whether they are muted or speak. */
import { useTrack } from './hooks';
import { Icon } from './icons';

interface Props {
  userId: string;
  name: string;
  track: MediaStreamTrack | null;
  muted: boolean;
  speaking: boolean;
  self?: boolean;
  style?: { width: number; height: number };
}

export function Tile({ userId, name, track, muted, speaking, self = false, style }: Props) {
  const video = useTrack<HTMLVideoElement>(track);
  const state = [muted && 'muted', !track && 'camera off'].filter(Boolean).join(', ');
  return (
    <figure
      className={`tile ${speaking ? 'speaking' : ''} ${self ? 'self' : ''}`}
      style={style}
      data-testid={self ? 'tile-self' : `tile-${userId}`}
      data-user-id={userId}
      aria-label={`${name}${self ? ' (you)' : ''}${state && `, ${state}`}`}
    >
      {/* Below the picture: seen until its first frame is there. */}
      <Avatar userId={userId} name={name} />
      <video ref={video} autoPlay playsInline muted className={track ? '' : 'hidden'} />
      <figcaption className="tile-name" aria-hidden="true">
        {muted && <Icon name="micOff" />}
        <span>{self ? `${name} (you)` : name}</span>
      </figcaption>
    </figure>
  );
}

export function Avatar({ userId, name }: { userId: string; name: string }) {
  const hue = [...userId].reduce((sum, char) => (sum * 31 + char.charCodeAt(0)) % 360, 7);
  return (
    <span className="avatar" style={{ background: `oklch(0.45 0.08 ${hue})` }} aria-hidden="true">
      {initials(name)}
    </span>
  );
}

/** The first letters of the first and the last word. */
export function initials(name: string): string {
  const words = name.trim().split(/\s+/).filter(Boolean);
  const chosen = words.length > 1 ? [words[0], words.at(-1)] : words;
  return chosen.map((word) => [...(word ?? '')][0]?.toUpperCase() ?? '').join('') || '?';
}
