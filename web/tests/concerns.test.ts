import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { RequestError } from '../src/meeting/errors';
import { People } from '../src/meeting/People';
import { Reactions } from '../src/meeting/Reactions';
import { Rules } from '../src/meeting/Rules';
import { ViewChoice } from '../src/meeting/ViewChoice';
import { WaitingRoom } from '../src/meeting/WaitingRoom';
import { FakeServer, joined, lineTo, noticesOf, person, SETTINGS, tell } from './support';

const meeting_id = 'm';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('people', () => {
  function entered() {
    const server = new FakeServer();
    const line = lineTo(server);
    const people = new People(line);
    people.entered(joined());
    return { server, line, people };
  }

  it('are announced as they come and go, ourselves and those who resume excepted', () => {
    const { line, people } = entered();
    const cy = { meeting_id, user_id: 'cy', display_name: 'Cy', role: 'attendee' as const };
    tell(people, 'participant:joined', cy);
    tell(people, 'participant:joined', cy);
    tell(people, 'participant:joined', { ...cy, user_id: 'ann', display_name: 'Ann' });
    tell(people, 'participant:left', { meeting_id, user_id: 'cy', reason: 'left' });
    tell(people, 'participant:left', { meeting_id, user_id: 'stranger', reason: 'left' });
    expect(noticesOf(line)).toEqual(['Cy joined', 'Cy left']);
  });

  it('hear that a host lowered their hand, and nothing when they did it themselves', async () => {
    const { line, people, server } = entered();
    const ann = { meeting_id, user_id: 'ann' };
    const raised = { ...ann, display_name: 'Ann', timestamp: '2025-01-01T00:00:00Z' };
    tell(people, 'hand:raised', raised);
    await people.raiseHand(false);
    tell(people, 'hand:lowered', ann);
    expect(noticesOf(line)).toEqual([]);
    expect(server.events).toEqual(['hand:lower']);
    tell(people, 'hand:raised', raised);
    tell(people, 'hand:lowered', ann);
    expect(noticesOf(line)).toEqual(['A host lowered your hand']);
  });

  it('are told which role they have from now on', () => {
    const { line, people } = entered();
    const change = { meeting_id, user_id: 'ann', old_role: 'presenter' as const };
    tell(people, 'participant:role:changed', { ...change, new_role: 'attendee' });
    expect(people.me?.role).toBe('attendee');
    expect(noticesOf(line)).toEqual(['You are an attendee now']);
  });
});

describe('the waiting room', () => {
  const gus = { user_id: 'gus', display_name: 'Gus', since: '2025-01-01T00:00:00Z' };
  const hal = { ...gus, user_id: 'hal', display_name: 'Hal' };

  it('has each person once, and tells a host who came', () => {
    const line = lineTo(new FakeServer());
    const waitingRoom = new WaitingRoom(line);
    waitingRoom.entered(joined({ waiting: [gus] }));
    tell(waitingRoom, 'waiting:added', { ...gus, meeting_id });
    tell(waitingRoom, 'waiting:added', { ...hal, meeting_id });
    expect(waitingRoom.get().map(({ user_id }) => user_id)).toEqual(['gus', 'hal']);
    expect(noticesOf(line)).toEqual(['Hal is in the waiting room']);
  });

  it('loses who was let in, turned away, or went, and keeps who the server kept', async () => {
    const server = new FakeServer();
    const waitingRoom = new WaitingRoom(lineTo(server));
    waitingRoom.entered(joined({ waiting: [gus, hal] }));
    server.answers['waiting:admit'] = new RequestError('UNAVAILABLE', '');
    await waitingRoom.admit('gus');
    expect(waitingRoom.get()).toHaveLength(2);
    tell(waitingRoom, 'waiting:left', { meeting_id, user_id: 'hal', outcome: 'left' });
    server.answers['waiting:admit'] = () => ({ meeting_id, user_ids: ['gus'] });
    await waitingRoom.admitAll();
    expect(waitingRoom.get()).toEqual([]);
    expect(server.asked.at(-1)).toEqual(['waiting:admit', { meeting_id, all: true }]);
  });
});

