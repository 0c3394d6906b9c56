/**
 * Makes the media agree with what should be: a session of the server's present media plane; what
 * LocalMedia has is sent as far as our role allows; what others send is received as it is seen.
 *
 * When the meeting moves to another media server, a second session is built there (`Crossing`)
 * beside the one that we have; when all have done so, it takes over, and the older one stays for
 * a moment, until something comes by each new track.
 *
 * The step of `MeetingClient` calls `open` and `agree`; everything else here only changes what
 * should be.
 */

import { Arrivals, Crossing, shown, sourceOf } from './Crossing';
import type { Report } from './connectionStats';
import { layerFor } from './encodings';
import { codeOf, refusal } from './errors';
import type { LocalMedia } from './LocalMedia';
import type { MediaDevice } from './MediaDevice';
import { MediaSession, type MediaSessionHandlers, type MediaSessionOptions } from './MediaSession';
import type { NoticeBoard } from './NoticeBoard';
import type { People } from './People';
import type { Layer, MediaMigrate, RoomJoined, Stream, Transport } from './protocol.generated';
import type { Receiving, RemoteTrack } from './Receiver';
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
/** How long the older session outlives a move; the server keeps it for 5 s. */
const OUTLIVES_MS = 3000;
/** Until the page has said what it shows: so many pictures, in layers by how many there are. */
const GUESS = { shown: 24, high: 2, medium: 6 };

/** What is received now. */
export class MediaFlow extends Store<readonly RemoteTrack[]> {
  #session: MediaSession | null = null;
  /** The move that is under way. */
  #crossing: Crossing | null = null;
  /** What was our session before the last move. */
  #former: MediaSession | null = null;
  #formerTimer: ReturnType<typeof setTimeout> | undefined;
  /** Of the newer of two sessions. */
  #arrivals: Arrivals | null = null;
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
    const { epoch } = room.media;
    // The move may have ended while we were away.
    if (resumed && this.#crossing?.plane.epoch === epoch) this.#takeOver(this.#crossing);
    const session = this.#session;
    this.#given = room.transports;
    if (session && (!resumed || comparePlanes(session.plane, room.media) !== 0)) session.close();
    session?.sender.assume(this.people.me);
    if (room.moving) this.migrate(room.moving);
    else this.#stay();
    this.#changed();
  }

  /** The meeting moves there: the next step begins to cross. */
  migrate(move: MediaMigrate): void {
    if (this.#crossing?.plane.epoch === move.epoch) {
      this.#crossing.know(move.streams);
      return;
    }
    this.#stay();
    this.#crossing = new Crossing(move);
  }

  /** What is sent where the meeting moves to. */
  migrated(epoch: number, stream: Stream, gone: boolean): void {
    const crossing = this.#crossing;
    if (crossing?.plane.epoch !== epoch) return;
    crossing.hear(stream, gone);
    if (crossing.alive) void this.#receiveAll(crossing.session as MediaSession, crossing.streams);
  }

