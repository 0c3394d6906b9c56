/**
 * The socket to signaling: typed requests with acknowledgements, typed events, fast reconnection.
 *
 * It knows nothing of meetings. `MeetingClient` owns one, for as long as the person stays; the
 * socket below it comes and goes, and each new one has another `id`.
 */
import { io, type Socket } from 'socket.io-client';
import { RequestError } from './errors';
import type { Ack, ClientToServer, ServerToClient } from './protocol.generated';

const REQUEST_TIMEOUT_MS = 10_000;
/** With jitter of half: from 0.1 s to 2.1 s. */
const RECONNECT_MS = { first: 200, longest: 1400 };

export interface SignalingHandlers {
  /** A new socket is up: nothing is joined on it yet. */
  connected(): void;
  /** The socket is gone; `MeetingClient` need do nothing for another to come. */
  disconnected(): void;
  /** The server refused the token, or none could be had; nothing more happens by itself. */
  refused(error: unknown): void;
}

export interface RequestOptions<Answer> {
  timeoutMs?: number;
  /** Called before any event that the server sent after its answer is heard. */
  answered?(answer: Answer): void;
}

export class SignalingClient {
  #socket: Socket;
  #closed = false;

  /**
   * @param meetingId named in the socket's URL, for load balancers that gather a meeting's people on
   *   one replica; the server itself does not read it.
   * @param token asked for at each connection, so that the newest is used.
   */
  constructor(meetingId: string, token: () => Promise<string>, handlers: SignalingHandlers) {
    this.#socket = io('/meeting', {
      path: '/socket.io/',
      query: { meeting: mainMeeting(meetingId) },
      transports: ['websocket', 'polling'],
      tryAllTransports: true,
      autoConnect: false,
      forceNew: true,
      timeout: 5000,
      reconnectionDelay: RECONNECT_MS.first,
      reconnectionDelayMax: RECONNECT_MS.longest,
      randomizationFactor: 0.5,
      auth: (give) => {
        token().then(
          (text) => give({ token: text }),
          (error) => {
            if (passesByItself(error)) return this.#socket.io.engine.close();
            this.close();
            handlers.refused(error);
          },
        );
      },
    });
    this.#socket.on('connect', handlers.connected);
    this.#socket.on('disconnect', (reason) => {
      handlers.disconnected();
      // socket.io takes this for a farewell; here it is a replica that shuts down.
      if (reason === 'io server disconnect' && !this.#closed) this.#connectSoon();
    });
    this.#socket.on('connect_error', (error) => {
      if (this.#socket.active || this.#closed) return;
      handlers.refused(new RequestError('AUTHENTICATION', error.message));
    });
  }

  get connected(): boolean {
    return this.#socket.connected;
  }

  /** Names the present connection; another one after each reconnection. */
  get id(): string | undefined {
    return this.#socket.id;
  }

  connect(): void {
    this.#socket.connect();
  }

  close(): void {
    this.#closed = true;
    this.#socket.disconnect();
  }

  on<E extends keyof ServerToClient>(event: E, handler: (data: ServerToClient[E]) => void): void {
    this.#socket.on(event as string, handler);
  }

  /**
   * Asks the server and waits for its acknowledgement.
   *
   * @throws RequestError with the server's code, or `DISCONNECTED`, or `TIMEOUT`.
   */
  async request<E extends keyof ClientToServer>(
    event: E,
    payload: ClientToServer[E]['payload'],
    { timeoutMs = REQUEST_TIMEOUT_MS, answered }: RequestOptions<ClientToServer[E]['answer']> = {},
  ): Promise<ClientToServer[E]['answer']> {
    // Without this check socket.io would keep the request and send it on a later connection.
    if (!this.connected) throw new RequestError('DISCONNECTED', `${event}: not connected`);
    const ack = await new Promise<Ack<ClientToServer[E]['answer']>>((resolve, reject) => {
      this.#socket
        .timeout(timeoutMs)
        .emit(event as string, payload, (late: unknown, ack: Ack<never>) => {
          if (late) {
            const code = this.connected ? 'TIMEOUT' : 'DISCONNECTED';
            return reject(new RequestError(code, `${event}: no answer`));
          }
          if (ack.ok) answered?.(ack.data);
          resolve(ack);
        });
    });
    if (ack.ok) return ack.data;
    throw new RequestError(ack.error.code, ack.error.message, ack.error.retry_after);
  }

  /** Says something without waiting: for a page that is about to close. */
  tell<E extends keyof ClientToServer>(event: E, payload: ClientToServer[E]['payload']): void {
    if (this.connected) this.#socket.emit(event as string, payload);
  }

  #connectSoon(): void {
    const delay = RECONNECT_MS.first * (1 + Math.random());
    setTimeout(() => {
      if (!this.#closed) this.#socket.connect();
    }, delay);
  }
}

/** A token could not be fetched because the service is away: the next attempt may have it. */
function passesByItself(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : '';
  return code === 'UNREACHABLE' || code === 'UNAVAILABLE';
}

/** A breakout room's id is its main meeting's and a number: all of them belong on one replica. */
function mainMeeting(meetingId: string): string {
  return meetingId.replace(/:\d+$/, '');
}
