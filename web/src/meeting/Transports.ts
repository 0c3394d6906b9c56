/**
 * The two connections of a media session: made when needed, mended when they break.
 *
 * `room:join` brings them along where it was asked to. The DTLS parameters are handed over
 * without waiting for the answer: the server takes our requests in order, so what needs the
 * connection may follow at once.
 */
import type { types } from 'mediasoup-client';
import { codeOf } from './errors';
import type { Asks } from './PlaneLine';
import type { ClientToServer, IceServers, Source, Transport } from './protocol.generated';

/** How long a connection may be gone before ICE is restarted, and a restart may take. */
const ICE_PATIENCE_MS = 3000;
const ICE_RESTART_MS = 5000;
/** New TURN credentials that could not be had are asked for again after this. */
const ICE_SERVERS_AGAIN_MS = 5000;
/** Before another session is opened where the server refused this one. */
const REFUSED_AGAIN_MS = 1000;

export type Direction = Transport['direction'];

export class Transports {
  #made = new Map<Direction, Promise<types.Transport>>();
  #open: types.Transport[] = [];
  #closed = false;
  #iceServersTimer: ReturnType<typeof setTimeout> | undefined;

  /** @param broken called once, if a connection cannot be mended; another session after so long. */
  constructor(
    private readonly meetingId: string,
    private readonly signaling: Asks,
    private readonly device: types.Device,
    private readonly relayOnly: boolean,
    private readonly broken: (afterMs: number) => void,
  ) {}

  /** Takes up those that came with the join. */
  adopt(created: readonly Transport[]): void {
    for (const each of created) this.#made.set(each.direction, Promise.resolve(this.#take(each)));
  }

  /** That of the direction; the first time it is asked for where the join did not bring it. */
  get(direction: Direction): Promise<types.Transport> {
    let transport = this.#made.get(direction);
    if (!transport) {
      transport = this.signaling
        .request('transport:create', { meeting_id: this.meetingId, direction })
        .then((created) => this.#take(created));
      this.#made.set(direction, transport);
      transport.catch(() => this.#made.delete(direction));
    }
    return transport;
  }

  /** All that the browser knows of them. */
  async stats(): Promise<RTCStatsReport[]> {
    return Promise.all(this.#open.map((transport) => transport.getStats()));
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#iceServersTimer);
    for (const transport of this.#open) transport.close();
  }

  #take(created: Transport): types.Transport {
    const options: types.TransportOptions = {
      id: created.transport_id,
      iceParameters: created.ice_parameters,
      iceCandidates: created.ice_candidates,
      dtlsParameters: created.dtls_parameters,
      iceServers: created.ice_servers,
      ...(this.relayOnly && { iceTransportPolicy: 'relay' as const }),
    };
    const transport =
      created.direction === 'send'
        ? this.device.createSendTransport(options)
        : this.device.createRecvTransport(options);
    this.#open.push(transport);
    if (this.#closed) {
      transport.close();
      return transport;
    }
    this.#answer(transport);
    this.#mendWhenBroken(transport);
    this.#refreshIceServersIn(created);
    return transport;
  }

  #answer(transport: types.Transport): void {
    transport.on('connect', ({ dtlsParameters }, done) => {
      const said = { transport_id: transport.id, dtls_parameters: dtlsParameters };
      this.#onceOnly('transport:connect', said).catch(() => this.#giveUp(REFUSED_AGAIN_MS));
      done();
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
  }

  /** A request that must not be made twice: if its answer is lost, all begins anew. */
  async #onceOnly<E extends keyof ClientToServer>(
    event: E,
    payload: ClientToServer[E]['payload'],
  ): Promise<ClientToServer[E]['answer']> {
    try {
      return await this.signaling.request(event, payload);
    } catch (error) {
      const code = codeOf(error);
      if (code === 'DISCONNECTED' || code === 'TIMEOUT') this.#giveUp(0);
      throw error;
    }
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
    await Promise.all(this.#open.map((each) => each.updateIceServers({ iceServers })));
  }

  /** Restarts ICE when the connection stays away, and gives up if that fails. */
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
      timer = setTimeout(() => this.#giveUp(0), ICE_RESTART_MS);
      try {
        const [{ ice_parameters: iceParameters }] = await Promise.all([
          this.signaling.request('transport:restart-ice', { transport_id: transport.id }),
          this.#refreshIceServers(),
        ]);
        await transport.restartIce({ iceParameters });
      } catch {
        this.#giveUp(0);
      }
    };
    transport.observer.on('close', calm);
    transport.on('connectionstatechange', (state) => {
      if (state === 'connected') calm();
      else if (state === 'disconnected') timer ??= setTimeout(restart, ICE_PATIENCE_MS);
      else if (state === 'failed') timer ??= setTimeout(restart, 0);
    });
  }

  #giveUp(afterMs: number): void {
    if (this.#closed) return;
    this.close();
    this.broken(afterMs);
  }
}
