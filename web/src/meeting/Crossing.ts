/**
 * A move of the meeting to another media server, as we take part in it: a second session there,
 * beside the one that we have, and what others send there.
 *
 * `MediaFlow` owns it from `media:migrate` to `media:migrated`, when the session is the only one,
 * or nothing has changed. While there are two, `shown` says which of both tracks of a source is
 * to be seen and heard: the new one as soon as something comes by it.
 */
import type { MediaSession } from './MediaSession';
import type { MediaMigrate, MediaPlane, Stream } from './protocol.generated';
import type { Receiving } from './Receiver';

/** A new track that nothing comes by after so long is shown all the same. */
const PATIENCE_MS = 2500;
const LOOK_MS = 150;
/** What fails so often is left to the end of the move, when all who have not crossed begin anew. */
const ATTEMPTS = 3;

export class Crossing {
  readonly plane: MediaPlane;
  /** What others send there, by producer id. */
  readonly streams = new Map<string, Stream>();
  session: MediaSession | null = null;
  /** The socket on which the server was told that we have crossed. */
  toldOn: string | undefined;
  #failures = 0;

  constructor({ epoch, generation, streams }: MediaMigrate) {
    this.plane = { epoch, generation };
    this.know(streams);
  }

  get alive(): boolean {
    return this.session !== null && !this.session.closed;
  }

  get hopeless(): boolean {
    return this.#failures >= ATTEMPTS;
  }

  /** All that is sent there now. */
  know(streams: readonly Stream[]): void {
    this.streams.clear();
    for (const stream of streams) this.streams.set(stream.producer_id, stream);
  }

  hear(stream: Stream, gone: boolean): void {
    if (gone) this.forget(stream.producer_id);
    else this.streams.set(stream.producer_id, stream);
  }

  forget(producerId: string): void {
    this.streams.delete(producerId);
    this.session?.receiver.forget(producerId);
  }

  failed(): void {
    this.#failures += 1;
    this.close();
  }

  close(): void {
    this.session?.close();
    this.session = null;
    this.toldOn = undefined;
  }
}

/** Which tracks of a new session something has come by. */
export class Arrivals {
  readonly #since = new Map<string, number>();
  readonly #arrived = new Set<string>();
  #timer: ReturnType<typeof setInterval> | undefined;

  /** @param changed called when there are more of them. */
  constructor(
    private readonly session: MediaSession,
    private readonly changed: () => void,
  ) {
    this.#timer = setInterval(() => void this.#look(), LOOK_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Whether there is no reason (any more) to show an older track in the place of this one. */
  has({ track, producer, layer }: Receiving): boolean {
    if (this.#arrived.has(track.id)) return true;
    // Nothing is to come, or it was waited for long enough.
    const since = this.#since.get(track.id) ?? Date.now();
    this.#since.set(track.id, since);
    return producer.paused || layer === null || Date.now() - since > PATIENCE_MS;
  }

  async #look(): Promise<void> {
    if (this.session.closed) return this.stop();
    const waiting = [...this.session.receiver.receiving.values()].filter((each) => !this.has(each));
    if (waiting.length === 0) return;
    const reports = await this.session.transports.stats().catch(() => []);
    for (const report of reports.flatMap((each) => [...each.values()])) {
      if (report.type !== 'inbound-rtp') continue;
      const came = report.kind === 'video' ? report.framesDecoded : report.packetsReceived;
      if (came > 0) this.#arrived.add(report.trackIdentifier);
    }
    if (this.#timer !== undefined) this.changed();
  }
}

/** Each source once: of two tracks, the newer one where it is `ready`. */
export function shown(
  older: Iterable<Receiving>,
  newer: Iterable<Receiving>,
  ready: (each: Receiving) => boolean,
): Receiving[] {
  const found = new Map([...older].map((each) => [sourceOf(each.producer), each]));
  for (const each of newer) {
    const source = sourceOf(each.producer);
    if (!found.has(source) || ready(each)) found.set(source, each);
  }
  return [...found.values()];
}

export function sourceOf({ user_id, source }: Stream): string {
  return `${user_id}/${source}`;
}
