/**
 * What the concerns of a meeting (people, chat, breakouts ...) have in common: the way to ask the
 * server in the meeting's name, and the shape by which `MeetingClient` keeps them informed.
 */
import { refusal } from './errors';
import type { NoticeBoard } from './NoticeBoard';
import type { ClientToServer, RoomJoined, ServerToClient } from './protocol.generated';
import type { SignalingClient } from './SignalingClient';

type Payload<E extends keyof ClientToServer> = ClientToServer[E]['payload'];
type Answer<E extends keyof ClientToServer> = ClientToServer[E]['answer'];
/** What is left to say when the meeting is known. */
export type Said<E extends keyof ClientToServer> = Omit<Payload<E>, 'meeting_id'>;

/** Events that carry the id of the meeting that they are meant for. */
type Named = {
  [E in keyof ClientToServer]: 'meeting_id' extends keyof Payload<E> ? E : never;
}[keyof ClientToServer];

export class Line {
  #signaling: SignalingClient | null = null;

  /** @param place the meeting or breakout room that we are in, or on the way to. */
  constructor(
    private readonly place: () => string,
    readonly notices: NoticeBoard,
  ) {}

  use(signaling: SignalingClient | null): void {
    this.#signaling = signaling;
  }

  /** @throws RequestError */
  async ask<E extends Named>(event: E, said: Said<E>): Promise<Answer<E>> {
    const signaling = this.#signaling as SignalingClient;
    return await signaling.request(event, { ...said, meeting_id: this.place() } as Payload<E>);
  }

  /** For what a person did with a click: if it is refused, they are told why, and get null. */
  async order<E extends Named>(event: E, said: Said<E>): Promise<Answer<E> | null> {
    try {
      return await this.ask(event, said);
    } catch (error) {
      this.notices.post(refusal(error));
      return null;
    }
  }
}

export type Hears = { [E in keyof ServerToClient]?: (data: ServerToClient[E]) => void };

/** One concern: begins with what `room:joined` tells, and follows the server's events. */
export interface Concern {
  /** Joined, joined again, or told anew. */
  entered(room: RoomJoined): void;
  readonly hears: Hears;
  /** Out of the room. */
  reset(): void;
}
