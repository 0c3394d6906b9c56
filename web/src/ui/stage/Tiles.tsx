/**
 * Tiles in pages of at most 25: all of the stage, or a strip beside something large.
 *
 * It knows which tiles are seen and how large, so it also tells the client.
 */
import { useEffect, useState } from 'react';
import type { LocalMedia } from '../../meeting/LocalMedia';
import type { MeetingClient } from '../../meeting/MeetingClient';
import type { Floating } from '../../meeting/Reactions';
import type { RemoteTrack } from '../../meeting/Receiver';
import { nameOf } from '../../meeting/roster';
import { useSize, useStore } from '../hooks';
import { RoundButton } from '../RoundButton';
import { arrange } from './arrange';
import { GAP } from './gridLayout';
import { PersonTile } from './PersonTile';
import { SharedScreen } from './SharedScreen';
import { FloatingReactions } from './Tile';

interface Props {
  client: MeetingClient;
  local: LocalMedia;
  ownName: string;
  /** Screens that are tiles. */
  screens: readonly RemoteTrack[];
  people: readonly string[];
  /** What is large beside them, by user or producer id, and its height; null: nothing is. */
  big: { id: string; height: number } | null;
}

export function Tiles({ client, local, ownName, screens, people, big }: Props) {
  const [box, size] = useSize<HTMLDivElement>();
  const [page, setPage] = useState(0);
  const roster = useStore(client.people);
  const reactions = useStore(client.reactions);
  const count = screens.length + people.length;
  const { from, to, pages, at, tile } = arrange(count, page, size, big !== null);
  const shownScreens = screens.slice(from, to);
  const shownPeople = people.slice(
    Math.max(0, from - screens.length),
    Math.max(0, to - screens.length),
  );
  useView(client, shownPeople, shownScreens, tile.height, big);

  const seen = new Set([...shownPeople, big?.id]);
  const of = (userId: string): Floating[] | undefined => {
    const own = reactions.filter((each) => each.userId === userId);
    return own.length > 0 ? own : undefined;
  };
  return (
    <div className={size.width > size.height ? 'tiles lying' : 'tiles'} ref={box}>
      <div className="tiles-page" style={{ gap: GAP }}>
        {shownScreens.map((shared) => (
          <SharedScreen
            key={shared.producer.producer_id}
            shared={shared}
            by={nameOf(roster, shared.producer.user_id)}
            style={tile}
          />
        ))}
        {shownPeople.map((userId) => (
          <PersonTile
            key={userId}
            client={client}
            local={local}
            userId={userId}
            ownName={ownName}
            reactions={of(userId)}
            style={tile}
          />
        ))}
      </div>
      {pages > 1 && (
        <nav className="pages" aria-label="Pages of participants">
          <RoundButton
            testId="previous-page"
            label="Previous page"
            icon="previous"
            onPress={() => setPage((at + pages - 1) % pages)}
          />
          <span data-testid="page-number">
            {at + 1} / {pages}
          </span>
          <RoundButton
            testId="next-page"
            label="Next page"
            icon="next"
            onPress={() => setPage((at + 1) % pages)}
          />
        </nav>
      )}
      {/* Of those whose tiles are on other pages. */}
      <FloatingReactions named reactions={reactions.filter(({ userId }) => !seen.has(userId))} />
    </div>
  );
}

/** Tells the client what is seen, in device pixels, as it changes. */
function useView(
  client: MeetingClient,
  people: readonly string[],
  screens: readonly RemoteTrack[],
  height: number,
  big: Props['big'],
): void {
  const seenPeople = people.join(' ');
  const seenScreens = screens.map(({ producer }) => producer.producer_id).join(' ');
  const bigId = big?.id ?? '';
  const bigHeight = big?.height ?? 0;
  useEffect(() => {
    const pixels = (size: number) => Math.round(size * devicePixelRatio);
    const heights = (ids: string): [string, number][] =>
      ids.split(' ').flatMap((id) => (id ? [[id, pixels(height)]] : []));
    const large: [string, number][] = bigId ? [[bigId, pixels(bigHeight)]] : [];
    client.flow.setView({
      tiles: new Map([...heights(seenPeople), ...large]),
      screens: new Map([...heights(seenScreens), ...large]),
    });
  }, [client, seenPeople, seenScreens, height, bigId, bigHeight]);
}
