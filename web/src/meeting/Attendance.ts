/**
 * Being where one should be: connected, with a good token, and joined to the place.
 *
 * One step (`#step`) brings that about, and then lets the media agree; whatever happens only
 * changes what should be and asks for another step. So a reconnect, a resume, a `media:reset`, a
 * breakout room and a first join are the same path. `MeetingClient` owns one for as long as the
 * person stays.
 */
import type { Credentials } from './Credentials';
import { codeOf, passes, RequestError } from './errors';
import type { RoomJoined } from './protocol.generated';
import { Reconciler } from './Reconciler';
import { SignalingClient } from './SignalingClient';
import { TokenKeeper } from './TokenKeeper';

export interface AttendanceHandlers {
  /** A new socket's events can be heard from now on. */
  listen(signaling: SignalingClient): void;
  /** Joined, or joined again; called before any event that the server sent after it. */
  entered(room: RoomJoined): void;
  /** A host has to let us in. */
  waits(): void;
  /** The socket is gone; another one comes by itself. */
  lost(): void;
  /** Whether transports are to come with the join. */
  needsTransports(): boolean;
  /** Joined: brings the media up to that. @throws to be called again. */
  agree(signaling: SignalingClient, room: RoomJoined, stale: () => boolean): Promise<void>;
  /** It takes longer than it should. */
  slow(error: unknown): void;
  /** What only a person can change, or what failed too often. */
  failed(error: unknown): void;
}

const RETRY_MS = { first: 400, longest: 5000 };
/** A first join that failed so often in a row is given up; once in, we never give up. */
const JOIN_ATTEMPTS = 8;

export class Attendance {
  readonly signaling: SignalingClient;
  readonly #reconciler: Reconciler;
  readonly #keeper: TokenKeeper;
  #place: string;
  #room: RoomJoined | null = null;
  /** The sockets on which we are in, or wait to be let in. */
  #joinedOn: string | undefined;
  #waitingOn: string | undefined;
  /** For which place the socket's token was given. */
  #tokenFor = '';
  #refusals = 0;

