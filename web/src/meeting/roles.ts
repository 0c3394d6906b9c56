/**
 * What a role may do, and so what the page offers: nothing that the server would refuse. Pure.
 *
 * The table is the server's own (`ALLOWED`, generated).
 */
import {
  type Action,
  ALLOWED,
  GUESTS_WHO_CHAT,
  type Person,
  type Role,
  type SettingsView,
} from './protocol.generated';

export const ROLE_NAMES: Record<Role, string> = {
  host: 'Host',
  co_host: 'Co-host',
  presenter: 'Presenter',
  attendee: 'Attendee',
  guest: 'Guest',
};

export const isHost = (role: Role | undefined): boolean => role === 'host' || role === 'co_host';

/** Whether the role may; `settings` matter for guests who chat. */
export function may(
  role: Role | undefined,
  action: Action,
  settings?: Pick<SettingsView, 'guest_chat'> | null,
): boolean {
  if (!role) return false;
  if (ALLOWED[role].includes(action)) return true;
  return role === 'guest' && settings?.guest_chat === true && GUESTS_WHO_CHAT.includes(action);
}

/** What can be done with somebody in the list of people; the page has a label for each. */
export type Control =
  | 'message'
  | 'pin'
  | 'unpin'
  | 'spotlight'
  | 'unspotlight'
  | 'lower-hand'
  | 'mute'
  | 'let-unmute'
  | 'stop-camera'
  | 'let-camera'
  | 'stop-screen'
  | 'make-host'
  | 'make-co_host'
  | 'make-presenter'
  | 'make-attendee'
  | 'make-guest'
  | 'remove';

export interface Situation {
  me: Pick<Person, 'user_id' | 'role'> | undefined;
  settings: Pick<SettingsView, 'guest_chat'> | null;
  pinned: string | null;
  spotlight: string | null;
}

const MAKE: readonly Role[] = ['host', 'co_host', 'presenter', 'attendee', 'guest'];

/** What this person may do with that one now, in the order in which it is shown. */
export function controlsFor(person: Person, { me, settings, pinned, spotlight }: Situation) {
  if (!me) return [];
  const self = person.user_id === me.user_id;
  const allowed = (action: Action) => may(me.role, action, settings);
  // A co-host is below a host.
  const above = !self && (me.role === 'host' || person.role !== 'host');
  const offers: [Control, boolean][] = [
    ['message', !self && allowed('write in the chat')],
    ['pin', pinned !== person.user_id && allowed("arrange one's own view")],
    ['unpin', pinned === person.user_id],
    ['spotlight', spotlight !== person.user_id && allowed("arrange everybody's view")],
    ['unspotlight', spotlight === person.user_id && allowed("arrange everybody's view")],
    ['lower-hand', person.hand_raised_at !== null && (self || allowed("lower others' hands"))],
    ...muting(person, above && allowed('mute others')),
    ...roles(person, above && allowed('change roles'), me.role),
    ['remove', above && allowed('remove people')],
  ];
  return offers.filter(([, offered]) => offered).map(([control]) => control);
}

function muting(person: Person, allowed: boolean): [Control, boolean][] {
  return [
    ['mute', allowed && person.audio_enabled],
    ['let-unmute', allowed && person.audio_muted_by_host && !person.audio_enabled],
    ['stop-camera', allowed && person.video_enabled],
    ['let-camera', allowed && person.video_muted_by_host && !person.video_enabled],
    ['stop-screen', allowed && person.screen_sharing],
  ];
}

function roles(person: Person, allowed: boolean, mine: Role): [Control, boolean][] {
  return MAKE.map((role) => [
    `make-${role}` as Control,
    allowed && person.role !== role && (role !== 'host' || mine === 'host'),
  ]);
}
