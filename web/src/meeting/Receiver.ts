/**
 * What a session receives of others: asked for in batches, each picture in the layer in which it
 * is shown, and held back at the server while it is not.
 */
import type { types } from 'mediasoup-client';
import type { Asks } from './PlaneLine';
import { BATCH, type Consumer, type Layer, type Stream } from './protocol.generated';
import type { Transports } from './Transports';

/** The most consumers that one `consumers:resume` names. */
const MOST_RESUMED = 200;

export interface RemoteTrack {
  producer: Stream;
  track: MediaStreamTrack;
}

export interface Receiving extends RemoteTrack {
  consumer: types.Consumer;
  layered: boolean;
  /** What the server sends now; null: the consumer is paused there. */
  layer: Layer | null;
}

export interface ReceiverHandlers {
  /** What is received has changed. */
  changed(): void;
  /** The layer in which a stream is wanted now; null: not at all. */
  layerOf(stream: Stream): Layer | null;
  /** The server has nothing for us there. */
  refused(producerId: string, code: string): void;
}

export class Receiver {
  readonly receiving = new Map<string, Receiving>();
  #asked = new Set<string>();
  /** A first batch was asked for. */
  #begun = false;
  #capabilitiesSentOn: string | undefined;

  constructor(
    private readonly signaling: Asks,
    private readonly transports: Transports,
    private readonly capabilities: types.RtpCapabilities,
    private readonly handlers: ReceiverHandlers,
  ) {}

  /** Whether that stream is received, or is being asked for. */
  has(producerId: string): boolean {
    return this.#asked.has(producerId);
  }

  /**
   * Asks for streams, all batches at once.
   *
   * The very first batch flows as soon as the transport is connected, which the browser begins
   * when it has taken it up. Later ones come paused, and what is seen or heard is resumed: on a
   * connection that is there, the first pictures would come before the browser knows of them.
   *
   * @throws RequestError by the first batch that failed; those that did are not `has` any more.
   */
  async receive(streams: readonly Stream[]): Promise<void> {
    const isWanted = (stream: Stream) => this.handlers.layerOf(stream) !== null;
    // Voices before pictures.
    const wanted = streams.filter(isWanted).sort((a, b) => a.kind.localeCompare(b.kind));
    const rest = streams.filter((stream) => !isWanted(stream));
    for (const { producer_id } of streams) this.#asked.add(producer_id);
    const batches = [...chunks(wanted, BATCH), ...chunks(rest, BATCH)].map((batch, index) =>
      this.#batch(batch, this.#begun || index > 0 || wanted.length === 0),
    );
    this.#begun = true;
    const failed = (await Promise.allSettled(batches)).find(({ status }) => status === 'rejected');
    if (failed) throw (failed as PromiseRejectedResult).reason;
  }

  /** The stream or its consumer is gone at the server. */
  forget(producerId: string): void {
    this.#asked.delete(producerId);
    const receiving = this.receiving.get(producerId);
    if (!receiving) return;
    this.receiving.delete(producerId);
    receiving.consumer.close();
    this.handlers.changed();
  }

  clear(): void {
    this.#asked.clear();
    this.receiving.clear();
  }

  /**
   * Brings pictures into the layer in which they are shown.
   *
   * @throws RequestError; what the server was not told is told the next time.
   */
  async show(all: Iterable<Receiving> = this.receiving.values()): Promise<void> {
    const resumed: Receiving[] = [];
    const asked: Promise<unknown>[] = [];
    for (const receiving of all) {
      const before = receiving.layer;
      const layer = this.handlers.layerOf(receiving.producer);
      if (layer === before) continue;
      receiving.layer = layer;
      const undo = () => {
        receiving.layer = before;
      };
      if (layer === null) {
        const said = { consumer_id: receiving.consumer.id };
        asked.push(this.signaling.request('consumer:pause', said).catch(rethrow(undo)));
        continue;
      }
      // The server takes them in this order: nothing is sent in a layer that nobody wants.
      if (receiving.layered) {
        const said = { producer_id: receiving.producer.producer_id, layer };
        asked.push(this.signaling.request('quality:change', said).catch(rethrow(undo)));
      }
      if (before === null) resumed.push(receiving);
    }
    for (const some of chunks(resumed, MOST_RESUMED)) asked.push(this.#resume(some));
    await Promise.all(asked);
  }

  async #resume(some: readonly Receiving[]): Promise<void> {
    const undo = () => {
      for (const each of some) each.layer = null;
    };
    const consumer_ids = some.map(({ consumer }) => consumer.id);
    await this.signaling.request('consumers:resume', { consumer_ids }).catch(rethrow(undo));
  }

  async #batch(streams: readonly Stream[], paused: boolean): Promise<void> {
    const byId = new Map(streams.map((stream) => [stream.producer_id, stream]));
    const first = this.#capabilitiesSentOn !== this.signaling.id;
    this.#capabilitiesSentOn = this.signaling.id;
    try {
      // Where the join did not bring it, it is asked for first; the server keeps that order.
      const recv = this.transports.get('recv');
      const answer = this.signaling.request('consume:batch', {
        producer_ids: [...byId.keys()],
        paused,
        ...(first && { rtp_capabilities: this.capabilities }),
      });
      const [{ consumers, failed }, transport] = await Promise.all([answer, recv]);
      const taken = await Promise.all(
        consumers.map((created) => this.#take(transport, created, byId, paused)),
      );
      for (const { producer_id, code } of failed) {
        this.#asked.delete(producer_id);
        this.handlers.refused(producer_id, code);
      }
      await this.show(taken.filter((each) => each !== null));
    } catch (error) {
      this.#capabilitiesSentOn = undefined;
      if (this.receiving.size === 0) this.#begun = false;
      for (const id of byId.keys()) if (!this.receiving.has(id)) this.#asked.delete(id);
      throw error;
    }
  }

  async #take(
    transport: types.Transport,
    created: Consumer,
    streams: ReadonlyMap<string, Stream>,
    paused: boolean,
  ): Promise<Receiving | null> {
    const { producer_id: id, user_id, source } = created;
    const producer = streams.get(id);
    // It may have ended, with all else, while the server answered.
    if (!producer || !this.#asked.has(id)) return null;
    const consumer = await transport.consume({
      id: created.consumer_id,
      producerId: id,
      kind: created.kind,
      rtpParameters: created.rtp_parameters,
      // The browser keeps tracks of one stream in step: lips with the voice, not with the screen.
      streamId: `${user_id}-${source.startsWith('screen') ? 'screen' : 'person'}`,
    });
    if (!this.#asked.has(id)) {
      consumer.close();
      return null;
    }
    const layered = created.type === 'simulcast';
    const layer = paused ? null : 'high';
    const receiving: Receiving = { producer, track: consumer.track, consumer, layered, layer };
    this.receiving.set(id, receiving);
    this.handlers.changed();
    return receiving;
  }
}

function rethrow(undo: () => void): (error: unknown) => never {
  return (error) => {
    undo();
    throw error;
  };
}

/** In pieces of at most `size`. */
export function chunks<T>(all: readonly T[], size: number): T[][] {
  const count = Math.ceil(all.length / size);
  return Array.from({ length: count }, (_, index) => all.slice(index * size, (index + 1) * size));
}
