import { describe, expect, it } from 'vitest';
import type { LocalMedia } from '../src/meeting/LocalMedia';
import { explain, OwnMedia } from '../src/meeting/OwnMedia';
import { People } from '../src/meeting/People';
import type { RoomJoined } from '../src/meeting/protocol.generated';
import { Rules } from '../src/meeting/Rules';
import { FakeServer, joined, lineTo, noticesOf, person, SETTINGS, tell } from './support';

/** Devices that are on or off, and nothing else. */
function devices() {
  const on = { audio: true, video: true };
  const local = {
    get: () => ({ audio: { on: on.audio }, video: { on: on.video } }),
    turn: async (kind: 'audio' | 'video', to: boolean) => void Object.assign(on, { [kind]: to }),
    toggle: async (kind: 'audio' | 'video') => void Object.assign(on, { [kind]: !on[kind] }),
  };
  return { on, local: local as unknown as LocalMedia };
}

function entered(patch: Partial<RoomJoined> = {}) {
  const line = lineTo(new FakeServer());
  const people = new People(line);
  const rules = new Rules(line);
  const { on, local } = devices();
  const own = new OwnMedia(line, local, people, rules);
  const room = joined(patch);
  for (const concern of [rules, people, own]) concern.entered(room);
  const muted = (may_unmute: boolean, kind: 'audio' | 'video' = 'audio') => {
    tell(own, 'muted:by-host', { meeting_id: 'm', kind, reason: '', may_unmute });
    const told = {
      meeting_id: 'm',
      target_user_id: 'ann',
      moderator_name: 'Cy',
      kind,
      muted: true,
    };
    tell(own, 'participant:muted', told);
  };
  return { line, people, rules, own, on, muted };
}

describe('our own microphone and camera', () => {
  it('go off when a host mutes them, and the person is told who it was', () => {
    const { line, own, on, muted } = entered();
    muted(true);
    expect(on).toEqual({ audio: false, video: true });
    muted(true, 'video');
    expect(on.video).toBe(false);
    expect(noticesOf(line)).toEqual(['Cy muted you', 'Cy stopped your camera']);
    expect(own.get().audio).toEqual({ by: 'Cy', mayUnmute: true });
  });

  it('may be switched on again where the host allows it', () => {
    const { own, on, muted } = entered();
    muted(true);
    own.toggle('audio');
    expect(on.audio).toBe(true);
    expect(own.get().audio).toBeNull();
  });

  it('stay off where the host does not, and the button says why', () => {
    const { line, own, on, muted } = entered();
    muted(false);
    own.toggle('audio');
    expect(on.audio).toBe(false);
    expect(noticesOf(line).at(-1)).toBe(explain('audio', { by: 'Cy', mayUnmute: false }));
    const free = { meeting_id: 'm', target_user_id: 'ann', moderator_name: 'Cy' };
    tell(own, 'participant:muted', { ...free, kind: 'audio', muted: false });
    own.toggle('audio');
    expect(on.audio).toBe(true);
  });

  it('are as the server holds them after one has come back', () => {
    const { own, on } = entered({
      participants: [person('ann', { audio_muted_by_host: true })],
      settings: { ...SETTINGS, allow_unmute_self: false },
    });
    expect(on.audio).toBe(false);
    expect(own.get().audio?.mayUnmute).toBe(false);
  });

  it('are free again when the meeting’s setting changes', () => {
    const { own, rules } = entered({
      participants: [person('ann', { audio_muted_by_host: true })],
      settings: { ...SETTINGS, allow_unmute_self: false },
    });
    const changed = { meeting_id: 'm', settings: SETTINGS };
    tell(rules, 'room:settings:changed', changed);
    tell(own, 'room:settings:changed', changed);
    expect(own.get().audio?.mayUnmute).toBe(true);
  });

  it('may always be switched on again by a presenter, and by who becomes one', () => {
    const settings = { ...SETTINGS, allow_unmute_self: false };
    const muted = { audio_muted_by_host: true };
    const { own } = entered({
      participants: [person('ann', { ...muted, role: 'presenter' })],
      settings,
    });
    expect(own.get().audio?.mayUnmute).toBe(true);

    const later = entered({ participants: [person('ann', muted)], settings });
    expect(later.own.get().audio?.mayUnmute).toBe(false);
    const roles = { old_role: 'attendee', new_role: 'presenter' } as const;
    for (const concern of [later.people, later.own]) {
      tell(concern, 'participant:role:changed', { meeting_id: 'm', user_id: 'ann', ...roles });
    }
    expect(later.own.get().audio?.mayUnmute).toBe(true);
  });

  it('are off for a guest, who may not send', () => {
    const { on } = entered({ participants: [person('ann', { role: 'guest' })] });
    expect(on).toEqual({ audio: false, video: false });
  });

  it('do not follow what happens to others', () => {
    const { line, own, on } = entered();
    const told = { meeting_id: 'm', target_user_id: 'ben', moderator_name: 'Cy' };
    tell(own, 'participant:muted', { ...told, kind: 'audio', muted: true });
    expect(on.audio).toBe(true);
    expect(noticesOf(line)).toEqual([]);
  });
});
