/**
 * A person's presence in one meeting: joining, staying through every failure, leaving.
 *
 * One step (`#step`) brings things to where they should be: a connected socket, joined on it; a
 * media session of the server's present media plane; what LocalMedia has is sent; what others
 * send is received. Events only change what should be and ask for another step. So a reconnect,
 * a resume, a `media:reset` and a first join are the same path.
 */
import type { Credentials } from './Credentials';
import { layerFor } from './encodings';
import { codeOf, type Problem, passes, problemOf, RequestError } from './errors';
import type { LocalMedia } from './LocalMedia';
import { MediaSession, type MediaSessionOptions, type RemoteTrack } from './MediaSession';
import { NoticeBoard } from './NoticeBoard';
import type { Layer, RemoteProducer, RoomJoined, ServerEvents, Source } from './protocol';
import { Reconciler } from './Reconciler';
import { apply, comparePlanes, EMPTY_ROSTER, fromJoined, type Roster } from './roster';
import { SignalingClient } from './SignalingClient';
import { Store } from './Store';

export type Phase = 'lobby' | 'joining' | 'joined' | 'reconnecting' | 'left' | 'failed';

export interface MeetingState {
  phase: Phase;
  /** Why the meeting is over for us, in phase `failed` (and `left`, where it ended for all). */
  problem: Problem | null;
  /** What we are waiting for, when it takes longer than it should. */
  waitingFor: string | null;
  /** The meeting's name, where it has one. */
  title: string;
  /** Our user id; empty until joined. */
  self: string;
  roster: Roster;
  /** What is received now. */
  remote: readonly RemoteTrack[];
  /** Who speaks now, by user id. */
  speaker: string | null;
}

/** What is on the page: height in device pixels by user id, and the screen's producer id. */
export interface View {
  tiles: ReadonlyMap<string, number>;
  screen: string | null;
}

const VIEW_DEBOUNCE_MS = 250;
/** So that not everybody rebuilds in the same millisecond. */
const RESET_JITTER_MS = 200;
const RETRY_MS = { first: 400, longest: 5000 };
/** A first join that failed so often in a row is given up; once in, we never give up. */
const JOIN_ATTEMPTS = 8;

const START: MeetingState = {
  phase: 'lobby',
  problem: null,
  waitingFor: null,
  title: '',
  self: '',
  roster: EMPTY_ROSTER,
  remote: [],
  speaker: null,
};

export class MeetingClient extends Store<MeetingState> {
  readonly notices = new NoticeBoard();
  #signaling: SignalingClient | null = null;
  #session: MediaSession | null = null;
  #reconciler: Reconciler | null = null;
  #room: RoomJoined | null = null;
  #joinedOn: string | undefined;
  #displayName = '';
  #refusals = 0;
  #view: View | null = null;
  #viewTimer: ReturnType<typeof setTimeout> | undefined;
  #unwatchLocal: () => void;

  constructor(
    readonly meetingId: string,
    private readonly credentials: Credentials,
    private readonly local: LocalMedia,
    private readonly options: MediaSessionOptions,
  ) {
    super(START);
    this.#unwatchLocal = local.subscribe(() => this.#reconciler?.kick());
    window.addEventListener('pagehide', this.#sayGoodbye);
  }

  /** Enters the meeting; how it goes shows in the state. */
  join(displayName: string): void {
    this.#close();
    this.#displayName = displayName;
    this.#refusals = 0;
    this.set({ ...START, phase: 'joining', title: this.get().title });
    const signaling = new SignalingClient(() => this.credentials.forSocket(this.meetingId), {
      connected: () => this.#reconciler?.kick(),
      disconnected: () => this.#disconnected(),
      refused: (error) => this.#refused(error),
    });
    this.#signaling = signaling;
    this.#reconciler = new Reconciler(
      (stale) => this.#step(signaling, stale),
      (error, failures) => this.#stepFailed(error, failures),
    );
    this.#listen(signaling);
    signaling.connect();
  }

