/**
 * Our microphone and camera as far as hosts have a say in them.
 *
 * A host mutes at the server; here the device is switched off too, so that the buttons tell the
 * truth. Whether one may switch it on again is the host's to say.
 */
import type { CaptureKind } from './devices';
import type { Concern, Hears, Line } from './Line';
import type { LocalMedia } from './LocalMedia';
import type { People } from './People';
import type { MutedByHost, ParticipantMuted } from './protocol.generated';
import type { Rules } from './Rules';
import { may } from './roles';
import { Store } from './Store';

export interface Held {
  /** The name of whoever did it. */
  by: string;
  mayUnmute: boolean;
}

export type Holds = Record<CaptureKind, Held | null>;

const FREE: Holds = { audio: null, video: null };
const SOMEBODY = 'A host';
const DONE: Record<CaptureKind, string> = { audio: 'muted you', video: 'stopped your camera' };
const ALLOWED_AGAIN: Record<CaptureKind, string> = {
  audio: 'lets you unmute yourself',
  video: 'lets you use your camera again',
};

/** What the button of a device says that a host keeps off. */
export function explain(kind: CaptureKind, { by, mayUnmute }: Held): string {
  const what = kind === 'audio' ? 'unmute yourself' : 'turn your camera on';
  if (mayUnmute) return `${by} ${DONE[kind]}. You may ${what} again.`;
  return `${by} ${DONE[kind]}. A host has to allow you to ${what}.`;
}

export class OwnMedia extends Store<Holds> implements Concern {
  constructor(
    private readonly line: Line,
    private readonly local: LocalMedia,
    private readonly people: People,
    private readonly rules: Rules,
  ) {
    super(FREE);
  }

  readonly hears: Hears = {
    'muted:by-host': (told) => this.#muted(told),
    'participant:muted': (told) => this.#told(told),
    'participant:updated': ({ user_id }) => {
      if (user_id === this.people.get().self) this.#agree();
    },
    'participant:role:changed': ({ user_id }) => {
      if (user_id === this.people.get().self) this.entered();
    },
    'room:settings:changed': () => {
      const now = (held: Held | null) => held && { ...held, mayUnmute: this.#mayUnmute() };
      const { audio, video } = this.get();
      this.set({ audio: now(audio), video: now(video) });
    },
  };

  entered(): void {
    this.#agree();
    for (const kind of ['audio', 'video'] as const) {
      // A guest's camera need not shine.
      const allowed = may(this.people.me?.role, kind === 'audio' ? 'send audio' : 'send video');
      if ((!allowed || this.get()[kind]) && this.local.get()[kind].on) {
        void this.local.turn(kind, false);
      }
    }
  }

  reset(): void {
    this.set(FREE);
  }

  /** The button or its key: switches, or says why not. */
  toggle(kind: CaptureKind): void {
    const held = this.get()[kind];
    const on = this.local.get()[kind].on;
    if (held && !held.mayUnmute && !on) {
      this.line.notices.post(explain(kind, held));
      return;
    }
    if (held && !on) this.update({ [kind]: null });
    void this.local.toggle(kind);
  }

  #muted({ kind, may_unmute, reason }: MutedByHost): void {
    const by = this.get()[kind]?.by ?? SOMEBODY;
    this.update({ [kind]: { by, mayUnmute: may_unmute } });
    if (reason) this.line.notices.post(`The reason: ${reason}`);
    void this.local.turn(kind, false);
  }

  #told({ target_user_id, moderator_name: by, kind, muted }: ParticipantMuted): void {
    if (target_user_id !== this.people.get().self) return;
    this.line.notices.post(`${by} ${muted ? DONE[kind] : ALLOWED_AGAIN[kind]}`);
    const mayUnmute = this.get()[kind]?.mayUnmute ?? this.#mayUnmute();
    this.update({ [kind]: muted ? { by, mayUnmute } : null });
    if (muted) void this.local.turn(kind, false);
  }

  /** With what the server holds of us. */
  #agree(): void {
    const { me } = this.people;
    const held = (kind: CaptureKind, muted: boolean | undefined): Held | null =>
      muted ? { by: this.get()[kind]?.by ?? SOMEBODY, mayUnmute: this.#mayUnmute() } : null;
    this.set({
      audio: held('audio', me?.audio_muted_by_host),
      video: held('video', me?.video_muted_by_host),
    });
  }

  #mayUnmute(): boolean {
    const { me } = this.people;
    return may(me?.role, 'unmute oneself') || this.rules.get()?.allow_unmute_self !== false;
  }
}
