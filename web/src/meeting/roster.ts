/**
 * Who is in the meeting and what they send, kept up to date from the server's events. Pure.
 *
 * `fromJoined` replaces all of it, after each (re)join; `apply` brings one event in. Both make
 * the participants' flags agree with their producers, so that a tile needs one place to look.
 */
import type { Participant, RemoteProducer, RoomJoined, ServerEvents, Source } from './protocol';

export interface Roster {
  /** Everybody, self included, by user id, in order of joining. */
  participants: ReadonlyMap<string, Participant>;
  /** What others send, by producer id. */
  producers: ReadonlyMap<string, RemoteProducer>;
}

export const EMPTY_ROSTER: Roster = { participants: new Map(), producers: new Map() };

export function fromJoined(joined: RoomJoined): Roster {
  const inOrder = [...joined.participants].sort(
    (a, b) => a.joined_at.localeCompare(b.joined_at) || a.user_id.localeCompare(b.user_id),
  );
  return {
    participants: new Map(inOrder.map((participant) => [participant.user_id, participant])),
    producers: new Map(joined.producers.map((producer) => [producer.producer_id, producer])),
  };
}

export function apply<E extends keyof ServerEvents>(
  roster: Roster,
  event: E,
  data: ServerEvents[E],
): Roster {
  const change = CHANGES[event] as ((roster: Roster, data: ServerEvents[E]) => Roster) | undefined;
  return change ? change(roster, data) : roster;
}

type Changes = { [E in keyof ServerEvents]?: (roster: Roster, data: ServerEvents[E]) => Roster };

const CHANGES: Changes = {
  'participant:joined': (roster, { user_id, display_name, role }) => {
    const known = roster.participants.get(user_id);
    return withParticipant(roster, {
      audio_enabled: false,
      video_enabled: false,
      screen_sharing: false,
      joined_at: new Date().toISOString(),
      ...known,
      user_id,
      display_name,
      role,
    });
  },
  'participant:left': (roster, { user_id }) => ({
    participants: without(roster.participants, (id) => id === user_id),
    producers: without(roster.producers, (_, producer) => producer.user_id === user_id),
  }),
  'participant:media:updated': (roster, { user_id, kind, enabled }) =>
    withFlag(roster, user_id, kind === 'audio' ? 'mic' : 'camera', enabled),
  'new-producer': (roster, producer) =>
    withFlag(withProducer(roster, producer), producer.user_id, producer.source, !producer.paused),
  'producer:closed': (roster, { producer_id, user_id, source }) =>
    withFlag(
      { ...roster, producers: without(roster.producers, (id) => id === producer_id) },
      user_id,
      source,
      false,
    ),
  'producer:paused': (roster, { producer_id }) => withPaused(roster, producer_id, true),
  'producer:resumed': (roster, { producer_id }) => withPaused(roster, producer_id, false),
  'media:reset': (roster) => ({ ...roster, producers: new Map() }),
};

const FLAGS: Partial<Record<Source, 'audio_enabled' | 'video_enabled' | 'screen_sharing'>> = {
  mic: 'audio_enabled',
  camera: 'video_enabled',
  screen: 'screen_sharing',
};

function withPaused(roster: Roster, producerId: string, paused: boolean): Roster {
  const producer = roster.producers.get(producerId);
  if (!producer) return roster;
  const changed = withProducer(roster, { ...producer, paused });
  return withFlag(changed, producer.user_id, producer.source, !paused);
}

function withFlag(roster: Roster, userId: string, source: Source, on: boolean): Roster {
  const participant = roster.participants.get(userId);
  const flag = FLAGS[source];
  if (!participant || !flag || participant[flag] === on) return roster;
  return withParticipant(roster, { ...participant, [flag]: on });
}

function withParticipant(roster: Roster, participant: Participant): Roster {
  const participants = new Map(roster.participants).set(participant.user_id, participant);
  return { ...roster, participants };
}

function withProducer(roster: Roster, producer: RemoteProducer): Roster {
  const producers = new Map(roster.producers).set(producer.producer_id, producer);
  return { ...roster, producers };
}

function without<V>(map: ReadonlyMap<string, V>, drop: (key: string, value: V) => boolean) {
  return new Map([...map].filter(([key, value]) => !drop(key, value)));
}

/** Negative where `a` is an older media plane than `b`, 0 where they are the same. */
export function comparePlanes(
  a: { epoch: number; generation: number },
  b: { epoch: number; generation: number },
): number {
  return a.epoch - b.epoch || a.generation - b.generation;
}
