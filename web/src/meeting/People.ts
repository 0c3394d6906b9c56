/** The people of the meeting as they come, go and change, and what is said of that. */
import type { Concern, Hears, Line } from './Line';
import type { Person, ServerToClient } from './protocol.generated';
import { ROLE_NAMES } from './roles';
import { apply, EMPTY_ROSTER, fromJoined, me, nameOf, ROSTER_EVENTS, type Roster } from './roster';
import { Store } from './Store';

export class People extends Store<Roster> implements Concern {
  readonly hears: Hears;

  constructor(private readonly line: Line) {
    super(EMPTY_ROSTER);
    const hears = ROSTER_EVENTS.map((event) => [event, (data: never) => this.#hear(event, data)]);
    this.hears = Object.fromEntries(hears);
  }

  get me(): Person | undefined {
    return me(this.get());
  }

  entered(room: Parameters<typeof fromJoined>[0]): void {
    this.set(fromJoined(room));
  }

  reset(): void {
    this.set(EMPTY_ROSTER);
  }

  /** A name to show; "Somebody" who is not known. */
  nameOf(userId: string): string {
    return nameOf(this.get(), userId);
  }

  async raiseHand(raised: boolean): Promise<void> {
    if (raised) return void (await this.line.order('hand:raise', {}));
    const { self: user_id } = this.get();
    // At once, so that what we hear afterwards is known to be our own doing.
    this.set(apply(this.get(), 'hand:lowered', { meeting_id: '', user_id }));
    await this.line.order('hand:lower', {});
  }

  #hear<E extends keyof ServerToClient>(event: E, data: ServerToClient[E]): void {
    const text = this.#news(event, data);
    this.set(apply(this.get(), event, data));
    if (text) this.line.notices.post(text);
  }

  /** What a person hears about it; told before it is applied, so that who leaves has a name. */
  #news<E extends keyof ServerToClient>(event: E, data: ServerToClient[E]): string | null {
    const tell = NEWS[event] as
      | ((roster: Roster, data: ServerToClient[E]) => string | null)
      | undefined;
    return tell ? tell(this.get(), data) : null;
  }
}

type News = {
  [E in keyof ServerToClient]?: (roster: Roster, data: ServerToClient[E]) => string | null;
};

const NEWS: News = {
  'participant:joined': (roster, { user_id, display_name }) =>
    user_id === roster.self || roster.participants.has(user_id) ? null : `${display_name} joined`,
  'participant:left': (roster, { user_id }) => {
    const known = roster.participants.get(user_id);
    return known && user_id !== roster.self ? `${known.display_name} left` : null;
  },
  'hand:raised': (roster, { user_id, display_name }) =>
    user_id === roster.self ? null : `${display_name} raised a hand`,
  'hand:lowered': (roster, { user_id }) =>
    user_id === roster.self && me(roster)?.hand_raised_at ? 'A host lowered your hand' : null,
  'participant:role:changed': (roster, { user_id, new_role }) =>
    user_id === roster.self ? `You are ${withArticle(ROLE_NAMES[new_role])} now` : null,
};

function withArticle(role: string): string {
  return /^[AEIOU]/.test(role) ? `an ${role.toLowerCase()}` : `a ${role.toLowerCase()}`;
}