  /** The move was given up. */
  stay(epoch: number): void {
    if (this.#crossing?.plane.epoch === epoch) this.#stay();
    this.#changed();
  }

  /** The move is done: what we have there is all that there is. False: we have nothing there. */
  moved(epoch: number): boolean {
    const crossing = this.#crossing;
    if (crossing?.plane.epoch !== epoch) return false;
    const { participants } = this.people.get();
    const there = [...crossing.streams].filter(([, { user_id }]) => participants.has(user_id));
    this.#takeOver(crossing);
    this.people.update({ producers: new Map(there) });
    this.#changed();
    return this.alive;
  }

  close(): void {
    this.#stay();
    this.#endFormer();
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
    const session = await this.#openSession(signaling, room);
    if (stale()) return session.close();
    // The join's transports are good for one session.
    session.transports.adopt(this.#given);
    this.#given = [];
    session.sender.assume(this.people.me);
    this.#session = session;
  }

  /** @throws RequestError where what is sent does not agree yet. */
  async agree(signaling: SignalingClient, room: RoomJoined, stale: () => boolean): Promise<void> {
    this.receiveNew();
    const crossing = this.#cross(signaling, room, stale);
    if (this.#session) await this.#sendAll(this.#session);
    await crossing;
  }

  /** Others send something more: that need not wait for what is being sent. */
  receiveNew(): void {
    const { producers } = this.people.get();
    if (this.alive) void this.#receiveAll(this.#session as MediaSession, producers);
  }

  /** Builds there what we have here, and says so; what fails leaves what we have as it is. */
  async #cross(signaling: SignalingClient, room: RoomJoined, stale: () => boolean): Promise<void> {
    const crossing = this.#crossing;
    if (!crossing || crossing.hopeless) return;
    const over = () => stale() || crossing !== this.#crossing;
    try {
      if (!crossing.alive) {
        const session = await this.#openSession(signaling, { ...room, media: crossing.plane });
        if (over()) return session.close();
        session.sender.assume(this.people.me);
        session.sender.beFrugal(true);
        crossing.session = session;
        this.#watch(session);
      }
      const session = crossing.session as MediaSession;
      for (const { producer_id, user_id } of crossing.streams.values()) {
        if (!this.people.get().participants.has(user_id)) crossing.forget(producer_id);
      }
      await Promise.all([this.#receiveAll(session, crossing.streams), this.#sendAll(session)]);
      if (over() || session.closed || crossing.toldOn === signaling.id) return;
      const said = { meeting_id: room.meeting_id, epoch: crossing.plane.epoch };
      await signaling.request('media:cross', said);
      crossing.toldOn = signaling.id;
    } catch (error) {
      if (over()) return;
      console.warn('kcs: the meeting moves, and we could not follow yet', error);
      crossing.failed();
      this.#changed();
      this.handlers.retry();
    }
  }

  async #openSession(signaling: SignalingClient, room: RoomJoined): Promise<MediaSession> {
    const handlers: MediaSessionHandlers = {
      changed: () => this.#changed(),
      layerOf: (stream) => this.#layerOf(stream),
      refused: (producerId, code) => this.#refused(producerId, code),
      broken: (afterMs) => {
        if (session === this.#session) this.handlers.broken(afterMs);
        else if (session === this.#crossing?.session) this.handlers.retry();
      },
    };
    const session: MediaSession = await MediaSession.open(
      signaling,
      room,
      this.mediaDevice,
      this.options,
      handlers,
    );
    return session;
  }

  /** Nothing is to be built elsewhere (any more). */
  #stay(): void {
    if (!this.#crossing) return;
    this.#crossing.close();
    this.#crossing = null;
    this.#watch(null);
  }

  /** The session there is ours; the one here goes when nobody needs it any more. */
  #takeOver(crossing: Crossing): void {
    this.#crossing = null;
    if (!crossing.alive) return;
    this.#endFormer();
    this.#former = this.#session;
    this.#session = crossing.session;
    this.#former?.sender.beFrugal(true);
    this.#session?.sender.beFrugal(false);
    this.#formerTimer = setTimeout(() => {
      this.#endFormer();
      this.#changed();
    }, OUTLIVES_MS);
  }

  #endFormer(): void {
    clearTimeout(this.#formerTimer);
    if (!this.#former) return;
    this.#former.close();
    this.#former = null;
    if (!this.#crossing) this.#watch(null);
  }

  #watch(session: MediaSession | null): void {
    this.#arrivals?.stop();
    this.#arrivals = session && new Arrivals(session, () => this.#changed());
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
    this.#crossing?.forget(producerId);
  }

  async stats(): Promise<Report[]> {
    const session = this.#session;
    if (!session || session.closed) return [];
    const all = await session.transports.stats().catch(() => []);
    return all.flatMap((report) => [...report.values()] as Report[]);
  }

  async #receiveAll(session: MediaSession, producers: ReadonlyMap<string, Stream>): Promise<void> {
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
    const remote = this.alive ? this.#shown() : [];
    if (remote.length > 0 || this.get().length > 0) this.set(remote);
    if (this.#view) this.setView(this.#view);
  }

  #shown(): RemoteTrack[] {
    const of = (session: MediaSession | null | undefined): Receiving[] =>
      session && !session.closed ? [...session.receiver.receiving.values()] : [];
    const ready = (each: Receiving) => this.#arrivals?.has(each) ?? true;
    if (this.#crossing) return shown(of(this.#session), of(this.#crossing.session), ready);
    // What has ended is not shown by the older session either.
    const sources = new Set([...this.people.get().producers.values()].map(sourceOf));
    const former = of(this.#former).filter(({ producer }) => sources.has(sourceOf(producer)));
    return shown(former, of(this.#session), ready);
  }

  #applyView(): void {
    // A refusal or a lost socket: the next view, or the next session, asks again.
    for (const session of [this.#session, this.#crossing?.session]) {
      session?.receiver.show().catch(() => undefined);
    }
  }

  #layerOf(stream: Stream): Layer | null {
    const { kind, source, user_id } = stream;
    if (kind === 'audio') return 'high';
    if (!this.#view) return source === 'screen' ? 'high' : this.#guess(user_id);
    if (source === 'screen') return this.#isOnPage(stream) ? 'high' : null;
    const height = this.#view.tiles.get(user_id);
    return height ? layerFor(height) : null;
  }

  /** A screen that is on the page, perhaps as the same screen comes from another server. */
  #isOnPage(screen: Stream): boolean {
    const { screens } = this.#view as View;
    const same = this.get().filter(({ producer }) => sourceOf(producer) === sourceOf(screen));
    const ids = [screen.producer_id, ...same.map(({ producer }) => producer.producer_id)];
    return ids.some((id) => screens.has(id));
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
