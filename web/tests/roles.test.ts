import { describe, expect, it } from 'vitest';
import type { Person, Role } from '../src/meeting/protocol.generated';
import { controlsFor, may } from '../src/meeting/roles';
import { person, SETTINGS } from './support';

const NOBODY = { settings: SETTINGS, pinned: null, spotlight: null };
const controls = (mine: Role, other: Partial<Person> = {}, more = {}) =>
  controlsFor(person('ben', other), { me: person('ann', { role: mine }), ...NOBODY, ...more });

describe('what a role is offered', () => {
  it('is a view of one’s own for a guest, and the chat only where the meeting lets guests write', () => {
    expect(controls('guest')).toEqual(['pin']);
    expect(may('guest', 'write in the chat', SETTINGS)).toBe(false);
    const chatty = { ...SETTINGS, guest_chat: true };
    expect(may('guest', 'write in the chat', chatty)).toBe(true);
    expect(controls('guest', {}, { settings: chatty })).toEqual(['message', 'pin']);
  });

  it('is nothing over others for attendees and presenters', () => {
    const busy = { audio_enabled: true, video_enabled: true, screen_sharing: true };
    for (const role of ['attendee', 'presenter'] as const) {
      expect(controls(role, { ...busy, hand_raised_at: 'now' })).toEqual(['message', 'pin']);
    }
  });

  it('lets hosts mute what is on, and give back what they took', () => {
    expect(controls('host', { audio_enabled: true })).toContain('mute');
    expect(controls('host')).not.toContain('mute');
    const muted = controls('host', { audio_muted_by_host: true, video_muted_by_host: true });
    expect(muted).toEqual(expect.arrayContaining(['let-unmute', 'let-camera']));
    expect(muted).not.toContain('stop-camera');
  });

  it('never offers to give somebody the role that they have', () => {
    expect(controls('host', { role: 'presenter' })).not.toContain('make-presenter');
    expect(controls('host', { role: 'presenter' })).toContain('make-attendee');
  });

  it('lets a co-host touch no host, and make none', () => {
    expect(controls('co_host', { role: 'host', audio_enabled: true })).toEqual([
      'message',
      'pin',
      'spotlight',
    ]);
    expect(controls('co_host')).not.toContain('make-host');
    expect(controls('host')).toContain('make-host');
  });

  it('offers nobody to remove or mute themselves', () => {
    const me = person('ann', { role: 'host', audio_enabled: true, hand_raised_at: 'now' });
    expect(controlsFor(me, { me, ...NOBODY })).toEqual(['pin', 'spotlight', 'lower-hand']);
  });

  it('offers the way back from a pin and a spotlight', () => {
    const lit = controls('host', {}, { pinned: 'ben', spotlight: 'ben' });
    expect(lit).toEqual(expect.arrayContaining(['unpin', 'unspotlight']));
    expect(lit).not.toContain('pin');
    expect(controls('attendee', {}, { spotlight: 'ben' })).not.toContain('unspotlight');
  });

  it('is nothing before we know who we are', () => {
    expect(controlsFor(person('ben'), { me: undefined, ...NOBODY })).toEqual([]);
    expect(may(undefined, 'receive media')).toBe(false);
  });
});
