import { describe, expect, it } from 'vitest';
import { Breakouts, withMoved } from '../src/meeting/Breakouts';
import type { BreakoutsView } from '../src/meeting/protocol.generated';
import { remaining } from '../src/ui/Countdown';
import { FakeServer, joined, lineTo, noticesOf, SETTINGS, tell } from './support';

const VIEW: BreakoutsView = {
  meeting_id: 'm',
  open: true,
  choose: false,
  rooms: [
    { room_id: 'm:1', name: 'Room 1' },
    { room_id: 'm:2', name: 'Blue' },
  ],
  assignments: [],
  inside: [],
  closes_at: null,
};

function entered() {
  const server = new FakeServer();
  const line = lineTo(server);
  const went: [string, string | null][] = [];
  const breakouts = new Breakouts(line, (place, token) => went.push([place, token]));
  breakouts.entered(joined({ breakouts: VIEW }));
  const go = () =>
    tell(breakouts, 'breakout:go', {
      meeting_id: 'm',
      room_id: 'm:2',
      name: 'Blue',
      token: 'way-in',
      closes_at: '2030-01-01T00:00:00.000Z',
    });
  const inRoom = () =>
    breakouts.entered(
      joined({
        meeting_id: 'm:2',
        parent_id: 'm',
        settings: { ...SETTINGS, display_name: 'Planning: Blue' },
      }),
    );
  return { server, line, breakouts, went, go, inRoom };
}

describe('breakout rooms', () => {
  it('are gone to when a host says so, and know there until when and where back', () => {
    const { breakouts, went, go, inRoom } = entered();
    go();
    breakouts.reset();
    inRoom();
    expect(breakouts.get()).toMatchObject({
      inside: { id: 'm:2', name: 'Blue' },
      main: 'm',
      closesAt: Date.parse('2030-01-01T00:00:00.000Z'),
    });
    breakouts.back();
    expect(went).toEqual([
      ['m:2', 'way-in'],
      ['m', null],
    ]);
  });

  it('are left for the main meeting when a host calls one back', () => {
    const { breakouts, line, went, go, inRoom } = entered();
    go();
    inRoom();
    const main = { room_id: 'm', name: 'Main meeting', token: 'way-back', closes_at: null };
    tell(breakouts, 'breakout:go', { meeting_id: 'm', ...main });
    expect(went.at(-1)).toEqual(['m', 'way-back']);
    expect(noticesOf(line).at(-1)).toBe('A host called you back');
    breakouts.entered(joined({ breakouts: VIEW }));
    expect(breakouts.get()).toMatchObject({ inside: null, mine: null });
  });

  it('can be gone back to from the main meeting while they are open', async () => {
    const { breakouts, server, went, go, inRoom } = entered();
    go();
    inRoom();
    breakouts.entered(joined({ breakouts: VIEW }));
    expect(breakouts.get()).toMatchObject({ inside: null, mine: { id: 'm:2', name: 'Blue' } });
    server.answers['breakout:choose'] = () => ({
      meeting_id: 'm',
      room_id: 'm:2',
      token: 'again',
    });
    await breakouts.enter({ id: 'm:2', name: 'Blue' });
    expect(went.at(-1)).toEqual(['m:2', 'again']);
    tell(breakouts, 'breakout:updated', { ...VIEW, open: false });
    expect(breakouts.get().mine).toBeNull();
  });

  it('are not gone to again by who came back by themselves, unless it is another room', () => {
    const { breakouts, went, go, inRoom } = entered();
    go();
    inRoom();
    breakouts.back();
    breakouts.entered(joined({ breakouts: VIEW }));
    go();
    expect(went).toEqual([
      ['m:2', 'way-in'],
      ['m', null],
    ]);
    expect(breakouts.get().mine?.name).toBe('Blue');
    const other = { room_id: 'm:1', name: 'Room 1', token: 'other', closes_at: null };
    tell(breakouts, 'breakout:go', { meeting_id: 'm', ...other });
    expect(went.at(-1)).toEqual(['m:1', 'other']);
  });

  it('count down from when a host closes them', () => {
    const { breakouts, line, go, inRoom } = entered();
    go();
    inRoom();
    tell(breakouts, 'breakout:closing', { meeting_id: 'm', seconds: 60 });
    const left = (breakouts.get().closesAt ?? 0) - Date.now();
    expect(remaining(left)).toMatch(/^(1:00|0:59)$/);
    expect(noticesOf(line).at(-1)).toBe('The breakout rooms close in 60 s');
  });

  it('show what a host told all rooms, until one is back', () => {
    const { breakouts, go, inRoom } = entered();
    const told = { meeting_id: 'm', message: 'Five minutes', display_name: 'Ann' };
    go();
    inRoom();
    tell(breakouts, 'breakout:message', told);
    expect(breakouts.get().told).toMatchObject({ message: 'Five minutes' });
    breakouts.entered(joined({ breakouts: VIEW }));
    expect(breakouts.get().told).toBeNull();
  });

  it('know who is where as people come and go', () => {
    const moved = (room_id: string, inside: boolean) => ({
      meeting_id: 'm',
      room_id,
      user_id: 'ben',
      display_name: 'Ben',
      inside,
    });
    const inOne = withMoved(VIEW, moved('m:1', true));
    expect(inOne.inside).toEqual([{ user_id: 'ben', room_id: 'm:1' }]);
    const inTwo = withMoved(inOne, moved('m:2', true));
    expect(inTwo.inside).toEqual([{ user_id: 'ben', room_id: 'm:2' }]);
    // The news that Ben left the first one may come later than that.
    expect(withMoved(inTwo, moved('m:1', false)).inside).toEqual(inTwo.inside);
    expect(withMoved(inTwo, moved('m:2', false)).inside).toEqual([]);
  });

  it('stay as they were where the server refuses', async () => {
    const { breakouts, server, went } = entered();
    const { RequestError } = await import('../src/meeting/errors');
    server.answers['breakout:choose'] = new RequestError('NOT_FOUND', '');
    await breakouts.enter({ id: 'm:1', name: 'Room 1' });
    expect(went).toEqual([]);
    expect(breakouts.get().mine).toBeNull();
  });
});

describe('remaining', () => {
  it('is in minutes and seconds, and never below zero', () => {
    expect([61_000, 59_001, 600_000, 0, -5].map(remaining)).toEqual([
      '1:01',
      '1:00',
      '10:00',
      '0:00',
      '0:00',
    ]);
  });
});
