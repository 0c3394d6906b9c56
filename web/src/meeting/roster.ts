/**
 * Who is in the meeting and what they send, kept up to date from the server's events. Pure.
 *
 * `fromJoined` replaces all of it, after each (re)join; `apply` brings one event in. Both make
 * the people's flags agree with their streams, so that a tile needs one place to look.
 */
import type { Person, RoomJoined, ServerToClient, Source, Stream } from './protocol.generated';

export interface Roster {
  /** Our user id; empty until joined. */
  self: string;
  /** Everybody, self included, by user id, in order of joining. */
  participants: ReadonlyMap<string, Person>;
  /** What others send, by producer id. */
  producers: ReadonlyMap<string, Stream>;
}

export const EMPTY_ROSTER: Roster = { self: '', participants: new Map(), producers: new Map() };

export function fromJoined(joined: RoomJoined): Roster {
  const inOrder = [...joined.participants].sort(
    (a, b) => a.joined_at.localeCompare(b.joined_at) || a.user_id.localeCompare(b.user_id),
  );
  return {
    self: joined.user_id,
    participants: new Map(inOrder.map((person) => [person.user_id, person])),
    producers: new Map(joined.producers.map((stream) => [stream.producer_id, stream])),
  };
}

/** Ourselves, as the others see us. */
export function me(roster: Roster): Person | undefined {
  return roster.participants.get(roster.self);
}

export function nameOf(roster: Roster, userId: string): string {
  return roster.participants.get(userId)?.display_name ?? 'Somebody';
}

/** Who raised a hand, the first one first. */
export function hands(roster: Roster): Person[] {
  return [...roster.participants.values()]
    .filter((person) => person.hand_raised_at !== null)
    .sort((a, b) => (a.hand_raised_at ?? '').localeCompare(b.hand_raised_at ?? ''));
}

/** Everybody as the list shows them: raised hands first, in their order; then hosts; then others. */
export function listed(roster: Roster): Person[] {
  const raised = hands(roster);
  const others = [...roster.participants.values()].filter((each) => each.hand_raised_at === null);
  const rank = ({ role }: Person) => (role === 'host' ? 0 : role === 'co_host' ? 1 : 2);
  return [...raised, ...others.sort((a, b) => rank(a) - rank(b))];
}

export function apply<E extends keyof ServerToClient>(
  roster: Roster,
  event: E,
  data: ServerToClient[E],
): Roster {
  const change = CHANGES[event] as
    | ((roster: Roster, data: ServerToClient[E]) => Roster)
    | undefined;
  return change ? change(roster, data) : roster;
}

type Changes = {
  [E in keyof ServerToClient]?: (roster: Roster, data: ServerToClient[E]) => Roster;
};

const NEW: Omit<Person, 'user_id' | 'display_name' | 'role' | 'joined_at'> = {
  audio_enabled: false,
  video_enabled: false,
  screen_sharing: false,
  hand_raised_at: null,
  audio_muted_by_host: false,
  video_muted_by_host: false,
  quality: null,
};

const CHANGES: Changes = {
  'participant:joined': (roster, { user_id, display_name, role }) => {
    const known = roster.participants.get(user_id);
    const joined_at = new Date().toISOString();
    return withPerson(roster, { ...NEW, joined_at, ...known, user_id, display_name, role });
  },
  'participant:left': (roster, { user_id }) => ({
    ...roster,
    participants: without(roster.participants, (id) => id === user_id),
    producers: without(roster.producers, (_, stream) => stream.user_id === user_id),
  }),
  'participant:updated': (roster, { user_id, updates }) => patched(roster, user_id, updates),
  'participant:role:changed': (roster, { user_id, new_role }) =>
    patched(roster, user_id, { role: new_role }),
  'participant:media:updated': (roster, { user_id, kind, enabled }) =>
    withFlag(roster, user_id, kind === 'audio' ? 'mic' : 'camera', enabled),
  'participant:muted': (roster, { target_user_id, kind, muted }) =>
    patched(
      roster,
      target_user_id,
      kind === 'audio' ? { audio_muted_by_host: muted } : { video_muted_by_host: muted },
    ),
  'hand:raised': (roster, { user_id, timestamp }) =>
    patched(roster, user_id, { hand_raised_at: timestamp }),
  'hand:lowered': (roster, { user_id }) => patched(roster, user_id, { hand_raised_at: null }),
  'connection:quality': (roster, { user_id, quality }) => patched(roster, user_id, { quality }),
  'screen:started': (roster, { user_id }) => patched(roster, user_id, { screen_sharing: true }),
  'screen:stopped': (roster, { user_id }) => patched(roster, user_id, { screen_sharing: false }),
  'new-producer': (roster, stream) =>
    withFlag(withStream(roster, stream), stream.user_id, stream.source, !stream.paused),
  'producer:closed': (roster, { producer_id, user_id, source }) =>
    withFlag(withoutStream(roster, producer_id), user_id, source, false),
  'producer:paused': (roster, { producer_id }) => withPaused(roster, producer_id, true),
  'producer:resumed': (roster, { producer_id }) => withPaused(roster, producer_id, false),
  'media:reset': (roster) => ({ ...roster, producers: new Map() }),
};

/** The events that change a roster. */
export const ROSTER_EVENTS = Object.keys(CHANGES) as (keyof ServerToClient)[];

const FLAGS: Partial<Record<Source, 'audio_enabled' | 'video_enabled' | 'screen_sharing'>> = {
  mic: 'audio_enabled',
  camera: 'video_enabled',
  screen: 'screen_sharing',
};

/** Without a stream that is gone, or that cannot be had. */
export function withoutStream(roster: Roster, producerId: string): Roster {
  if (!roster.producers.has(producerId)) return roster;
  return { ...roster, producers: without(roster.producers, (id) => id === producerId) };
}

function withPaused(roster: Roster, producerId: string, paused: boolean): Roster {
  const stream = roster.producers.get(producerId);
  if (!stream) return roster;
  const changed = withStream(roster, { ...stream, paused });
  return withFlag(changed, stream.user_id, stream.source, !paused);
}

function withFlag(roster: Roster, userId: string, source: Source, on: boolean): Roster {
  const flag = FLAGS[source];
  return flag ? patched(roster, userId, { [flag]: on }) : roster;
}

function patched(roster: Roster, userId: string, patch: Partial<Person>): Roster {
  const person = roster.participants.get(userId);
  if (!person) return roster;
  const names = Object.keys(patch) as (keyof Person)[];
  if (names.every((name) => patch[name] === person[name])) return roster;
  return withPerson(roster, { ...person, ...patch });
}

function withPerson(roster: Roster, person: Person): Roster {
  return { ...roster, participants: new Map(roster.participants).set(person.user_id, person) };
}

function withStream(roster: Roster, stream: Stream): Roster {
  return { ...roster, producers: new Map(roster.producers).set(stream.producer_id, stream) };
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
