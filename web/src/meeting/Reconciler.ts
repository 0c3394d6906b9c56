/**
 * Runs one step again and again, never two at once, as long as somebody says that things changed.
 *
 * The step compares what is with what should be and acts; so a missed or doubled event does no
 * harm, and a failure is mended by the next step. `interrupt` is for changes after which what
 * the running step does is pointless: it is left to end on its own, and told so by `stale`.
 */
export class Reconciler {
  #wanted = false;
  #running = false;
  #stopped = false;
  #turn = 0;
  #failures = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /**
   * @param step must ask `stale()` after each wait, and touch nothing when it says yes.
   * @param failed gets the error and how many in a row; answers when to try again, in ms.
   */
  constructor(
    private readonly step: (stale: () => boolean) => Promise<void>,
    private readonly failed: (error: unknown, failures: number) => number,
  ) {}

  /** Something changed. */
  readonly kick = (): void => {
    if (this.#stopped) return;
    clearTimeout(this.#timer);
    this.#wanted = true;
    if (!this.#running) void this.#run();
  };

  /** Kicks in a while, unless kicked before. */
  kickIn(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.kick, ms);
  }

  /** All is different: abandons the running step and starts a new one after `ms`. */
  interrupt(ms = 0): void {
    this.#turn += 1;
    this.#running = false;
    this.#wanted = false;
    this.#failures = 0;
    this.kickIn(ms);
  }

  /** For good. */
  stop(): void {
    this.#turn += 1;
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  async #run(): Promise<void> {
    const turn = this.#turn;
    const stale = (): boolean => turn !== this.#turn;
    this.#running = true;
    while (this.#wanted && !stale()) {
      this.#wanted = false;
      try {
        await this.step(stale);
        if (!stale()) this.#failures = 0;
      } catch (error) {
        if (stale()) return;
        this.#failures += 1;
        const delay = this.failed(error, this.#failures);
        if (!this.#wanted && !stale()) this.kickIn(delay);
      }
    }
    if (!stale()) this.#running = false;
  }
}
