/** What stands above the stage for as long as it is so: a lost connection, a breakout room. */
import { useState } from 'react';
import type { MeetingClient, MeetingState } from '../meeting/MeetingClient';
import { Countdown } from './Countdown';
import { RoomChoice } from './dialogs/RoomChoice';
import { useStore } from './hooks';
import { Icon } from './icons';

export function Banners({ client }: { client: MeetingClient }) {
  const state = useStore(client);
  return (
    <div className="banners">
      <ConnectionBanner state={state} />
      <BreakoutBanner client={client} />
    </div>
  );
}

function ConnectionBanner({ state }: { state: MeetingState }) {
  const { phase, waitingFor } = state;
  if (phase !== 'reconnecting' && !waitingFor) return null;
  const doing = phase === 'joining' ? 'Joining' : 'Reconnecting';
  return (
    <p className="banner" role="alert">
      <span className="spinner" aria-hidden="true" />
      {waitingFor
        ? `${doing}: waiting for ${waitingFor}…`
        : 'The connection is gone. Reconnecting…'}
    </p>
  );
}

function BreakoutBanner({ client }: { client: MeetingClient }) {
  const { breakouts } = client;
  const { inside, view, mine, closesAt, told } = useStore(breakouts);
  const [choosing, setChoosing] = useState(false);
  const open = view?.open ?? false;
  if (!inside && !open) return null;
  const closing = closesAt !== null && (
    <>
      {' · closes in '}
      <Countdown to={closesAt} />
    </>
  );
  return (
    <section className="banner calm" data-testid="breakout-banner" aria-label="Breakout rooms">
      <Icon name="rooms" />
      <span className="banner-words">
        <span>
          {inside ? inside.name : 'Breakout rooms are open'}
          {closing}
        </span>
        {told && inside && (
          <small data-testid="breakout-told">
            {told.display_name}: {told.message}
          </small>
        )}
      </span>
      {inside && (
        <button
          type="button"
          className="button small quiet"
          data-testid="breakout-back"
          onClick={() => breakouts.back()}
        >
          Back to the main room
        </button>
      )}
      {!inside && mine && (
        <button
          type="button"
          className="button small quiet"
          data-testid="breakout-go"
          onClick={() => void breakouts.enter(mine)}
        >
          Go to {mine.name}
        </button>
      )}
      {!inside && view?.choose && (
        <button
          type="button"
          className="button small quiet"
          data-testid="breakout-choose-room"
          onClick={() => setChoosing(true)}
        >
          Choose a room
        </button>
      )}
      {choosing && <RoomChoice client={client} onClose={() => setChoosing(false)} />}
    </section>
  );
}
