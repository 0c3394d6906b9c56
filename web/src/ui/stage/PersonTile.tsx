/** The tile of one of the people in the meeting, ourselves included. */
import type { LocalMedia } from '../../meeting/LocalMedia';
import type { MeetingClient } from '../../meeting/MeetingClient';
import type { Floating } from '../../meeting/Reactions';
import { hands } from '../../meeting/roster';
import { useSelected, useStore } from '../hooks';
import { Icon } from '../icons';
import { Tile } from './Tile';

/** Own loudness from which the ring shows: above breathing and keyboards. */
const SPEAKING_LEVEL = 0.4;

interface Props {
  client: MeetingClient;
  local: LocalMedia;
  userId: string;
  /** Our own name, until the server has told us who is there. */
  ownName: string;
  reactions?: readonly Floating[] | undefined;
  style?: { width: number; height: number };
}

export function PersonTile({ client, local, userId, ownName, reactions, style }: Props) {
  const roster = useStore(client.people);
  const person = roster.participants.get(userId);
  const { pinned, spotlight } = useStore(client.view);
  const speaking = useSelected(client, ({ speaker }) => speaker === userId);
  const remote = useStore(client.flow);
  const self = userId === roster.self;
  const common = {
    userId,
    name: person?.display_name ?? ownName,
    hand: hands(roster).findIndex((each) => each.user_id === userId) + 1,
    quality: person?.quality ?? null,
    spotlit: spotlight === userId,
    reactions,
    style,
  };
  if (self) return <OwnTile local={local} {...common} name={ownName} />;
  const camera = remote.find(
    ({ producer }) => producer.source === 'camera' && producer.user_id === userId,
  );
  const isPinned = pinned === userId;
  return (
    <Tile
      {...common}
      track={person?.video_enabled ? (camera?.track ?? null) : null}
      muted={!person?.audio_enabled}
      speaking={speaking && person?.audio_enabled === true}
    >
      <button
        type="button"
        className="tile-pin"
        data-testid={`pin-${userId}`}
        aria-label={isPinned ? `Unpin ${common.name}` : `Pin ${common.name}`}
        aria-pressed={isPinned}
        title={isPinned ? 'Unpin' : 'Pin'}
        onClick={() => client.view.pin(isPinned ? null : userId)}
      >
        <Icon name="pin" />
      </button>
    </Tile>
  );
}

type OwnTileProps = Omit<Parameters<typeof Tile>[0], 'track' | 'muted' | 'speaking'> & {
  local: LocalMedia;
};

function OwnTile({ local, ...props }: OwnTileProps) {
  const { audio, video } = useStore(local);
  const loud = useSelected(local.level, (level) => level >= SPEAKING_LEVEL);
  const muted = !audio.on || !audio.track;
  return <Tile {...props} self track={video.track} muted={muted} speaking={loud && !muted} />;
}
