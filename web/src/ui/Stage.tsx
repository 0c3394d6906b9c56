/**
 * The pictures: everybody in a grid, or a shared screen with people at its side.
 *
 * It knows the size of each tile, so it also tells the client what is seen and how large.
 */
import { useEffect, useState } from 'react';
import type { LocalMedia } from '../meeting/LocalMedia';
import type { RemoteTrack } from '../meeting/MediaSession';
import type { MeetingClient, MeetingState } from '../meeting/MeetingClient';
import { GAP, gridFor, perPage } from './gridLayout';
import { type Size, useSelected, useSize, useStore, useTrack } from './hooks';
import { RoundButton } from './RoundButton';
import { Tile } from './Tile';

/** Own loudness from which the ring shows: above breathing and keyboards. */
const SPEAKING_LEVEL = 0.4;

interface Props {
  client: MeetingClient;
  local: LocalMedia;
  state: MeetingState;
  name: string;
}

export function Stage({ client, local, state, name }: Props) {
  const [chosenScreen, chooseScreen] = useState<string | null>(null);
  const screens = state.remote.filter(({ producer }) => producer.source === 'screen');
  const screen =
    screens.find(({ producer }) => producer.producer_id === chosenScreen) ?? screens.at(-1);
  const screenId = screen?.producer.producer_id ?? null;

  const tiles = (
    <Tiles
      client={client}
      local={local}
      state={state}
      name={name}
      screenId={screenId}
      key={screen ? 'side' : 'grid'}
    />
  );
  if (!screen) return <main className="stage">{tiles}</main>;
  return (
    <main className="stage with-screen">
      <div className="screen">
        <Screen shared={screen} by={nameOf(state, screen)} />
        {screens.length > 1 && (
          <div className="screen-choice">
            {screens.map((other) => (
              <button
                key={other.producer.producer_id}
                type="button"
                className="button small quiet"
                aria-pressed={other === screen}
                onClick={() => chooseScreen(other.producer.producer_id)}
              >
                {nameOf(state, other)}
              </button>
            ))}
          </div>
        )}
      </div>
      {tiles}
    </main>
  );
}

function nameOf(state: MeetingState, { producer }: RemoteTrack): string {
  return state.roster.participants.get(producer.user_id)?.display_name ?? 'Somebody';
}

function Screen({ shared, by }: { shared: RemoteTrack; by: string }) {
  const video = useTrack<HTMLVideoElement>(shared.track);
  return (
    <figure className="screen-figure" data-testid="shared-screen" aria-label={`Screen of ${by}`}>
      <video ref={video} autoPlay playsInline muted />
      <figcaption className="tile-name">{by} is presenting</figcaption>
    </figure>
  );
}

interface TilesProps extends Props {
  /** The shared screen at whose side the tiles stand; null: they have all the room. */
  screenId: string | null;
}

function Tiles({ client, local, state, name, screenId }: TilesProps) {
  const [box, size] = useSize<HTMLDivElement>();
  const [page, setPage] = useState(0);
  const { roster, remote, self, speaker } = state;
  const others = [...roster.participants.values()].filter(({ user_id }) => user_id !== self);
  const { shown, pages, at, tile } = arrange(others.length + 1, page, size, screenId !== null);
  const selfShown = shown.from === 0;
  const people = others.slice(Math.max(0, shown.from - 1), shown.to - 1);

  const visible = people.map(({ user_id }) => user_id).join(' ');
  useEffect(() => {
    const height = Math.round(tile.height * devicePixelRatio);
    const seen = visible ? visible.split(' ') : [];
    client.setView({ tiles: new Map(seen.map((id) => [id, height])), screen: screenId });
  }, [client, visible, tile.height, screenId]);

  const camera = (userId: string) =>
    remote.find(({ producer }) => producer.source === 'camera' && producer.user_id === userId);
  return (
    <div className={size.width > size.height ? 'tiles lying' : 'tiles'} ref={box}>
      <div className="tiles-page" style={{ gap: GAP }}>
        {selfShown && <OwnTile local={local} userId={self} name={name} style={tile} />}
        {people.map((person) => (
          <Tile
            key={person.user_id}
            userId={person.user_id}
            name={person.display_name}
            track={person.video_enabled ? (camera(person.user_id)?.track ?? null) : null}
            muted={!person.audio_enabled}
            speaking={speaker === person.user_id && person.audio_enabled}
            style={tile}
          />
        ))}
      </div>
      {pages > 1 && (
        <nav className="pages" aria-label="Pages of participants">
          <RoundButton
            label="Previous page"
            icon="previous"
            onPress={() => setPage((at + pages - 1) % pages)}
          />
          <span>
            {at + 1} / {pages}
          </span>
          <RoundButton label="Next page" icon="next" onPress={() => setPage((at + 1) % pages)} />
        </nav>
      )}
    </div>
  );
}

/** Room that the page buttons take, in CSS pixels. */
const PAGER = 52;

/** Which of `count` tiles are on the page, and how large one is. */
function arrange(count: number, page: number, size: Size, beside: boolean) {
  let tile = { width: 0, height: 0 };
  let most = perPage(size.width, size.height);
  if (beside) {
    const upright = size.height > size.width;
    const room = upright ? size.height : size.width;
    // Rather square tiles than a second page.
    const share = (room - GAP * (count - 1)) / count;
    const narrowed = (from: number, to: number) =>
      Math.floor(share < to ? from : Math.min(from, share));
    tile = upright
      ? { width: size.width, height: Math.round((size.width * 9) / 16) }
      : { width: narrowed((size.height * 4) / 3, size.height), height: size.height };
    const side = upright ? tile.height : tile.width;
    const fits = (space: number) => Math.max(1, Math.floor((space + GAP) / (side + GAP)));
    most = fits(room) >= count ? count : fits(room - PAGER);
  } else {
    if (count > most) most = perPage(size.width, size.height - PAGER);
    const height = count > most ? size.height - PAGER : size.height;
    const grid = gridFor(Math.min(count, most), size.width, height);
    tile = { width: grid.width, height: grid.height };
  }
  const pages = Math.max(1, Math.ceil(count / most));
  const at = Math.min(page, pages - 1);
  const shown = { from: at * most, to: Math.min(count, (at + 1) * most) };
  return { shown, pages, at, tile };
}

interface OwnTileProps {
  local: LocalMedia;
  userId: string;
  name: string;
  style: { width: number; height: number };
}

function OwnTile({ local, userId, name, style }: OwnTileProps) {
  const { audio, video } = useStore(local);
  const loud = useSelected(local.level, (level) => level >= SPEAKING_LEVEL);
  return (
    <Tile
      self
      userId={userId}
      name={name}
      track={video.track}
      muted={!audio.on || !audio.track}
      speaking={loud && audio.on}
      style={style}
    />
  );
}
