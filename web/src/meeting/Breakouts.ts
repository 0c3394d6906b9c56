/**
 * Breakout rooms, from both sides: hosts make, open and close them; everybody goes and comes back.
 *
 * Each is a room of its own, so going there is `MeetingClient`'s: it leaves one place and joins
 * the other. Here is what is known of the rooms while one is in either.
 */
import type { Concern, Hears, Line } from './Line';
import type {
  BreakoutCreate,
  BreakoutGo,
  BreakoutMoved,
  BreakoutsView,
  BreakoutTold,
  RoomJoined,
} from './protocol.generated';
import { Store } from './Store';

/** A room that we are in, or were sent to. */
export interface Room {
  id: string;
  name: string;
}

export interface BreakoutsState {
  /** The rooms, as the main meeting tells them; null: there are none. */
  view: BreakoutsView | null;
  /** The breakout room that we are in; null: the main meeting. */
  inside: Room | null;
  /** The main meeting of that room. */
  main: string;
  /** The room that we were sent to, while we are in the main meeting. */
  mine: Room | null;
  /** When the rooms close, in ms since 1970; null: when a host closes them. */
  closesAt: number | null;
  /** What a host told all rooms last. */
  told: Pick<BreakoutTold, 'message' | 'display_name'> | null;
}

export const NO_ROOMS: BreakoutsState = {
  view: null,
  inside: null,
  main: '',
  mine: null,
  closesAt: null,
  told: null,
};

export class Breakouts extends Store<BreakoutsState> implements Concern {
  /** Of those who are in rooms, and so in no roster of ours. */
  #names = new Map<string, string>();

  /** The room that we left by ourselves: being called there again does not take us there. */
  #left = '';

  /** @param go takes us to a room or, without a token, back to the main meeting. */
  constructor(
    private readonly line: Line,
    private readonly go: (place: string, token: string | null) => void,
  ) {
    super(NO_ROOMS);
  }

  readonly hears: Hears = {
    'breakout:updated': (view) => this.#viewed(view),
    'breakout:go': (sent) => this.#sent(sent),
    'breakout:closing': ({ seconds }) => {
      this.update({ closesAt: Date.now() + seconds * 1000 });
      if (seconds > 0) this.line.notices.post(`The breakout rooms close in ${seconds} s`);
    },
    'breakout:moved': (moved) => {
      this.#names.set(moved.user_id, moved.display_name);
      const { view } = this.get();
      if (view) this.update({ view: withMoved(view, moved) });
    },
    'breakout:message': ({ message, display_name }) => {
      if (this.get().inside) this.update({ told: { message, display_name } });
      this.line.notices.post(`${display_name} to all rooms: ${message}`);
    },
  };

  entered(room: RoomJoined): void {
    const { mine, closesAt } = this.get();
    if (room.parent_id) {
      const name = room.settings.display_name;
      const inside = { id: room.meeting_id, name: mine?.id === room.meeting_id ? mine.name : name };
      const until = timeOf(room.breakouts?.closes_at) ?? closesAt;
      this.update({ inside, mine: inside, main: room.parent_id, view: null, closesAt: until });
    } else {
      this.update({ inside: null, main: room.meeting_id, told: null });
      this.#viewed(room.breakouts);
    }
  }

  /** Rooms are left and entered; what was said of them stays until the next `entered`. */
  reset(): void {}

  /** Out of the meeting altogether. */
  forget(): void {
    this.#left = '';
    this.set(NO_ROOMS);
  }

  nameOf(userId: string): string | undefined {
    return this.#names.get(userId);
  }

  back(): void {
    this.#left = this.get().inside?.id ?? '';
    this.go(this.get().main, null);
  }

  /** By one's own choice: where people choose, back to one's own, or as a host to any. */
  async enter(room: Room): Promise<void> {
    const chosen = await this.line.order('breakout:choose', { room_id: room.id });
    if (!chosen) return;
    this.#left = '';
    this.update({ mine: room });
    this.go(chosen.room_id, chosen.token);
  }

  async create(wanted: Omit<BreakoutCreate, 'meeting_id'>): Promise<void> {
    this.#answered(await this.line.order('breakout:create', wanted));
  }

  /** @param roomId null: they belong in the main meeting. */
  async assign(userId: string, roomId: string | null): Promise<void> {
    const assignments = [{ user_id: userId, room_id: roomId }];
    this.#answered(await this.line.order('breakout:assign', { assignments }));
  }

  async assignEvenly(): Promise<void> {
    this.#answered(await this.line.order('breakout:assign', { evenly: true }));
  }

  /** @param minutes null: until a host closes them. */
  async open(minutes: number | null): Promise<void> {
    this.#answered(await this.line.order('breakout:open', minutes ? { minutes } : {}));
  }

  async tell(message: string): Promise<boolean> {
    return (await this.line.order('breakout:message', { message })) !== null;
  }

  async close(seconds: number): Promise<void> {
    this.#answered(await this.line.order('breakout:close', { seconds }));
  }

  #sent({ room_id: id, name, token, closes_at }: BreakoutGo): void {
    const back = id === this.get().main;
    this.update({ mine: back ? null : { id, name }, closesAt: timeOf(closes_at) });
    if (id === this.#left) return;
    this.line.notices.post(back ? 'A host called you back' : `You go to ${name}`);
    this.go(id, token);
  }

  #answered(view: BreakoutsView | null): void {
    if (view) this.#viewed(view);
  }

  #viewed(view: BreakoutsView | null): void {
    const { mine, inside } = this.get();
    const open = view?.open ?? false;
    if (!open && !inside) this.#left = '';
    this.update({
      view: inside ? null : view,
      mine: open || inside ? mine : null,
      closesAt: open ? timeOf(view?.closes_at) : null,
    });
  }
}

/** With somebody in a room, or out of it. */
export function withMoved(view: BreakoutsView, moved: BreakoutMoved): BreakoutsView {
  const { user_id, room_id } = moved;
  const others = view.inside.filter(
    (each) => each.user_id !== user_id || (!moved.inside && each.room_id !== room_id),
  );
  return { ...view, inside: moved.inside ? [...others, { user_id, room_id }] : others };
}

function timeOf(text: string | null | undefined): number | null {
  return text ? Date.parse(text) : null;
}
