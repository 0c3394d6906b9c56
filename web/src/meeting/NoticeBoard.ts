/** Sentences for the person that stay for some seconds; pages show them, screen readers say them. */
import { Store } from './Store';

export interface Notice {
  id: number;
  text: string;
}

const SHOWN_MS = 5000;
/** With many joining at once, the newest few are enough. */
const MOST = 4;

export class NoticeBoard extends Store<readonly Notice[]> {
  #count = 0;

  constructor() {
    super([]);
  }

  post(text: string): void {
    const notice = { id: ++this.#count, text };
    this.set([...this.get(), notice].slice(-MOST));
    setTimeout(() => this.set(this.get().filter(({ id }) => id !== notice.id)), SHOWN_MS);
  }
}
