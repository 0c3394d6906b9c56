/** Keeps the socket's token good: hands a newer one over before the present one ends. */
import { expiryOf } from './tokens';

/** So long before the end; an account's token is renewed in its last minute. */
const BEFORE_MS = 45_000;
const AGAIN_MS = 10_000;
/** The longest that a browser's timer takes. */
const LONGEST_MS = 2 ** 31 - 1;

export class TokenKeeper {
  #token = '';
  #timer: ReturnType<typeof setTimeout> | undefined;

  /**
   * @param longerThan a token that lasts longer than the one given; null: there is none.
   * @param handOver gives it to the server. @throws if that has to be tried again.
   */
  constructor(
    private readonly longerThan: (token: string) => Promise<string | null>,
    private readonly handOver: (token: string) => Promise<void>,
  ) {}

  /** The token that the socket speaks with now. */
  follow(token: string): void {
    this.#token = token;
    this.#wait(expiryOf(token) - Date.now() - BEFORE_MS);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #wait(ms: number): void {
    clearTimeout(this.#timer);
    // Whatever ends later than a timer can wait outlasts the page.
    if (ms <= LONGEST_MS) this.#timer = setTimeout(() => void this.#renew(), Math.max(0, ms));
  }

  async #renew(): Promise<void> {
    const old = this.#token;
    try {
      const token = await this.longerThan(old);
      if (!token || old !== this.#token) return;
      await this.handOver(token);
      if (old === this.#token) this.follow(token);
    } catch {
      if (old === this.#token) this.#wait(AGAIN_MS);
    }
  }
}