  /** Leaves for good and lets go of the devices. */
  async leave(): Promise<void> {
    const signaling = this.#signaling;
    this.#reconciler?.stop();
    this.update({ phase: 'left', problem: null });
    this.local.stop();
    this.#session?.close();
    await signaling
      ?.request('room:leave', { meeting_id: this.meetingId }, 1000)
      .catch(() => undefined);
    // Unless joined anew meanwhile.
    if (this.#signaling === signaling) this.#close();
    else signaling?.close();
  }

  /** Back to the lobby. */
  reset(): void {
    this.#close();
    this.set({ ...START, title: this.get().title });
  }

  dispose(): void {
    this.#sayGoodbye();
    this.#close();
    this.#unwatchLocal();
    window.removeEventListener('pagehide', this.#sayGoodbye);
  }

  /** Says what is on the page, so that no more is sent to us than is seen. */
  setView(view: View): void {
    this.#view = view;
    clearTimeout(this.#viewTimer);
    this.#viewTimer = setTimeout(() => this.#applyView(), VIEW_DEBOUNCE_MS);
  }

  setTitle(title: string): void {
    this.update({ title });
  }

  async #step(signaling: SignalingClient, stale: () => boolean): Promise<void> {
    if (!signaling.connected) return;
    if (!this.#room || this.#joinedOn !== signaling.id) {
      const socket = signaling.id;
      const room = await signaling.request('room:join', {
        meeting_id: this.meetingId,
        display_name: this.#displayName,
      });
      if (stale() || socket !== signaling.id) return;
      this.#entered(room, socket);
    }
    if (!this.#session || this.#session.closed) {
      const session = await MediaSession.open(signaling, this.#room as RoomJoined, this.options, {
        changed: () => this.#received(),
        layerOf: (producer) => this.#layerOf(producer),
        broken: () => this.#reconciler?.interrupt(),
      });
      if (stale()) return session.close();
      this.#session = session;
    }
    this.update({ phase: 'joined', waitingFor: null });
    this.#receiveAll(this.#session);
    await this.#sendAll(this.#session);
  }

  #entered(room: RoomJoined, socket: string | undefined): void {
    this.#room = room;
    this.#joinedOn = socket;
    this.#refusals = 0;
    this.credentials.setResumeToken(this.meetingId, room.resume_token);
    const session = this.#session;
    if (session && (!room.resumed || comparePlanes(session.plane, room.media) !== 0)) {
      session.close();
    }
    const roster = fromJoined(room);
    const me = roster.participants.get(room.user_id);
    session?.assume('mic', me?.audio_enabled ?? false);
    session?.assume('camera', me?.video_enabled ?? false);
    this.update({ self: room.user_id, title: room.settings.display_name, roster });
    this.#received();
  }

