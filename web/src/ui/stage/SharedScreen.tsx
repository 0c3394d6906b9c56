/** Somebody's shared screen: large on the stage, or a tile like any other. */
import type { RemoteTrack } from '../../meeting/Receiver';
import { useTrack } from '../hooks';

interface Props {
  shared: RemoteTrack;
  /** The name of whoever shares it. */
  by: string;
  style?: { width: number; height: number };
}

export function SharedScreen({ shared, by, style }: Props) {
  const video = useTrack<HTMLVideoElement>(shared.track);
  return (
    <figure
      className={style ? 'screen-figure small' : 'screen-figure'}
      style={style}
      data-testid="shared-screen"
      aria-label={`Screen of ${by}`}
    >
      <video ref={video} autoPlay playsInline muted />
      <figcaption className="tile-name">{by} is presenting</figcaption>
    </figure>
  );
}
