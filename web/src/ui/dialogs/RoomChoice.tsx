/** Where people choose their breakout room themselves. */
import type { MeetingClient } from '../../meeting/MeetingClient';
import { Dialog } from '../Dialog';
import { useStore } from '../hooks';

export function RoomChoice({ client, onClose }: { client: MeetingClient; onClose(): void }) {
  const { view } = useStore(client.breakouts);
  return (
    <Dialog testId="room-choice" title="Choose a room" onClose={onClose}>
      <ul className="open-rooms">
        {view?.rooms.map(({ room_id, name }) => (
          <li key={room_id}>
            <span className="open-room">
              <strong>{name}</strong>
            </span>
            <button
              type="button"
              className="button small primary"
              data-testid={`enter-${room_id}`}
              aria-label={`Go to ${name}`}
              onClick={() => {
                onClose();
                void client.breakouts.enter({ id: room_id, name });
              }}
            >
              Go there
            </button>
          </li>
        ))}
      </ul>
      <div className="dialog-actions">
        <button type="button" className="button quiet" onClick={onClose}>
          Stay here
        </button>
      </div>
    </Dialog>
  );
}
