/**
 * One life of our media: a device, two transports, and what flows over them.
 *
 * `MeetingClient` opens one after joining and closes it when the server's media plane is new or
 * our connection cannot be mended; nothing is ever revived. It closes from the top: `close()`
 * closes the transports, they close all producers and consumers, and what was being asked of
 * the server fails quietly. Local tracks are not its own and stay live.
 */
import { Device, type types } from 'mediasoup-client';
import { encodingOf } from './encodings';
import { codeOf, RequestError } from './errors';
import type {
  Direction,
  IceServers,
  Layer,
  MediaPlane,
  RemoteProducer,
  Requests,
  RoomJoined,
  Source,
} from './protocol';
import type { SignalingClient } from './SignalingClient';

/** How long a connection may be gone before ICE is restarted, and a restart may take. */
const ICE_PATIENCE_MS = 3000;
const ICE_RESTART_MS = 5000;
/** New TURN credentials that could not be had are asked for again after this. */
const ICE_SERVERS_AGAIN_MS = 5000;

export interface RemoteTrack {
  producer: RemoteProducer;
  track: MediaStreamTrack;
}

interface Receiving extends RemoteTrack {
  consumer: types.Consumer;
  layered: boolean;
  /** What the server sends now; null: the consumer is paused there. */
  layer: Layer | null;
}

interface Sending {
  producer: types.Producer;
  /** What the server was told last. */
  enabled: boolean;
}

export interface MediaSessionOptions {
  /** Media goes through a TURN server, even where a direct way exists. */
  relayOnly: boolean;
}

export interface MediaSessionHandlers {
  /** What is received has changed. */
  changed(): void;
  /** The layer in which a producer is wanted now; null: not at all. */
  layerOf(producer: RemoteProducer): Layer | null;
  /** A connection could not be mended: the session is closed, another is needed. */
  broken(): void;
}

export class MediaSession {
  readonly sending = new Map<Source, Sending>();
  readonly receiving = new Map<string, Receiving>();
  #asked = new Set<string>();
  #capabilitiesSentOn: string | undefined;
  #closed = false;
  #transports: types.Transport[] = [];
  #send!: types.Transport;
  #recv!: types.Transport;
  #iceServersTimer: ReturnType<typeof setTimeout> | undefined;

  private constructor(
    readonly plane: MediaPlane,
    private readonly meetingId: string,
    private readonly signaling: SignalingClient,
    private readonly device: Device,
    private readonly options: MediaSessionOptions,
    private readonly handlers: MediaSessionHandlers,
  ) {}

