/** The emojis that float over the tiles now. */
import { codeOf, refusal } from './errors';
import type { Concern, Hears, Line } from './Line';
import type { ChatReaction, Emoji } from './protocol.generated';
import { Store } from './Store';

export interface Floating {
  id: number;
  userId: string;
  name: string;
  emoji: string;
}

/** As long as the animation takes (styles/stage.css). */
const SHOWN_MS = 4000;
/** With many clapping at once, the newest are enough. */
const MOST = 60;

export class Reactions extends Store<readonly Floating[]> implements Concern {
  #count = 0;

  constructor(private readonly line: Line) {
    super([]);
  }

  readonly hears: Hears = { 'reaction:received': (reaction) => this.#float(reaction) };

  entered(): void {}

  reset(): void {
    this.set([]);
  }

  async send(emoji: Emoji): Promise<void> {
    try {
      await this.line.ask('reaction:send', { emoji });
    } catch (error) {
      // Who clicks so fast knows it.
      if (codeOf(error) !== 'RATE_LIMIT_EXCEEDED') this.line.notices.post(refusal(error));
    }
  }

  #float({ user_id: userId, display_name: name, emoji }: ChatReaction): void {
    const floating = { id: ++this.#count, userId, name, emoji };
    this.set([...this.get(), floating].slice(-MOST));
    setTimeout(() => this.set(this.get().filter(({ id }) => id !== floating.id)), SHOWN_MS);
  }
}
