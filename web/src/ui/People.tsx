/** The list of everybody in the meeting. */
import type { MeetingState } from '../meeting/MeetingClient';
import type { Role } from '../meeting/protocol';
import { Icon } from './icons';
import { RoundButton } from './RoundButton';
import { Avatar } from './Tile';

const ROLES: Partial<Record<Role, string>> = {
  host: 'Host',
  co_host: 'Co-host',
  guest: 'Guest',
};

export function People({ state, onClose }: { state: MeetingState; onClose(): void }) {
  return (
    <aside className="people" id="people" aria-label="Participants">
      <header>
        <h2>Participants</h2>
        <RoundButton label="Close the list" icon="close" onPress={onClose} />
      </header>
      <ul>
        {[...state.roster.participants.values()].map((person) => (
          <li key={person.user_id}>
            <Avatar userId={person.user_id} name={person.display_name} />
            <span className="people-name">
              {person.display_name}
              <small>
                {[person.user_id === state.self && 'You', ROLES[person.role]]
                  .filter(Boolean)
                  .join(' · ')}
              </small>
            </span>
            <span className="people-media">
              <Icon name={person.audio_enabled ? 'mic' : 'micOff'} />
              <Icon name={person.video_enabled ? 'camera' : 'cameraOff'} />
              <span className="visually-hidden">
                microphone {person.audio_enabled ? 'on' : 'off'}, camera{' '}
                {person.video_enabled ? 'on' : 'off'}
              </span>
            </span>
          </li>
        ))}
      </ul>
    </aside>
  );
}
