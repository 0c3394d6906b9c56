/**
 * A person's presence in one meeting: joining, staying through every failure, leaving.
 *
 * `Attendance` sees to being there, `MediaFlow` to what is sent and received. What else happens in
 * a meeting are its concerns: each a store of its own, told of the same events and asking the
 * server by the same line.
 */
import { Attendance } from './Attendance';
import { Breakouts } from './Breakouts';
import { Chat } from './Chat';
import { Connection } from './Connection';
import type { Credentials } from './Credentials';
import { closedProblem, type Problem, problemOf, RequestError, withReason } from './errors';
import { Hosting } from './Hosting';
import { type Concern, Line } from './Line';
import type { LocalMedia } from './LocalMedia';
import type { MediaDevice } from './MediaDevice';
import { MediaFlow } from './MediaFlow';
import type { MediaSessionOptions } from './MediaSession';
import { NoticeBoard } from './NoticeBoard';
import { OwnMedia } from './OwnMedia';
import { People } from './People';
import type { RoomJoined, ServerToClient } from './protocol.generated';
import { Reactions } from './Reactions';
import { Rules } from './Rules';
import { comparePlanes } from './roster';
import type { SignalingClient } from './SignalingClient';
import { Store } from './Store';
import { ViewChoice } from './ViewChoice';
import { WaitingRoom } from './WaitingRoom';

export type Phase = 'lobby' | 'joining' | 'waiting' | 'joined' | 'reconnecting' | 'left' | 'failed';

export interface MeetingState {
  phase: Phase;
  /** Why the meeting is over for us, in phase `failed` (and `left`, where it ended for all). */
  problem: Problem | null;
  /** What we are waiting for, when it takes longer than it should. */
  waitingFor: string | null;
  /** The meeting's name, where it has one. */
  title: string;
  /** Who speaks now, by user id. */
  speaker: string | null;
  /** Who of the others spoke last. */
  lastSpeaker: string | null;
}

/** So that not everybody rebuilds in the same millisecond. */
const RESET_JITTER_MS = 200;

const START: MeetingState = {
  phase: 'lobby',
  problem: null,
  waitingFor: null,
  title: '',
  speaker: null,
  lastSpeaker: null,
};