  constructor(
    place: string,
    private readonly displayName: string,
    private readonly credentials: Credentials,
    private readonly handlers: AttendanceHandlers,
  ) {
    this.#place = place;
    this.signaling = new SignalingClient(place, () => this.#token(), {
      connected: () => this.kick(),
      disconnected: () => this.#disconnected(),
      refused: (error) => this.#refused(error),
    });
    this.#reconciler = new Reconciler(
      (stale) => this.#step(stale),
      (error, failures) => this.#stepFailed(error, failures),
    );
    this.#keeper = new TokenKeeper(
      (token) => credentials.longerThan(this.#place, token),
      (token) => this.#handOver(token),
    );
    this.signaling.on('room:joined', (room) => {
      // Let in from the waiting room; everybody else has the answer of `room:join`.
      if (this.#waitingOn !== this.signaling.id || room.meeting_id !== this.#place) return;
      this.#entered(room);
      this.kick();
    });
    handlers.listen(this.signaling);
  }

  /** Where we should be: the meeting, or one of its breakout rooms. */
  get place(): string {
    return this.#place;
  }

  /** What the server said when we joined; null until then. */
  get room(): RoomJoined | null {
    return this.#room;
  }

  /** Whether the server's events are about the room that we know. */
  get inside(): boolean {
    return this.#room !== null && this.#joinedOn === this.signaling.id;
  }

  start(): void {
    this.signaling.connect();
  }

  /** For good. */
  stop(): void {
    this.#reconciler.stop();
    this.#keeper.stop();
    this.signaling.close();
    this.#room = null;
  }

  /** No more steps, but what is being said may still be said. */
  rest(): void {
    this.#reconciler.stop();
    this.#keeper.stop();
  }

  /** Something changed. */
  kick(): void {
    this.#reconciler.kick();
  }

  /** Something failed that another step may mend. */
  retry(): void {
    this.#reconciler.kickIn(RETRY_MS.first);
  }

  /** What is being done is pointless now: begins anew after so long. */
  interrupt(afterMs = 0): void {
    this.#reconciler.interrupt(afterMs);
  }

  /** The server does not know us. */
  rejoin(): void {
    this.#joinedOn = undefined;
    this.kick();
  }

  move(place: string): void {
    this.#place = place;
    this.#room = null;
    this.#joinedOn = this.#waitingOn = undefined;
    this.interrupt();
  }

  /** What the server told of the room, first or anew. */
  know(room: RoomJoined): void {
    this.#room = room;
    this.credentials.setResumeToken(room.meeting_id, room.resume_token);
  }

  async #token(): Promise<string> {
    const place = this.#place;
    const token = await this.credentials.forSocket(place);
    this.#tokenFor = place;
    this.#keeper.follow(token);
    return token;
  }

  async #handOver(token: string): Promise<void> {
    await this.signaling.request('auth:refresh', { token });
  }

  async #step(stale: () => boolean): Promise<void> {
    const { signaling } = this;
    if (!signaling.connected || this.#waitingOn === signaling.id) return;
    if (!this.inside) await this.#enter(stale);
    if (stale() || !this.#room || !this.inside) return;
    await this.handlers.agree(signaling, this.#room, stale);
  }

  /** Joins the place where we should be, with a token that was given for it. */
  async #enter(stale: () => boolean): Promise<void> {
    const { signaling } = this;
    const socket = signaling.id;
    const gone = () => stale() || socket !== signaling.id;
    if (this.#tokenFor !== this.#place) await this.#speakFor(this.#place, gone);
    if (gone()) return;
    const said = {
      meeting_id: this.#place,
      display_name: this.displayName,
      transports: this.handlers.needsTransports() ? (['send', 'recv'] as ('send' | 'recv')[]) : [],
      ...(this.#room && { since: this.#room.version }),
    };
    await signaling.request('room:join', said, {
      answered: (answer) => {
        if (gone()) return;
        // Who is in hears who waits: a list, and not `true`.
        if (answer.waiting === true) {
          this.#waitingOn = socket;
          this.handlers.waits();
        } else this.#entered(answer);
      },
    });
  }

  async #speakFor(place: string, gone: () => boolean): Promise<void> {
    const token = await this.credentials.forSocket(place);
    try {
      await this.#handOver(token);
    } catch (error) {
      const stays = codeOf(error) !== 'ACCESS_DENIED' || !this.credentials.dropRefused(place);
      throw stays ? error : new RequestError('TOKEN_REFUSED', 'another one is tried');
    }
    if (gone()) return;
    this.#tokenFor = place;
    this.#keeper.follow(token);
  }

  #entered(room: RoomJoined): void {
    this.#joinedOn = this.signaling.id;
    this.#waitingOn = undefined;
    this.#refusals = 0;
    this.know(room);
    this.handlers.entered(room);
  }

  #stepFailed(error: unknown, failures: number): number {
    // For whoever has the browser's console open: what is shown to the person is gentler.
    console.warn('kcs: the meeting is not as it should be yet', error);
    const never = this.#room === null;
    if (codeOf(error) === 'NOT_JOINED') this.#joinedOn = undefined;
    else if (!passes(error) || (never && failures >= JOIN_ATTEMPTS)) this.handlers.failed(error);
    else if (failures > 1) this.handlers.slow(error);
    const backoff = Math.min(RETRY_MS.first * 2 ** (failures - 1), RETRY_MS.longest);
    const asked = error instanceof RequestError ? (error.retryAfter ?? 0) * 1000 : 0;
    return Math.max(backoff, asked) * (0.75 + Math.random() / 2);
  }

  #disconnected(): void {
    this.#joinedOn = this.#waitingOn = undefined;
    this.handlers.lost();
    this.interrupt();
  }

  #refused(error: unknown): void {
    this.#refusals += 1;
    const retriable = codeOf(error) === 'AUTHENTICATION' && this.#refusals < 4;
    if (retriable && this.credentials.dropRefused(this.#place)) this.signaling.connect();
    else this.handlers.failed(error);
  }
}
