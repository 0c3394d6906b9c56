/**
 * Makes the media agree with what should be: a session of the server's present media plane; what
 * LocalMedia has is sent as far as our role allows; what others send is received as it is seen.
 *
 * The step of `MeetingClient` calls `open` and `agree`; everything else here only changes what
 * should be.
 */

import type { Report } from './connectionStats';
import { layerFor } from './encodings';
import { codeOf, refusal } from './errors';
import type { LocalMedia } from './LocalMedia';
import type { MediaDevice } from './MediaDevice';
import { MediaSession, type MediaSessionOptions } from './MediaSession';
import type { NoticeBoard } from './NoticeBoard';
import type { People } from './People';
import type { Layer, RoomJoined, Stream, Transport } from './protocol.generated';
import type { RemoteTrack } from './Receiver';
import { may } from './roles';
import { comparePlanes, withoutStream } from './roster';
import type { SignalingClient } from './SignalingClient';
import { Store } from './Store';

/** What is on the page: height in device pixels by user id, and of screens by producer id. */
export interface View {
  tiles: ReadonlyMap<string, number>;
  screens: ReadonlyMap<string, number>;
}

export interface MediaFlowHandlers {
  /** The session is gone: another step is needed, after so long. */
  broken(afterMs: number): void;
  /** Something failed that another step may mend. */
  retry(): void;
  /** The server does not know us: join again. */
  notJoined(): void;
}

const VIEW_DEBOUNCE_MS = 250;
/** Until the page has said what it shows: so many pictures, in layers by how many there are. */
const GUESS = { shown: 24, high: 2, medium: 6 };

