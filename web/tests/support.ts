/** A server of the tests' own: answers what it was told to, and keeps what it was asked. */
import { RequestError } from '../src/meeting/errors';
import { type Concern, Line } from '../src/meeting/Line';
import { NoticeBoard } from '../src/meeting/NoticeBoard';
import type {
  ClientToServer,
  Message,
  Person,
  RoomJoined,
  ServerToClient,
  SettingsView,
} from '../src/meeting/protocol.generated';
import type { SignalingClient } from '../src/meeting/SignalingClient';

type Answers = {
  [E in keyof ClientToServer]?:
    | RequestError
    | ((said: ClientToServer[E]['payload']) => ClientToServer[E]['answer']);
};

export class FakeServer {
  readonly asked: [event: string, payload: Record<string, unknown>][] = [];
  readonly id = 'socket-1';
  readonly connected = true;
  answers: Answers = {};

  async request(event: keyof ClientToServer, payload: never): Promise<unknown> {
    this.asked.push([event, payload]);
    const answer = this.answers[event] as RequestError | ((said: unknown) => unknown) | undefined;
    if (answer instanceof RequestError) throw answer;
    return answer ? answer(payload) : {};
  }

  get events(): string[] {
    return this.asked.map(([event]) => event);
  }

  get client(): SignalingClient {
    return this as unknown as SignalingClient;
  }
}

export function lineTo(server: FakeServer, place = 'm'): Line {
  const line = new Line(() => place, new NoticeBoard());
  line.use(server.client);
  return line;
}

/** What a person sees as notices, oldest first. */
export function noticesOf(line: Line): string[] {
  return line.notices.get().map(({ text }) => text);
}

export function tell<E extends keyof ServerToClient>(
  concern: Concern,
  event: E,
  data: ServerToClient[E],
): void {
  concern.hears[event]?.(data);
}

export function person(user_id: string, patch: Partial<Person> = {}): Person {
  return {
    user_id,
    display_name: user_id.charAt(0).toUpperCase() + user_id.slice(1),
    role: 'attendee',
    audio_enabled: false,
    video_enabled: false,
    screen_sharing: false,
    hand_raised_at: null,
    audio_muted_by_host: false,
    video_muted_by_host: false,
    quality: null,
    joined_at: '2025-01-01T00:00:00.000Z',
    ...patch,
  };
}

export const SETTINGS: SettingsView = {
  display_name: 'Planning',
  max_participants: 100,
  default_role: 'presenter',
  require_host_approval: false,
  allow_unmute_self: true,
  guest_chat: false,
  several_screens: true,
  host_succession: true,
  chat_history: true,
  locked: false,
};

/** A token that ends so many seconds from now. */
export function lasting(seconds: number, claims: object = {}): string {
  const exp = Math.floor(Date.now() / 1000) + seconds;
  return `h.${btoa(JSON.stringify({ ...claims, exp }))}.s`;
}

/** Joined as Ann, with Ben. */
export function joined(patch: Partial<RoomJoined> = {}): RoomJoined {
  return {
    meeting_id: 'm',
    user_id: 'ann',
    display_name: 'Ann',
    your_role: 'attendee',
    participants: [person('ann'), person('ben')],
    producers: [],
    rtp_capabilities: {},
    transports: [],
    settings: SETTINGS,
    spotlight: null,
    layout: null,
    waiting: [],
    breakouts: null,
    parent_id: null,
    recent_messages: [],
    version: 1,
    resume_token: 'token',
    resumed: false,
    media: { epoch: 1, generation: 0 },
    moving: null,
    ice_servers: [],
    ice_ttl_seconds: null,
    ...patch,
  };
}

/** The `second`th message of a chat. */
export function message(second: number, patch: Partial<Message> = {}): Message {
  return {
    meeting_id: 'm',
    message_id: `m${second}`,
    user_id: 'ben',
    display_name: 'Ben',
    message: `text ${second}`,
    reply_to: null,
    recipient_type: 'all',
    recipient_id: null,
    timestamp: `2025-01-01T00:00:${String(second).padStart(2, '0')}.000Z`,
    deleted: false,
    ...patch,
  };
}