  /** Loads a device and makes both transports. @throws RequestError; UnsupportedError. */
  static async open(
    signaling: SignalingClient,
    room: RoomJoined,
    options: MediaSessionOptions,
    handlers: MediaSessionHandlers,
  ): Promise<MediaSession> {
    if (options.relayOnly && room.ice_ttl_seconds === null) {
      throw new RequestError('NO_RELAY', 'the server offers no TURN server');
    }
    const device = await Device.factory();
    await device.load({ routerRtpCapabilities: room.rtp_capabilities });
    const { media, meeting_id } = room;
    const session = new MediaSession(media, meeting_id, signaling, device, options, handlers);
    try {
      [session.#send, session.#recv] = await Promise.all([
        session.#openTransport('send'),
        session.#openTransport('recv'),
      ]);
    } catch (error) {
      session.close();
      throw error;
    }
    return session;
  }

  get closed(): boolean {
    return this.#closed;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#iceServersTimer);
    for (const transport of this.#transports) transport.close();
    this.sending.clear();
    this.receiving.clear();
  }

  /** Makes what the server gets of a source agree with the track; null: nothing is sent. */
  async send(source: Source, track: MediaStreamTrack | null): Promise<void> {
    const enabled = track?.enabled ?? false;
    const sending = this.sending.get(source);
    if (!sending) {
      if (track) await this.#produce(source, track);
    } else if (source === 'screen' || source === 'screen_audio') {
      if (sending.producer.track !== track) await this.#stopProducing(source, sending.producer);
    } else {
      if (sending.producer.track !== track) await sending.producer.replaceTrack({ track });
      if (sending.enabled !== enabled) await this.#toggle(source, sending, enabled);
    }
  }

  /** After a rejoin: what the server holds to be on, so that `send` can put it right. */
  assume(source: Source, enabled: boolean): void {
    const sending = this.sending.get(source);
    if (sending) sending.enabled = enabled;
  }

  /** Whether that producer is received, or is being asked for. */
  has(producerId: string): boolean {
    return this.#asked.has(producerId);
  }

  /** Receives a producer: asks for a consumer, takes it up, then asks for its media. */
  async receive(producer: RemoteProducer): Promise<void> {
    const { producer_id: id } = producer;
    this.#asked.add(id);
    try {
      const first = this.#capabilitiesSentOn !== this.signaling.id;
      this.#capabilitiesSentOn = this.signaling.id;
      const created = await this.signaling.request('consume', {
        producer_id: id,
        ...(first && { rtp_capabilities: this.device.recvRtpCapabilities }),
      });
      // It may have ended, with all else, while the server answered.
      if (this.#closed || !this.#asked.has(id)) return;
      const consumer = await this.#recv.consume({
        id: created.consumer_id,
        producerId: id,
        kind: created.kind,
        rtpParameters: created.rtp_parameters,
        // The browser keeps tracks of one stream in step: lips with the voice, not with the screen.
        streamId: `${created.user_id}-${producer.source.startsWith('screen') ? 'screen' : 'person'}`,
      });
      if (this.#closed || !this.#asked.has(id)) return consumer.close();
      const layered = created.type === 'simulcast';
      const { track } = consumer;
      this.receiving.set(id, { producer, track, consumer, layered, layer: null });
      this.handlers.changed();
      await this.show(id, this.handlers.layerOf(producer));
    } catch (error) {
      this.#capabilitiesSentOn = undefined;
      if (!this.#closed) this.forget(id);
      throw error;
    }
  }

  /** The producer or its consumer is gone at the server. */
  forget(producerId: string): void {
    this.#asked.delete(producerId);
    const receiving = this.receiving.get(producerId);
    if (!receiving) return;
    this.receiving.delete(producerId);
    receiving.consumer.close();
    this.handlers.changed();
  }

  /** Asks for a picture's layer as large as it is shown; null: not shown, nothing is sent. */
  async show(producerId: string, layer: Layer | null): Promise<void> {
    const receiving = this.receiving.get(producerId);
    if (!receiving || receiving.layer === layer) return;
    const before = receiving.layer;
    receiving.layer = layer;
    const consumer = { consumer_id: receiving.consumer.id };
    try {
      if (layer === null) return void (await this.signaling.request('consumer:pause', consumer));
      // The server takes them in this order: nothing is sent in a layer that nobody wants.
      await Promise.all([
        receiving.layered &&
          this.signaling.request('quality:change', { producer_id: producerId, layer }),
        before === null && this.signaling.request('consumer:resume', consumer),
      ]);
    } catch (error) {
      receiving.layer = before;
      throw error;
    }
  }

  async #produce(source: Source, track: MediaStreamTrack): Promise<void> {
    const producer = await this.#send.produce({
      track,
      ...encodingOf(source, this.device.sendRtpCapabilities.codecs ?? []),
      stopTracks: false,
      // LocalMedia switches its tracks itself.
      disableTrackOnPause: false,
      appData: { source, paused: !track.enabled },
    });
    this.sending.set(source, { producer, enabled: producer.appData.paused !== true });
  }

  async #stopProducing(source: Source, producer: types.Producer): Promise<void> {
    this.sending.delete(source);
    producer.close();
    await this.signaling.request('produce:close', { producer_id: producer.id });
  }

  async #toggle(source: Source, sending: Sending, enabled: boolean): Promise<void> {
    const kind = source === 'mic' ? 'audio' : 'video';
    await this.signaling.request('media:toggle', { meeting_id: this.meetingId, kind, enabled });
    sending.enabled = enabled;
  }

  async #openTransport(direction: Direction): Promise<types.Transport> {
    const created = await this.signaling.request('transport:create', {
      meeting_id: this.meetingId,
      direction,
    });
    const options: types.TransportOptions = {
      id: created.transport_id,
      iceParameters: created.ice_parameters,
      iceCandidates: created.ice_candidates,
      dtlsParameters: created.dtls_parameters,
      iceServers: created.ice_servers,
      ...(this.options.relayOnly && { iceTransportPolicy: 'relay' as const }),
    };
    const transport =
      direction === 'send'
        ? this.device.createSendTransport(options)
        : this.device.createRecvTransport(options);
    transport.on('connect', ({ dtlsParameters }, done, failed) => {
      const { id } = transport;
      this.#onceOnly('transport:connect', {
        transport_id: id,
        dtls_parameters: dtlsParameters,
      }).then(done, failed);
    });
    transport.on('produce', ({ kind, rtpParameters, appData }, done, failed) => {
      this.#onceOnly('produce', {
        transport_id: transport.id,
        kind: appData.source === 'screen' ? 'screen' : kind,
        rtp_parameters: rtpParameters,
        source: appData.source as Source,
        paused: appData.paused === true,
      }).then(({ producer_id }) => done({ id: producer_id }), failed);
    });
    this.#mendWhenBroken(transport);
    this.#transports.push(transport);
    // The other direction failed meanwhile.
    if (this.#closed) transport.close();
    else this.#refreshIceServersIn(created);
    return transport;
  }

  /** Half the credentials' life later, so that those at hand are always good for an ICE restart. */
  #refreshIceServersIn({ ice_ttl_seconds: ttl }: Pick<IceServers, 'ice_ttl_seconds'>): void {
    if (ttl !== null) this.#refreshIceServersAfter(ttl * 500);
  }

  #refreshIceServersAfter(ms: number): void {
    clearTimeout(this.#iceServersTimer);
    this.#iceServersTimer = setTimeout(() => {
      this.#refreshIceServers().catch(() => {
        if (!this.#closed) this.#refreshIceServersAfter(ICE_SERVERS_AGAIN_MS);
      });
    }, ms);
  }

  async #refreshIceServers(): Promise<void> {
    const fresh = await this.signaling.request('ice:refresh', { meeting_id: this.meetingId });
    if (this.#closed) return;
    this.#refreshIceServersIn(fresh);
    const { ice_servers: iceServers } = fresh;
    await Promise.all(this.#transports.map((each) => each.updateIceServers({ iceServers })));
  }

  /** A request that must not be made twice: if its answer is lost, all begins anew. */
  async #onceOnly<E extends keyof Requests>(
    event: E,
    payload: Requests[E]['payload'],
  ): Promise<Requests[E]['answer']> {
    try {
      return await this.signaling.request(event, payload);
    } catch (error) {
      const code = codeOf(error);
      if (code === 'DISCONNECTED' || code === 'TIMEOUT') this.#giveUp();
      throw error;
    }
  }

  /** Restarts ICE when the connection stays away, and gives the session up if that fails. */
  #mendWhenBroken(transport: types.Transport): void {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const calm = (): void => {
      clearTimeout(timer);
      timer = undefined;
    };
    const restart = async (): Promise<void> => {
      // Without the socket nothing can be asked; the connection may be back when it is.
      if (!this.signaling.connected) {
        timer = setTimeout(restart, ICE_PATIENCE_MS);
        return;
      }
      timer = setTimeout(() => this.#giveUp(), ICE_RESTART_MS);
      try {
        const [{ ice_parameters: iceParameters }] = await Promise.all([
          this.signaling.request('transport:restart-ice', { transport_id: transport.id }),
          this.#refreshIceServers(),
        ]);
        await transport.restartIce({ iceParameters });
      } catch {
        this.#giveUp();
      }
    };
    transport.observer.on('close', calm);
    transport.on('connectionstatechange', (state) => {
      if (state === 'connected') calm();
      else if (state === 'disconnected') timer ??= setTimeout(restart, ICE_PATIENCE_MS);
      else if (state === 'failed') timer ??= setTimeout(restart, 0);
    });
  }

  #giveUp(): void {
    if (this.#closed) return;
    this.close();
    this.handlers.broken();
  }
}
