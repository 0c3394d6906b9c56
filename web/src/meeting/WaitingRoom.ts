/** Who waits to be let in, as hosts see it. */
import type { Concern, Hears, Line } from './Line';
import type { RoomJoined, WaitingPerson } from './protocol.generated';
import { Store } from './Store';

export class WaitingRoom extends Store<readonly WaitingPerson[]> implements Concern {
  constructor(private readonly line: Line) {
    super([]);
  }

  readonly hears: Hears = {
    'waiting:added': ({ user_id, display_name, since }) => {
      if (!this.get().some((person) => person.user_id === user_id)) {
        this.line.notices.post(`${display_name} is in the waiting room`);
      }
      this.#drop([user_id]);
      this.set([...this.get(), { user_id, display_name, since }]);
    },
    'waiting:left': ({ user_id }) => this.#drop([user_id]),
  };

  entered(room: RoomJoined): void {
    this.set(room.waiting);
  }

  reset(): void {
    this.set([]);
  }

  async admit(userId: string): Promise<void> {
    const said = { target_user_ids: [userId] };
    if (await this.line.order('waiting:admit', said)) this.#drop([userId]);
  }

  async admitAll(): Promise<void> {
    const admitted = await this.line.order('waiting:admit', { all: true });
    if (admitted) this.#drop(admitted.user_ids);
  }

  async deny(userId: string): Promise<void> {
    if (await this.line.order('waiting:deny', { target_user_id: userId })) this.#drop([userId]);
  }

  #drop(userIds: readonly string[]): void {
    const rest = this.get().filter(({ user_id }) => !userIds.includes(user_id));
    if (rest.length !== this.get().length) this.set(rest);
  }
}