export class MeetingClient extends Store<MeetingState> {
  readonly notices = new NoticeBoard();
  readonly #line = new Line(() => this.#attendance?.place ?? '', this.notices);
  readonly people = new People(this.#line);
  readonly rules = new Rules(this.#line);
  readonly view = new ViewChoice(this.#line, this.people);
  readonly chat = new Chat(this.#line, this.people);
  readonly reactions = new Reactions(this.#line);
  readonly waitingRoom = new WaitingRoom(this.#line);
  readonly breakouts = new Breakouts(this.#line, (place, token) => this.#move(place, token));
  readonly hosting = new Hosting(this.#line);
  readonly own: OwnMedia;
  readonly flow: MediaFlow;
  readonly #concerns: readonly Concern[];
  #attendance: Attendance | null = null;
  #unwatch: (() => void)[];

  constructor(
    readonly meetingId: string,
    private readonly credentials: Credentials,
    private readonly local: LocalMedia,
    mediaDevice: MediaDevice,
    options: MediaSessionOptions,
  ) {
    super(START);
    this.own = new OwnMedia(this.#line, local, this.people, this.rules);
    this.flow = new MediaFlow(local, this.people, this.notices, mediaDevice, options, {
      broken: (afterMs) => this.#attendance?.interrupt(afterMs),
      retry: () => this.#attendance?.retry(),
      notJoined: () => this.#attendance?.rejoin(),
    });
    const { people, rules, own, view, chat, reactions, waitingRoom, breakouts } = this;
    const connection = new Connection(this.#line, () => this.flow.stats());
    // The order in which they are told: people early, because the others ask them for names.
    const social = [chat, reactions, waitingRoom, breakouts];
    this.#concerns = [rules, people, own, view, ...social, connection];
    this.#unwatch = [
      local.subscribe(() => this.#attendance?.kick()),
      people.subscribe(() => this.#attendance?.kick()),
      this.flow.subscribe(() => {
        view.screensShared(this.flow.get().some(({ producer }) => producer.source === 'screen'));
      }),
    ];
    window.addEventListener('pagehide', this.#sayGoodbye);
  }

  /** Enters the meeting; how it goes shows in the state. */
  join(displayName: string): void {
    this.#close();
    this.set({ ...START, phase: 'joining', title: this.get().title });
    this.#attendance = new Attendance(this.meetingId, displayName, this.credentials, {
      listen: (signaling) => this.#listen(signaling),
      entered: (room) => {
        this.#told(room);
        this.flow.entered(room, room.resumed);
      },
      waits: () => this.update({ phase: 'waiting', waitingFor: null }),
      lost: () => {
        if (this.get().phase === 'joined') this.update({ phase: 'reconnecting' });
      },
      needsTransports: () => !this.flow.alive,
      agree: (signaling, room, stale) => this.#agree(signaling, room, stale),
      slow: (error) => this.#slow(error),
      failed: (error) => this.#failed(error),
    });
    this.#line.use(this.#attendance.signaling);
    this.#attendance.start();
  }

  /** Leaves for good and lets go of the devices. */
  async leave(): Promise<void> {
    const attendance = this.#attendance;
    attendance?.rest();
    this.update({ phase: 'left', problem: null });
    this.local.stop();
    this.flow.close();
    await attendance?.signaling
      .request('room:leave', { meeting_id: attendance.place }, { timeoutMs: 1000 })
      .catch(() => undefined);
    // Unless joined anew meanwhile.
    if (this.#attendance === attendance) this.#close();
    else attendance?.stop();
  }

  /** Back to the lobby. */
  reset(): void {
    this.#close();
    this.set({ ...START, title: this.get().title });
  }

  dispose(): void {
    this.#close();
    for (const unwatch of this.#unwatch) unwatch();
    window.removeEventListener('pagehide', this.#sayGoodbye);
  }

  /** Whether as many others share their screens as may: then asking is pointless. */
  screensAreTaken(): boolean {
    const { participants, self } = this.people.get();
    const shared = [...participants.values()].filter(
      (person) => person.screen_sharing && person.user_id !== self,
    );
    return shared.length >= (this.rules.get()?.several_screens === false ? 1 : 2);
  }

  setTitle(title: string): void {
    this.update({ title });
  }

  async #agree(signaling: SignalingClient, room: RoomJoined, stale: () => boolean): Promise<void> {
    await this.flow.open(signaling, room, stale);
    if (stale()) return;
    this.update({ phase: 'joined', waitingFor: null });
    await this.flow.agree(signaling, room, stale);
  }

  #told(room: RoomJoined): void {
    this.update({ title: room.settings.display_name });
    for (const concern of this.#concerns) concern.entered(room);
  }

  #slow(error: unknown): void {
    const full = problemOf(error).code === 'NO_CAPACITY';
    this.update({ waitingFor: full ? 'a free media server' : 'the meeting service' });
  }

  #failed(error: unknown): void {
    const { main } = this.breakouts.get();
    const elsewhere = main !== '' && this.#attendance?.place !== main;
    if (elsewhere) {
      this.notices.post('That room could not be entered');
      this.#move(main, null);
    } else this.#end('failed', problemOf(error));
  }

  #listen(signaling: SignalingClient): void {
    for (const concern of this.#concerns) {
      for (const event of Object.keys(concern.hears) as (keyof ServerToClient)[]) {
        const hear = concern.hears[event] as (data: unknown) => void;
        signaling.on(event, (data) => {
          if (this.#attendance?.inside) hear(data);
        });
      }
    }
    signaling.on('new-producer', () => this.flow.receiveNew());
    signaling.on('consumer:closed', ({ producer_id }) => this.flow.forget(producer_id));
    signaling.on('speaker:active', ({ user_id }) => {
      const other = user_id !== null && user_id !== this.people.get().self;
      this.update({ speaker: user_id, ...(other && { lastSpeaker: user_id }) });
    });
    signaling.on('screen:stopped', ({ user_id }) => {
      if (user_id !== this.people.get().self || !this.flow.sharesScreen) return;
      this.notices.post('A host stopped your screen share');
      this.local.stopScreen();
    });
    signaling.on('media:reset', (plane) => this.#mediaReset(plane));
    signaling.on('media:migrate', (move) => {
      this.flow.migrate(move);
      this.#attendance?.kick();
    });
    signaling.on('media:migrate:stream', ({ epoch, stream, gone }) => {
      this.flow.migrated(epoch, stream, gone);
    });
    signaling.on('media:migrated', (ended) => this.#migrated(ended));
    signaling.on('room:resync', () => void this.#readAnew());
    signaling.on('room:closed', ({ reason, return_to }) => {
      if (!return_to) return this.#end('left', closedProblem(reason));
      this.notices.post('The breakout rooms are closed: you are back');
      this.#move(return_to, null);
    });
    this.#listenForEnds(signaling);
  }

  #listenForEnds(signaling: SignalingClient): void {
    const end = (code: string, reason = '') => {
      this.#end('failed', withReason(problemOf(new RequestError(code, reason)), reason));
    };
    signaling.on('session:replaced', () => end('REPLACED'));
    signaling.on('removed:from-meeting', ({ reason }) => end('REMOVED', reason));
    signaling.on('waiting:denied', ({ reason }) => end('DENIED', reason));
  }

  /** Leaves one place for another: the main meeting for a breakout room, or back. */
  #move(place: string, token: string | null): void {
    const attendance = this.#attendance;
    if (!attendance || place === attendance.place) return;
    if (token) this.credentials.setResumeToken(place, token);
    this.local.stopScreen();
    this.#out();
    this.update({ phase: 'joining', speaker: null, lastSpeaker: null });
    attendance.move(place);
  }

  /** Events may be lost: asks for all that `room:joined` told. */
  async #readAnew(): Promise<void> {
    const attendance = this.#attendance;
    if (!attendance) return;
    const { place } = attendance;
    const answered = (room: RoomJoined) => {
      if (place !== attendance.place || !attendance.inside) return;
      attendance.know(room);
      this.#told(room);
      this.flow.entered(room, true);
    };
    await attendance.signaling
      .request('room:snapshot', { meeting_id: place }, { answered })
      // Joining again tells as much.
      .catch(() => attendance.rejoin());
    attendance.kick();
  }

  #mediaReset(plane: ServerToClient['media:reset']): void {
    const room = this.#attendance?.room;
    if (!room || comparePlanes(plane, room.media) <= 0) return;
    const { epoch, generation } = plane;
    this.#attendance?.know({ ...room, media: { epoch, generation }, moving: null });
    this.#beginAnew();
  }

  #beginAnew(): void {
    this.update({ speaker: null, phase: 'reconnecting' });
    this.flow.close();
    this.#attendance?.interrupt(Math.random() * RESET_JITTER_MS);
  }

  #migrated({ done, epoch, generation }: ServerToClient['media:migrated']): void {
    const room = this.#attendance?.room;
    if (!done) {
      this.flow.stay(epoch);
      return;
    }
    if (!room || comparePlanes({ epoch, generation }, room.media) <= 0) return;
    this.#attendance?.know({ ...room, media: { epoch, generation }, moving: null });
    if (this.flow.moved(epoch)) this.#attendance?.kick();
    else this.#beginAnew();
  }

  #end(phase: 'left' | 'failed', problem: Problem): void {
    this.#close();
    this.local.stop();
    this.update({ phase, problem });
  }

  #close(): void {
    this.#attendance?.stop();
    this.#attendance = null;
    this.#line.use(null);
    this.#out();
    this.breakouts.forget();
  }

  #out(): void {
    this.flow.reset();
    for (const concern of this.#concerns) concern.reset();
  }

  readonly #sayGoodbye = (event?: PageTransitionEvent): void => {
    const attendance = this.#attendance;
    // A page that is kept for "back" may return.
    if (event?.persisted || !attendance) return;
    attendance.signaling.tell('room:leave', { meeting_id: attendance.place });
  };
}