  #receiveAll(session: MediaSession): void {
    const { producers } = this.get().roster;
    for (const id of session.receiving.keys()) if (!producers.has(id)) session.forget(id);
    for (const producer of producers.values()) {
      if (!session.has(producer.producer_id)) void this.#receive(session, producer);
    }
  }

  async #receive(session: MediaSession, producer: RemoteProducer): Promise<void> {
    try {
      await session.receive(producer);
    } catch (error) {
      if (session.closed) return;
      const code = codeOf(error);
      // Gone, or nothing that this browser can play: asking again would not help.
      if (code === 'NOT_FOUND' || code === 'CANNOT_CONSUME') this.#forget(producer.producer_id);
      else if (code === 'NOT_JOINED') this.#rejoin();
      else this.#reconciler?.kickIn(RETRY_MS.first);
    }
  }

  async #sendAll(session: MediaSession): Promise<void> {
    const { audio, video, screen } = this.local.get();
    await Promise.all([
      this.#send(session, 'mic', audio.track),
      this.#send(session, 'camera', video.track),
      this.#send(session, 'screen', screen.video),
      this.#send(session, 'screen_audio', screen.audio),
    ]);
  }

  async #send(session: MediaSession, source: Source, track: MediaStreamTrack | null) {
    try {
      await session.send(source, track);
    } catch (error) {
      if (session.closed) return;
      const code = codeOf(error);
      if (code === 'NOT_JOINED') return this.#rejoin();
      if (code === 'ACCESS_DENIED') return this.#mayNotSend(source);
      // The server knows nothing of what we hold: only a new session agrees with it again.
      if (code === 'NOT_FOUND') session.close();
      throw error;
    }
  }

  #mayNotSend(source: Source): void {
    this.notices.post('Your role in this meeting does not allow that.');
    if (source === 'mic') void this.local.turn('audio', false);
    else if (source === 'camera') void this.local.turn('video', false);
    else this.local.stopScreen();
  }

  #stepFailed(error: unknown, failures: number): number {
    // For whoever has the browser's console open: what is shown to the person is gentler.
    console.warn('kcs: the meeting is not as it should be yet', error);
    const joined = this.get().self !== '';
    if (codeOf(error) === 'NOT_JOINED') this.#joinedOn = undefined;
    else if (!passes(error) || (!joined && failures >= JOIN_ATTEMPTS)) {
      this.#end('failed', problemOf(error));
    } else if (failures > 1) {
      this.update({
        waitingFor:
          problemOf(error).code === 'NO_CAPACITY' ? 'a free media server' : 'the meeting service',
      });
    }
    const backoff = Math.min(RETRY_MS.first * 2 ** (failures - 1), RETRY_MS.longest);
    const asked = error instanceof RequestError ? (error.retryAfter ?? 0) * 1000 : 0;
    return Math.max(backoff, asked) * (0.75 + Math.random() / 2);
  }

  #listen(signaling: SignalingClient): void {
    const rostered = [
      'participant:joined',
      'participant:left',
      'participant:media:updated',
      'new-producer',
      'producer:closed',
      'producer:paused',
      'producer:resumed',
    ] as const;
    for (const event of rostered) {
      signaling.on(event, (data) => {
        this.#announce(event, data);
        this.update({ roster: apply(this.get().roster, event, data) });
        this.#reconciler?.kick();
      });
    }
    signaling.on('consumer:closed', ({ producer_id }) => this.#forget(producer_id));
    signaling.on('speaker:active', ({ user_id }) => this.update({ speaker: user_id }));
    signaling.on('media:reset', (plane) => this.#mediaReset(plane));
    signaling.on('room:closed', () => {
      this.#end('left', problemOf(new RequestError('MEETING_ENDED', 'room:closed')));
    });
    signaling.on('session:replaced', () => {
      this.#end('failed', problemOf(new RequestError('REPLACED', 'session:replaced')));
    });
  }

  #announce<E extends keyof ServerEvents>(event: E, data: ServerEvents[E]): void {
    if (event !== 'participant:joined' && event !== 'participant:left') return;
    const { user_id } = data as { user_id: string };
    const known = this.get().roster.participants.get(user_id);
    if (user_id === this.get().self) return;
    if (event === 'participant:left' && known) this.notices.post(`${known.display_name} left`);
    if (event === 'participant:joined' && !known) {
      this.notices.post(`${(data as ServerEvents['participant:joined']).display_name} joined`);
    }
  }

  #mediaReset(plane: ServerEvents['media:reset']): void {
    if (!this.#room || comparePlanes(plane, this.#room.media) <= 0) return;
    this.#room = { ...this.#room, media: { epoch: plane.epoch, generation: plane.generation } };
    const roster = apply(this.get().roster, 'media:reset', plane);
    this.update({ roster, speaker: null, phase: 'reconnecting' });
    this.#session?.close();
    this.#received();
    this.#reconciler?.interrupt(Math.random() * RESET_JITTER_MS);
  }

  #forget(producerId: string): void {
    const { participants, producers } = this.get().roster;
    const rest = new Map(producers);
    if (rest.delete(producerId)) this.update({ roster: { participants, producers: rest } });
    this.#session?.forget(producerId);
  }

  #received(): void {
    const session = this.#session;
    const remote = session && !session.closed ? [...session.receiving.values()] : [];
    this.update({ remote });
    if (this.#view) this.setView(this.#view);
  }

  #applyView(): void {
    const session = this.#session;
    for (const { producer } of session?.receiving.values() ?? []) {
      // A refusal or a lost socket: the next view, or the next session, asks again.
      session?.show(producer.producer_id, this.#layerOf(producer)).catch(() => undefined);
    }
  }

  #layerOf({ kind, source, user_id, producer_id }: RemoteProducer): Layer | null {
    if (kind === 'audio' || !this.#view) return 'high';
    if (source === 'screen') {
      // While none is on the page, the next that comes will be.
      return (this.#view.screen ?? producer_id) === producer_id ? 'high' : null;
    }
    const height = this.#view.tiles.get(user_id);
    return height ? layerFor(height) : null;
  }

  #rejoin(): void {
    this.#joinedOn = undefined;
    this.#reconciler?.kick();
  }

  #disconnected(): void {
    this.#joinedOn = undefined;
    if (this.get().phase === 'joined') this.update({ phase: 'reconnecting' });
    this.#reconciler?.interrupt();
  }

  #refused(error: unknown): void {
    this.#refusals += 1;
    const retriable = codeOf(error) === 'AUTHENTICATION' && this.#refusals < 4;
    if (retriable && this.credentials.dropRefused(this.meetingId)) this.#signaling?.connect();
    else this.#end('failed', problemOf(error));
  }

  #end(phase: 'left' | 'failed', problem: Problem): void {
    this.#close();
    this.local.stop();
    this.update({ phase, problem, remote: [], roster: EMPTY_ROSTER, self: '' });
  }

  #close(): void {
    this.#reconciler?.stop();
    this.#signaling?.close();
    this.#session?.close();
    clearTimeout(this.#viewTimer);
    this.#reconciler = this.#signaling = this.#session = this.#room = null;
    this.#joinedOn = undefined;
    this.#view = null;
  }

  readonly #sayGoodbye = (event?: PageTransitionEvent): void => {
    // A page that is kept for "back" may return.
    if (!event?.persisted) this.#signaling?.tell('room:leave', { meeting_id: this.meetingId });
  };
}
