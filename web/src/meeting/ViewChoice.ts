/** Layout, pin and spotlight of this person, as they choose and as hosts choose for all. */
import type { Concern, Hears, Line } from './Line';
import type { People } from './People';
import type { Layout, RoomJoined } from './protocol.generated';
import { Store } from './Store';
import { chosen, PLAIN, screensChanged, type Viewing } from './viewing';

const LAYOUT_NAMES: Record<Layout, string> = {
  grid: 'the grid',
  speaker: 'the speaker view',
  presentation: 'the presentation view',
};

export class ViewChoice extends Store<Viewing> implements Concern {
  constructor(
    private readonly line: Line,
    private readonly people: People,
  ) {
    super(PLAIN);
  }

  readonly hears: Hears = {
    'layout:changed': ({ layout, for_all, user_id }) => {
      if (!for_all) return;
      this.set(chosen(this.get(), layout));
      if (user_id !== this.people.get().self) {
        this.line.notices.post(`A host chose ${LAYOUT_NAMES[layout]} for everybody`);
      }
    },
    'participant:spotlighted': ({ target_user_id }) => this.#spotlit(target_user_id),
    'participant:left': ({ user_id }) => {
      if (this.get().pinned === user_id) this.update({ pinned: null });
      if (this.get().spotlight === user_id) this.update({ spotlight: null });
    },
  };

  entered(room: RoomJoined): void {
    this.update({ spotlight: room.spotlight });
    // Whoever is here already may have chosen another one since.
    if (room.layout && !room.resumed) this.set(chosen(this.get(), room.layout));
  }

  reset(): void {
    this.set(PLAIN);
  }

  choose(layout: Layout): void {
    this.set(chosen(this.get(), layout));
    // For the server it is news only: the view is ours.
    this.line.ask('layout:change', { layout }).catch(() => undefined);
  }

  async chooseForAll(layout: Layout): Promise<void> {
    const changed = await this.line.order('layout:change', { layout, for_all: true });
    if (changed) this.set(chosen(this.get(), layout));
  }

  /** null unpins. */
  pin(userId: string | null): void {
    this.update({ pinned: userId });
    this.line.ask('participant:pin', { target_user_id: userId }).catch(() => undefined);
  }

  /** For hosts; null ends it. */
  async light(userId: string | null): Promise<void> {
    await this.line.order('participant:spotlight', { target_user_id: userId });
  }

  chooseScreen(producerId: string): void {
    this.update({ screen: producerId });
  }

  /** Whether a screen of somebody else's is there to be seen. */
  screensShared(shared: boolean): void {
    this.set(screensChanged(this.get(), shared));
  }

  #spotlit(userId: string | null): void {
    if (userId !== null && userId !== this.get().spotlight) {
      const self = userId === this.people.get().self;
      const who = self ? 'You are' : `${this.people.nameOf(userId)} is`;
      this.line.notices.post(`${who} in the spotlight`);
    }
    this.update({ spotlight: userId });
  }
}