/** What is received now. */
export class MediaFlow extends Store<readonly RemoteTrack[]> {
  #session: MediaSession | null = null;
  /** Transports that came with the join and wait for a session. */
  #given: readonly Transport[] = [];
  #view: View | null = null;
  #viewTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly local: LocalMedia,
    private readonly people: People,
    private readonly notices: NoticeBoard,
    private readonly mediaDevice: MediaDevice,
    private readonly options: MediaSessionOptions,
    private readonly handlers: MediaFlowHandlers,
  ) {
    super([]);
  }

  /** Whether what we have may go on after a join: then no new transports are asked for. */
  get alive(): boolean {
    return this.#session !== null && !this.#session.closed;
  }

  /** Whether our screen is shared, as far as the server was told. */
  get sharesScreen(): boolean {
    return this.#session?.sender.screenAnnounced ?? false;
  }

  /** Joined (again): keeps the session only if the server still has it. */
  entered(room: RoomJoined, resumed: boolean): void {
    const session = this.#session;
    this.#given = room.transports;
    if (session && (!resumed || comparePlanes(session.plane, room.media) !== 0)) session.close();
    session?.sender.assume(this.people.me);
    this.#changed();
  }

  close(): void {
    this.#session?.close();
    this.#session = null;
    this.#given = [];
    clearTimeout(this.#viewTimer);
    this.#changed();
  }

  /** Out of the room: its tiles are none of the next one's. */
  reset(): void {
    this.close();
    this.#view = null;
  }

  /** Sees to it that there is a session. @throws RequestError; UnsupportedError. */
  async open(signaling: SignalingClient, room: RoomJoined, stale: () => boolean): Promise<void> {
    if (this.alive) return;
    const session = await MediaSession.open(signaling, room, this.mediaDevice, this.options, {
      changed: () => this.#changed(),
      layerOf: (stream) => this.#layerOf(stream),
      refused: (producerId, code) => this.#refused(producerId, code),
      broken: (afterMs) => this.handlers.broken(afterMs),
    });
    if (stale()) return session.close();
    // The join's transports are good for one session.
    session.transports.adopt(this.#given);
    this.#given = [];
    session.sender.assume(this.people.me);
    this.#session = session;
  }

  /** @throws RequestError where what is sent does not agree yet. */
  async agree(): Promise<void> {
    this.receiveNew();
    if (this.#session) await this.#sendAll(this.#session);
  }

  /** Others send something more: that need not wait for what is being sent. */
  receiveNew(): void {
    if (this.alive) void this.#receiveAll(this.#session as MediaSession);
  }

  /** Says what is on the page, so that no more is sent to us than is seen. */
  setView(view: View): void {
    const first = this.#view === null;
    this.#view = view;
    clearTimeout(this.#viewTimer);
    if (first) this.#applyView();
    else this.#viewTimer = setTimeout(() => this.#applyView(), VIEW_DEBOUNCE_MS);
  }

  /** The consumer is gone at the server, whatever the roster says. */
  forget(producerId: string): void {
    this.people.set(withoutStream(this.people.get(), producerId));
    this.#session?.receiver.forget(producerId);
  }

  async stats(): Promise<Report[]> {
    const session = this.#session;
    if (!session || session.closed) return [];
    const all = await session.transports.stats().catch(() => []);
    return all.flatMap((report) => [...report.values()] as Report[]);
  }

  async #receiveAll(session: MediaSession): Promise<void> {
    const { producers } = this.people.get();
    const { receiver } = session;
    for (const id of receiver.receiving.keys()) if (!producers.has(id)) receiver.forget(id);
    const missing = [...producers.values()].filter((each) => !receiver.has(each.producer_id));
    if (missing.length === 0) return;
    try {
      await receiver.receive(missing);
    } catch (error) {
      if (session.closed) return;
      if (codeOf(error) === 'NOT_JOINED') this.handlers.notJoined();
      else this.handlers.retry();
    }
  }

  async #sendAll(session: MediaSession): Promise<void> {
    const { audio, video, screen } = this.local.get();
    const { sender } = session;
    const { role } = this.people.me ?? {};
    const shares = may(role, 'share a screen');
    if (!shares) {
      sender.drop('screen', 'screen_audio');
      this.local.stopScreen();
    }
    await Promise.all([
      this.#send(session, 'audio', () =>
        may(role, 'send audio') ? sender.send('mic', audio.track) : sender.drop('mic'),
      ),
      this.#send(session, 'video', () =>
        may(role, 'send video') ? sender.send('camera', video.track) : sender.drop('camera'),
      ),
      this.#send(session, 'screen', () => (shares ? sender.sendScreen(screen) : undefined)),
    ]);
  }

  async #send(
    session: MediaSession,
    what: 'audio' | 'video' | 'screen',
    send: () => Promise<void> | undefined | void,
  ): Promise<void> {
    try {
      await send();
    } catch (error) {
      if (session.closed) return;
      const code = codeOf(error);
      if (code === 'NOT_JOINED') return this.handlers.notJoined();
      if (code === 'ACCESS_DENIED' || code === 'SCREEN_SHARE_TAKEN') {
        this.notices.post(refusal(error));
        if (what === 'screen') return this.local.stopScreen();
        return void this.local.turn(what, false);
      }
      // The server knows nothing of what we hold: only a new session agrees with it again.
      if (code === 'NOT_FOUND') session.close();
      throw error;
    }
  }

  #refused(producerId: string, code: string): void {
    // Gone, or nothing that this browser can play: asking again would not help.
    if (code === 'NOT_FOUND' || code === 'CANNOT_CONSUME') this.forget(producerId);
    else this.handlers.retry();
  }

  #changed(): void {
    const remote = this.alive ? [...(this.#session?.receiver.receiving.values() ?? [])] : [];
    if (remote.length > 0 || this.get().length > 0) this.set(remote);
    if (this.#view) this.setView(this.#view);
  }

  #applyView(): void {
    // A refusal or a lost socket: the next view, or the next session, asks again.
    this.#session?.receiver.show().catch(() => undefined);
  }

  #layerOf({ kind, source, user_id, producer_id }: Stream): Layer | null {
    if (kind === 'audio') return 'high';
    if (!this.#view) return source === 'screen' ? 'high' : this.#guess(user_id);
    if (source === 'screen') return this.#view.screens.has(producer_id) ? 'high' : null;
    const height = this.#view.tiles.get(user_id);
    return height ? layerFor(height) : null;
  }

  #guess(userId: string): Layer | null {
    const { participants, self } = this.people.get();
    const others = [...participants.keys()].filter((id) => id !== self);
    const { shown, high, medium } = GUESS;
    if (others.indexOf(userId) >= shown) return null;
    if (others.length <= high) return 'high';
    return others.length <= medium ? 'medium' : 'low';
  }
}
