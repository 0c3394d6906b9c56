/** Breakout rooms for hosts: make them, say who goes where, open, talk to all, close. */
import { type FormEvent, useState } from 'react';
import type { MeetingClient } from '../../meeting/MeetingClient';
import { Dialog } from '../Dialog';
import { useStore } from '../hooks';
import { OpenRooms, PreparedRooms } from './BreakoutRooms';

interface Props {
  client: MeetingClient;
  onClose(): void;
}

export function BreakoutDialog({ client, onClose }: Props) {
  const { view } = useStore(client.breakouts);
  const [anew, setAnew] = useState(false);
  const prepared = view !== null && view.rooms.length > 0;
  return (
    <Dialog testId="breakout-dialog" title="Breakout rooms" wide onClose={onClose}>
      {view?.open ? (
        <OpenRooms client={client} view={view} onDone={onClose} />
      ) : prepared && !anew ? (
        <PreparedRooms client={client} view={view} onAnew={() => setAnew(true)} />
      ) : (
        <NewRooms client={client} onMade={() => setAnew(false)} />
      )}
      <div className="dialog-actions">
        <button
          type="button"
          className="button quiet"
          data-testid="breakout-done"
          onClick={onClose}
        >
          Done
        </button>
      </div>
    </Dialog>
  );
}

/** The server makes at most so many. */
const MAX_ROOMS = 50;

function NewRooms({ client, onMade }: { client: MeetingClient; onMade(): void }) {
  const [count, setCount] = useState('2');
  const [names, setNames] = useState('');
  const [choose, setChoose] = useState(false);
  const create = async (event: FormEvent) => {
    event.preventDefault();
    const given = names
      .split(',')
      .map((name) => name.trim())
      .filter(Boolean);
    await client.breakouts.create({
      count: Number(count),
      names: given.slice(0, Number(count)),
      choose,
    });
    onMade();
  };
  return (
    <form onSubmit={create} className="breakout-new">
      <label className="picker">
        <span>How many rooms</span>
        <input
          type="number"
          className="field"
          data-testid="breakout-count"
          min={1}
          max={MAX_ROOMS}
          required
          value={count}
          onChange={(event) => setCount(event.target.value)}
        />
      </label>
      <label className="picker">
        <span>Their names, with commas between (or leave it empty)</span>
        <input
          className="field"
          data-testid="breakout-names"
          placeholder="Room 1, Room 2"
          value={names}
          onChange={(event) => setNames(event.target.value)}
        />
      </label>
      <label className="check">
        <input
          type="checkbox"
          data-testid="breakout-choose"
          checked={choose}
          onChange={(event) => setChoose(event.target.checked)}
        />
        People choose their room themselves
      </label>
      <button type="submit" className="button primary" data-testid="breakout-create">
        Make rooms
      </button>
    </form>
  );
}
