/** What holds in the meeting: its settings and its lock, and the hosts' way to change them. */
import type { Concern, Hears, Line } from './Line';
import type { RoomJoined, SettingsChange, SettingsView } from './protocol.generated';
import { Store } from './Store';

export class Rules extends Store<SettingsView | null> implements Concern {
  constructor(private readonly line: Line) {
    super(null);
  }

  readonly hears: Hears = {
    'room:locked': ({ locked }) => {
      if (locked !== this.get()?.locked) {
        this.line.notices.post(locked ? 'The meeting is locked' : 'The meeting is open again');
      }
      this.#patch({ locked });
    },
    'room:settings:changed': ({ settings }) => this.set(settings),
  };

  entered(room: RoomJoined): void {
    this.set(room.settings);
  }

  reset(): void {
    this.set(null);
  }

  /** Seen at once; back again if the server refuses. */
  async lock(locked: boolean): Promise<void> {
    this.#patch({ locked });
    if (!(await this.line.order('room:lock', { locked }))) this.#patch({ locked: !locked });
  }

  /** One switch, in the same way. */
  async change(name: keyof SettingsChange, on: boolean): Promise<void> {
    this.#patch({ [name]: on });
    const changed = await this.line.order('room:settings', { settings: { [name]: on } });
    this.#patch(changed?.settings ?? { [name]: !on });
  }

  #patch(patch: Partial<SettingsView>): void {
    const settings = this.get();
    if (settings) this.set({ ...settings, ...patch });
  }
}
