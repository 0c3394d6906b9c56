/** One person: their picture, or their initials; their name; whether they are muted or speak. */
import type { ReactNode } from 'react';
import type { Quality } from '../../meeting/protocol.generated';
import type { Floating } from '../../meeting/Reactions';
import { useTrack } from '../hooks';
import { Icon } from '../icons';

export interface TileProps {
  userId: string;
  name: string;
  track: MediaStreamTrack | null;
  muted: boolean;
  speaking: boolean;
  self?: boolean;
  /** Place among the raised hands, from 1; 0: the hand is down. */
  hand?: number;
  quality?: Quality | null;
  spotlit?: boolean;
  reactions?: readonly Floating[] | undefined;
  /** Buttons of the tile. */
  children?: ReactNode;
  style?: { width: number; height: number } | undefined;
}

export function Tile(props: TileProps) {
  const { userId, name, track, muted, speaking, self = false, hand = 0, style } = props;
  const { quality = null, spotlit = false, reactions = [], children } = props;
  const video = useTrack<HTMLVideoElement>(track);
  const state = [
    muted && 'muted',
    !track && 'camera off',
    hand > 0 && 'hand raised',
    spotlit && 'in the spotlight',
    quality === 'poor' && 'poor connection',
  ].filter(Boolean);
  const label = [`${name}${self ? ' (you)' : ''}`, ...state].join(', ');
  return (
    <figure
      className={`tile ${speaking ? 'speaking' : ''} ${self ? 'self' : ''} ${style ? '' : 'big'}`}
      style={style}
      data-testid={self ? 'tile-self' : `tile-${userId}`}
      data-user-id={userId}
      aria-label={label}
    >
      {/* Below the picture: seen until its first frame is there. */}
      <Avatar userId={userId} name={name} />
      <video ref={video} autoPlay playsInline muted className={track ? '' : 'hidden'} />
      <span className="tile-marks" aria-hidden="true">
        {hand > 0 && (
          <span className="tile-hand" data-testid="hand-mark">
            <Icon name="hand" />
            {hand > 1 && hand}
          </span>
        )}
        {spotlit && (
          <span className="tile-spot">
            <Icon name="star" />
          </span>
        )}
      </span>
      {quality && <Bars quality={quality} />}
      {children}
      <figcaption className="tile-name" aria-hidden="true">
        {muted && <Icon name="micOff" />}
        <span>{self ? `${name} (you)` : name}</span>
      </figcaption>
      <FloatingReactions reactions={reactions} />
    </figure>
  );
}

const BARS: Record<Quality, number> = { poor: 1, fair: 2, good: 3, excellent: 4 };

/** How good the connection is, in four bars. */
export function Bars({ quality }: { quality: Quality }) {
  const lit = BARS[quality];
  return (
    <span
      className={`bars ${quality}`}
      data-testid="quality-bars"
      data-quality={quality}
      title={`Connection: ${quality}`}
      aria-hidden="true"
    >
      {[1, 2, 3, 4].map((bar) => (
        <i key={bar} className={bar <= lit ? 'lit' : ''} />
      ))}
    </span>
  );
}

/** Emojis on their way up; `named` where no tile says whose they are. */
export function FloatingReactions({
  reactions,
  named = false,
}: {
  reactions: readonly Floating[];
  named?: boolean;
}) {
  return reactions.map(({ id, emoji, name }) => (
    <span
      key={id}
      className="floating-emoji"
      data-testid="floating-emoji"
      style={{ left: `${12 + ((id * 29) % 66)}%` }}
      aria-hidden="true"
    >
      {emoji}
      {named && <small>{name}</small>}
    </span>
  ));
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
