/** Who waits to be let in, for those who may do so. */
import type { MeetingClient } from '../../meeting/MeetingClient';
import { useStore } from '../hooks';
import { Avatar } from '../stage/Tile';

export function WaitingList({ client }: { client: MeetingClient }) {
  const { waitingRoom } = client;
  const waiting = useStore(waitingRoom);
  if (waiting.length === 0) return null;
  return (
    <section className="waiting-list" data-testid="waiting-list" aria-label="Waiting room">
      <header>
        <h3>Waiting ({waiting.length})</h3>
        {waiting.length > 1 && (
          <button
            type="button"
            className="button small primary"
            data-testid="admit-all"
            onClick={() => void waitingRoom.admitAll()}
          >
            Admit all
          </button>
        )}
      </header>
      <ul>
        {waiting.map(({ user_id, display_name }) => (
          <li key={user_id} className="person" data-testid={`waiting-${user_id}`}>
            <Avatar userId={user_id} name={display_name} />
            <span className="person-name">{display_name}</span>
            <button
              type="button"
              className="chip"
              data-testid={`deny-${user_id}`}
              aria-label={`Deny ${display_name}`}
              onClick={() => void waitingRoom.deny(user_id)}
            >
              Deny
            </button>
            <button
              type="button"
              className="chip primary"
              data-testid={`admit-${user_id}`}
              aria-label={`Admit ${display_name}`}
              onClick={() => void waitingRoom.admit(user_id)}
            >
              Admit
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
