import { describe, expect, it } from 'vitest';
import type { RemoteProducer, RoomJoined } from '../src/meeting/protocol';
import { apply, comparePlanes, EMPTY_ROSTER, fromJoined, type Roster } from '../src/meeting/roster';

const person = (user_id: string, joined_at = '2025-01-01T00:00:00Z') => ({
  user_id,
  display_name: user_id.toUpperCase(),
  role: 'attendee' as const,
  audio_enabled: false,
  video_enabled: false,
  screen_sharing: false,
  joined_at,
});
const mic: RemoteProducer = {
  producer_id: 'p1',
  user_id: 'ann',
  kind: 'audio',
  source: 'mic',
  paused: false,
};
const joined = (patch: Partial<RoomJoined>) =>
  fromJoined({
    participants: [person('ann'), person('bob')],
    producers: [],
    ...patch,
  } as RoomJoined);
const ann = (roster: Roster) => roster.participants.get('ann');

describe('the roster', () => {
  it('lists people in the order in which they joined', () => {
    const roster = joined({
      participants: [person('late', '2025-01-01T00:00:09Z'), person('early')],
    });
    expect([...roster.participants.keys()]).toEqual(['early', 'late']);
  });

  it('shows a microphone as on from its producer alone, and off once that is closed', () => {
    const on = apply(joined({}), 'new-producer', mic);
    expect(ann(on)?.audio_enabled).toBe(true);
    expect(on.producers.get('p1')).toEqual(mic);
    const off = apply(on, 'producer:closed', { producer_id: 'p1', user_id: 'ann', source: 'mic' });
    expect(ann(off)?.audio_enabled).toBe(false);
    expect(off.producers.size).toBe(0);
  });

  it('follows pauses of a producer', () => {
    const on = apply(joined({}), 'new-producer', mic);
    const paused = apply(on, 'producer:paused', { producer_id: 'p1', user_id: 'ann' });
    expect(ann(paused)?.audio_enabled).toBe(false);
    const again = apply(paused, 'producer:resumed', { producer_id: 'p1', user_id: 'ann' });
    expect(ann(again)?.audio_enabled).toBe(true);
  });

  it('keeps what is known of a person who is announced twice', () => {
    const on = apply(joined({}), 'new-producer', mic);
    const twice = apply(on, 'participant:joined', {
      user_id: 'ann',
      display_name: 'Ann',
      role: 'host',
    });
    expect(twice.participants.size).toBe(2);
    expect(ann(twice)).toMatchObject({ display_name: 'Ann', role: 'host', audio_enabled: true });
  });

  it('forgets all that a person sent when they leave', () => {
    const on = apply(joined({}), 'new-producer', mic);
    const left = apply(on, 'participant:left', { user_id: 'ann', reason: 'left' });
    expect([...left.participants.keys()]).toEqual(['bob']);
    expect(left.producers.size).toBe(0);
  });

  it('keeps people and forgets producers when the media plane is new', () => {
    const on = apply(joined({}), 'new-producer', mic);
    const reset = apply(on, 'media:reset', { reason: 'worker_died', epoch: 1, generation: 2 });
    expect(reset.participants.size).toBe(2);
    expect(reset.producers.size).toBe(0);
  });

  it('does not change for news of strangers', () => {
    const data = { user_id: 'x', kind: 'audio' as const, enabled: true };
    expect(apply(EMPTY_ROSTER, 'participant:media:updated', data)).toBe(EMPTY_ROSTER);
  });
});

describe('comparePlanes', () => {
  it('puts the epoch before the generation', () => {
    expect(comparePlanes({ epoch: 2, generation: 0 }, { epoch: 1, generation: 9 })).toBeGreaterThan(
      0,
    );
    expect(comparePlanes({ epoch: 1, generation: 1 }, { epoch: 1, generation: 2 })).toBeLessThan(0);
    expect(comparePlanes({ epoch: 1, generation: 1 }, { epoch: 1, generation: 1 })).toBe(0);
  });
});
