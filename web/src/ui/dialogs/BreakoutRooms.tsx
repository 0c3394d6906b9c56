/** The breakout rooms that there are: before they open, and while they are open. */
import { type FormEvent, useState } from 'react';
import type { MeetingClient } from '../../meeting/MeetingClient';
import type { BreakoutsView } from '../../meeting/protocol.generated';
import { isHost } from '../../meeting/roles';
import { nameOf, type Roster } from '../../meeting/roster';
import { Countdown } from '../Countdown';
import { useStore } from '../hooks';

interface Props {
  client: MeetingClient;
  view: BreakoutsView;
}

export function PreparedRooms({ client, view, onAnew }: Props & { onAnew(): void }) {
  const [minutes, setMinutes] = useState('');
  const { breakouts } = client;
  const open = (event: FormEvent) => {
    event.preventDefault();
    void breakouts.open(minutes ? Number(minutes) : null);
  };
  return (
    <>
      {view.choose ? (
        <p className="dialog-words">People choose among {view.rooms.length} rooms themselves.</p>
      ) : (
        <Assignments client={client} view={view} />
      )}
      <form onSubmit={open} className="row">
        <label className="inline-field">
          For
          <input
            type="number"
            className="field"
            data-testid="breakout-minutes"
            aria-label="Minutes until they close"
            min={1}
            max={24 * 60}
            placeholder="∞"
            value={minutes}
            onChange={(event) => setMinutes(event.target.value)}
          />
          minutes
        </label>
        <button type="submit" className="button primary" data-testid="breakout-open">
          Open the rooms
        </button>
        <button type="button" className="button quiet" data-testid="breakout-anew" onClick={onAnew}>
          Make anew
        </button>
      </form>
    </>
  );
}

/** Who goes where, one by one or all at once. */
function Assignments({ client, view }: Props) {
  const roster = useStore(client.people);
  const people = assignable(client, roster, view);
  const roomOf = (userId: string) =>
    view.assignments.find(({ user_id }) => user_id === userId)?.room_id ?? '';
  return (
    <section className="assignments" aria-label="Who goes where">
      <header className="row">
        <h3>Who goes where</h3>
        <button
          type="button"
          className="button small quiet"
          data-testid="breakout-evenly"
          disabled={people.length === 0}
          onClick={() => void client.breakouts.assignEvenly()}
        >
          Spread evenly
        </button>
      </header>
      {people.length === 0 && <p className="dialog-words">Nobody but hosts is here yet.</p>}
      <ul>
        {people.map(({ id, name }) => (
          <li key={id}>
            <label className="assignment">
              <span>{name}</span>
              <select
                className="field"
                data-testid={`assign-${id}`}
                value={roomOf(id)}
                onChange={(event) => void client.breakouts.assign(id, event.target.value || null)}
              >
                <option value="">Main meeting</option>
                {view.rooms.map(({ room_id, name }) => (
                  <option key={room_id} value={room_id}>
                    {name}
                  </option>
                ))}
              </select>
            </label>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** Everybody but hosts, here or in a room. */
function assignable(
  client: MeetingClient,
  roster: Roster,
  view: BreakoutsView,
): { id: string; name: string }[] {
  const here = [...roster.participants.values()]
    .filter(({ role }) => !isHost(role))
    .map(({ user_id, display_name }) => ({ id: user_id, name: display_name }));
  const away = view.inside
    .filter(({ user_id }) => !roster.participants.has(user_id))
    .map(({ user_id }) => ({ id: user_id, name: insideName(client, roster, user_id) }));
  return [...here, ...away];
}

function insideName(client: MeetingClient, roster: Roster, userId: string): string {
  return client.breakouts.nameOf(userId) ?? nameOf(roster, userId);
}

export function OpenRooms({ client, view, onDone }: Props & { onDone(): void }) {
  const { closesAt } = useStore(client.breakouts);
  const roster = useStore(client.people);
  const [text, setText] = useState('');
  const tell = async (event: FormEvent) => {
    event.preventDefault();
    if (text.trim() && (await client.breakouts.tell(text.trim()))) setText('');
  };
  return (
    <>
      {closesAt !== null && (
        <p className="dialog-words">
          They close in <Countdown to={closesAt} />.
        </p>
      )}
      <ul className="open-rooms">
        {view.rooms.map(({ room_id, name }) => (
          <li key={room_id} data-testid={`room-${room_id}`}>
            <span className="open-room">
              <strong>{name}</strong>
              <small>
                {view.inside
                  .filter((each) => each.room_id === room_id)
                  .map(({ user_id }) => insideName(client, roster, user_id))
                  .join(', ') || 'Nobody is there'}
              </small>
            </span>
            <button
              type="button"
              className="button small quiet"
              data-testid={`enter-${room_id}`}
              aria-label={`Go to ${name}`}
              onClick={() => {
                onDone();
                void client.breakouts.enter({ id: room_id, name });
              }}
            >
              Go there
            </button>
          </li>
        ))}
      </ul>
      <Assignments client={client} view={view} />
      <form onSubmit={tell} className="row">
        <input
          className="field"
          data-testid="breakout-message"
          aria-label="Message to all rooms"
          placeholder="Say something to all rooms"
          maxLength={500}
          value={text}
          onChange={(event) => setText(event.target.value)}
        />
        <button type="submit" className="button quiet" data-testid="breakout-tell">
          Send
        </button>
      </form>
      <div className="row">
        <button
          type="button"
          className="button quiet"
          data-testid="breakout-close-soon"
          onClick={() => void client.breakouts.close(60)}
        >
          Close in one minute
        </button>
        <button
          type="button"
          className="button danger"
          data-testid="breakout-close"
          onClick={() => void client.breakouts.close(0)}
        >
          Close now
        </button>
      </div>
    </>
  );
}