describe('rules', () => {
  it('change at once, and back where the server refuses', async () => {
    const server = new FakeServer();
    const line = lineTo(server);
    const rules = new Rules(line);
    rules.entered(joined());
    server.answers['room:settings'] = new RequestError('UNAVAILABLE', '');
    const changing = rules.change('guest_chat', true);
    expect(rules.get()?.guest_chat).toBe(true);
    await changing;
    expect(rules.get()?.guest_chat).toBe(false);
    const settings = { ...SETTINGS, guest_chat: true };
    server.answers['room:settings'] = () => ({ meeting_id, settings });
    await rules.change('guest_chat', true);
    expect(rules.get()?.guest_chat).toBe(true);
    expect(noticesOf(line)).toHaveLength(1);
  });

  it('tell everybody but who did it that the meeting was locked', async () => {
    const line = lineTo(new FakeServer());
    const rules = new Rules(line);
    rules.entered(joined());
    await rules.lock(true);
    tell(rules, 'room:locked', { meeting_id, locked: true });
    expect(noticesOf(line)).toEqual([]);
    tell(rules, 'room:locked', { meeting_id, locked: false });
    expect(noticesOf(line)).toEqual(['The meeting is open again']);
  });
});

describe('the choice of a view', () => {
  function entered(patch = {}) {
    const server = new FakeServer();
    const line = lineTo(server);
    const people = new People(line);
    const view = new ViewChoice(line, people);
    const room = joined(patch);
    people.entered(room);
    view.entered(room);
    return { server, line, view, room };
  }

  it('follows a host’s for all, and then one’s own again', () => {
    const { view, line } = entered();
    const changed = { meeting_id, layout: 'speaker' as const, user_id: 'ben' };
    tell(view, 'layout:changed', { ...changed, for_all: false });
    expect(view.get().layout).toBe('grid');
    tell(view, 'layout:changed', { ...changed, for_all: true });
    expect(view.get().layout).toBe('speaker');
    expect(noticesOf(line)).toEqual(['A host chose the speaker view for everybody']);
    view.choose('grid');
    expect(view.get().layout).toBe('grid');
  });

  it('begins with the host’s, and keeps one’s own when one comes back', () => {
    const { view, room } = entered({ layout: 'speaker', spotlight: 'ben' });
    expect(view.get()).toMatchObject({ layout: 'speaker', spotlight: 'ben' });
    view.choose('grid');
    view.entered({ ...room, resumed: true });
    expect(view.get().layout).toBe('grid');
  });

  it('lets go of who has left', () => {
    const { view } = entered({ spotlight: 'ben' });
    view.pin('ben');
    tell(view, 'participant:left', { meeting_id, user_id: 'ben', reason: 'left' });
    expect(view.get()).toMatchObject({ pinned: null, spotlight: null });
  });

  it('says who is in the light, once', () => {
    const { view, line } = entered({ participants: [person('ann'), person('ben')] });
    const light = (target_user_id: string | null) =>
      tell(view, 'participant:spotlighted', { meeting_id, target_user_id });
    light('ben');
    light('ben');
    light(null);
    light('ann');
    expect(noticesOf(line)).toEqual(['Ben is in the spotlight', 'You are in the spotlight']);
  });
});

describe('reactions', () => {
  it('float for a while, and a refusal for haste is not worth a word', async () => {
    const server = new FakeServer();
    const line = lineTo(server);
    const reactions = new Reactions(line);
    const reaction = { meeting_id, user_id: 'ben', display_name: 'Ben', timestamp: '' };
    tell(reactions, 'reaction:received', { ...reaction, emoji: '👏' });
    expect(reactions.get()).toMatchObject([{ userId: 'ben', emoji: '👏' }]);
    await vi.advanceTimersByTimeAsync(5000);
    expect(reactions.get()).toEqual([]);
    server.answers['reaction:send'] = new RequestError('RATE_LIMIT_EXCEEDED', '', 1);
    await reactions.send('👏');
    expect(noticesOf(line)).toEqual([]);
  });
});
