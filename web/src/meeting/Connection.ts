/** Reports how our connection is, every 5 s, and says what the server makes of it. */
import { type Reading, type Report, summarize } from './connectionStats';
import type { Concern, Hears, Line } from './Line';
import type { Warned } from './protocol.generated';

/** The server takes one each 5 s; a timer may be a little early. */
const PERIOD_MS = 5100;

const WARNINGS: Record<Warned['issue'], string> = {
  bandwidth: 'Your connection is slow: pictures may be less sharp for a while',
  network: 'Your connection loses much: sound and pictures may falter',
  cpu: 'Your computer is busy: your picture may be less sharp for a while',
};

export class Connection implements Concern {
  #timer: ReturnType<typeof setInterval> | undefined;
  #before: Reading | null = null;

  /** @param measure all that the browser reports of our transports now. */
  constructor(
    private readonly line: Line,
    private readonly measure: () => Promise<readonly Report[]>,
  ) {}

  readonly hears: Hears = {
    'quality:warning': ({ issue, resolved }) => {
      this.line.notices.post(resolved ? 'Your connection is good again' : WARNINGS[issue]);
    },
  };

  entered(): void {
    clearInterval(this.#timer);
    this.#timer = setInterval(() => void this.#report(), PERIOD_MS);
  }

  reset(): void {
    clearInterval(this.#timer);
    this.#before = null;
  }

  async #report(): Promise<void> {
    const reports = await this.measure();
    if (reports.length === 0) return;
    const { stats, reading } = summarize(reports, this.#before, Date.now());
    this.#before = reading;
    // The next one comes in 5 s.
    await this.line.ask('stats:report', { stats }).catch(() => undefined);
  }
}
