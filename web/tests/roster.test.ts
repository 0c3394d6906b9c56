import { describe, expect, it } from 'vitest';
import type { Stream } from '../src/meeting/protocol.generated';
import {
  apply,
  comparePlanes,
  EMPTY_ROSTER,
  fromJoined,
  hands,
  listed,
  type Roster,
} from '../src/meeting/roster';
import { joined, person } from './support';

const mic: Stream = {
  producer_id: 'p1',
  user_id: 'ann',
  kind: 'audio',
  source: 'mic',
  paused: false,
};
const start = fromJoined(joined());
const ann = (roster: Roster) => roster.participants.get('ann');
const meeting_id = 'm';

describe('the roster', () => {
  it('lists people in the order in which they joined', () => {
    const roster = fromJoined(
      joined({
        participants: [person('late', { joined_at: '2025-01-01T00:00:09Z' }), person('early')],
      }),
    );
    expect([...roster.participants.keys()]).toEqual(['early', 'late']);
  });

  it('shows a microphone as on from its producer alone, and off once that is closed', () => {
    const on = apply(start, 'new-producer', mic);
    expect(ann(on)?.audio_enabled).toBe(true);
    expect(on.producers.get('p1')).toEqual(mic);
    const off = apply(on, 'producer:closed', { producer_id: 'p1', user_id: 'ann', source: 'mic' });
    expect(ann(off)?.audio_enabled).toBe(false);
    expect(off.producers.size).toBe(0);
  });

  it('follows pauses of a producer', () => {
    const on = apply(start, 'new-producer', mic);
    const paused = apply(on, 'producer:paused', { producer_id: 'p1', user_id: 'ann' });
    expect(ann(paused)?.audio_enabled).toBe(false);
    const again = apply(paused, 'producer:resumed', { producer_id: 'p1', user_id: 'ann' });
    expect(ann(again)?.audio_enabled).toBe(true);
  });

  it('keeps what is known of a person who is announced twice', () => {
    const on = apply(start, 'new-producer', mic);
    const twice = apply(on, 'participant:joined', {
      meeting_id,
      user_id: 'ann',
      display_name: 'Ann',
      role: 'host',
    });
    expect(twice.participants.size).toBe(2);
    expect(ann(twice)).toMatchObject({ audio_enabled: true, role: 'host' });
  });

  it('forgets a person with all that they sent', () => {
    const on = apply(start, 'new-producer', mic);
    const left = apply(on, 'participant:left', { meeting_id, user_id: 'ann', reason: 'left' });
    expect([...left.participants.keys()]).toEqual(['ben']);
    expect(left.producers.size).toBe(0);
  });

  it('takes a change of a person as a whole, without changing their place', () => {
    const updates = person('ann', { role: 'host', audio_muted_by_host: true });
    const changed = apply(start, 'participant:updated', { meeting_id, user_id: 'ann', updates });
    expect(ann(changed)).toEqual(updates);
    expect([...changed.participants.keys()]).toEqual(['ann', 'ben']);
  });

  it('forgets all producers when media starts anew, and keeps the people', () => {
    const on = apply(start, 'new-producer', mic);
    const plane = { meeting_id, reason: 'worker_died' as const, epoch: 1, generation: 1 };
    const reset = apply(on, 'media:reset', plane);
    expect(reset.participants.size).toBe(2);
    expect(reset.producers.size).toBe(0);
  });

  it('does not change for news of strangers, nor for what it knows already', () => {
    const data = { meeting_id, user_id: 'x', kind: 'audio' as const, enabled: true };
    expect(apply(EMPTY_ROSTER, 'participant:media:updated', data)).toBe(EMPTY_ROSTER);
    expect(apply(start, 'hand:lowered', { meeting_id, user_id: 'ann' })).toBe(start);
  });
});

describe('hands', () => {
  const raise = (roster: Roster, user_id: string, second: number) =>
    apply(roster, 'hand:raised', {
      meeting_id,
      user_id,
      display_name: user_id,
      timestamp: `2025-01-01T00:00:0${second}Z`,
    });

  it('are taken in the order in which they were raised, whatever order they were told in', () => {
    const roster = raise(raise(start, 'ann', 5), 'ben', 3);
    expect(hands(roster).map(({ user_id }) => user_id)).toEqual(['ben', 'ann']);
  });

  it('go to the end when they are raised again', () => {
    const both = raise(raise(start, 'ann', 1), 'ben', 2);
    const lowered = apply(both, 'hand:lowered', { meeting_id, user_id: 'ann' });
    expect(hands(lowered).map(({ user_id }) => user_id)).toEqual(['ben']);
    expect(hands(raise(lowered, 'ann', 3)).map(({ user_id }) => user_id)).toEqual(['ben', 'ann']);
  });

  it('come first in the list, before hosts', () => {
    const people = [person('cy', { role: 'co_host' }), person('dee', { role: 'host' })];
    const roster = fromJoined(joined({ participants: [person('ann'), person('ben'), ...people] }));
    const ids = listed(raise(roster, 'ben', 1)).map(({ user_id }) => user_id);
    expect(ids).toEqual(['ben', 'dee', 'cy', 'ann']);
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
