/** One person in the list, and, opened, what one may do with them. */
import { useState } from 'react';
import type { Person, Role } from '../../meeting/protocol.generated';
import { type Control, ROLE_NAMES } from '../../meeting/roles';
import { Icon } from '../icons';
import { RoundButton } from '../RoundButton';
import { Avatar, Bars } from '../stage/Tile';

type RoleControl = Extract<Control, `make-${string}`>;

const LABELS: Record<Exclude<Control, RoleControl>, string> = {
  message: 'Message',
  pin: 'Pin',
  unpin: 'Unpin',
  spotlight: 'Spotlight for all',
  unspotlight: 'End the spotlight',
  'lower-hand': 'Lower hand',
  mute: 'Mute',
  'let-unmute': 'Let them unmute',
  'stop-camera': 'Stop camera',
  'let-camera': 'Let them use the camera',
  'stop-screen': 'Stop their sharing',
  remove: 'Remove…',
};

interface Props {
  person: Person;
  self: boolean;
  /** Place among the raised hands, from 1; 0: the hand is down. */
  hand: number;
  pinned: boolean;
  spotlit: boolean;
  controls: readonly Control[];
  onControl(control: Control): void;
}

export function PersonRow(props: Props) {
  const { person, self, hand, pinned, spotlit, controls, onControl } = props;
  const [open, setOpen] = useState(false);
  const { user_id, display_name, role, quality } = person;
  const words = [
    self && 'You',
    role !== 'presenter' && ROLE_NAMES[role],
    pinned && 'Pinned',
    spotlit && 'In the spotlight',
    person.screen_sharing && 'Sharing a screen',
  ].filter(Boolean);
  return (
    <li data-testid={`person-${user_id}`}>
      <div className="person">
        <Avatar userId={user_id} name={display_name} />
        <span className="person-name">
          {display_name}
          <small>{words.join(' · ')}</small>
        </span>
        {hand > 0 && (
          <span className="person-hand" data-testid={`hand-${user_id}`}>
            <Icon name="hand" />
            <span aria-hidden="true">{hand}</span>
            <span className="visually-hidden">hand raised, number {hand}</span>
          </span>
        )}
        {quality && <Bars quality={quality} />}
        <span className="person-media">
          <Icon name={person.audio_enabled ? 'mic' : 'micOff'} />
          <Icon name={person.video_enabled ? 'camera' : 'cameraOff'} />
          <span className="visually-hidden">
            microphone {person.audio_enabled ? 'on' : 'off'}, camera{' '}
            {person.video_enabled ? 'on' : 'off'}
          </span>
        </span>
        {controls.length > 0 && (
          <RoundButton
            testId={`person-menu-${user_id}`}
            label={`What to do with ${self ? 'yourself' : display_name}`}
            icon="more"
            pressed={open}
            onPress={() => setOpen(!open)}
          />
        )}
      </div>
      {open && controls.length > 0 && (
        <div className="person-controls">
          {controls
            .filter((control) => !isRoleControl(control))
            .map((control) => (
              <button
                key={control}
                type="button"
                className={control === 'remove' ? 'chip danger' : 'chip'}
                data-testid={`${control}-${user_id}`}
                onClick={() => onControl(control)}
              >
                {LABELS[control]}
              </button>
            ))}
          <RoleChoice person={person} roles={controls.filter(isRoleControl)} onChoose={onControl} />
        </div>
      )}
    </li>
  );
}

function isRoleControl(control: Control): control is RoleControl {
  return control.startsWith('make-');
}

interface RoleChoiceProps {
  person: Person;
  roles: readonly RoleControl[];
  onChoose(control: RoleControl): void;
}

function RoleChoice({ person, roles, onChoose }: RoleChoiceProps) {
  if (roles.length === 0) return null;
  return (
    <label className="role-choice">
      Role
      <select
        className="field"
        data-testid={`role-${person.user_id}`}
        value={person.role}
        onChange={(event) => onChoose(`make-${event.target.value as Role}`)}
      >
        {(Object.keys(ROLE_NAMES) as Role[])
          .filter((role) => role === person.role || roles.includes(`make-${role}`))
          .map((role) => (
            <option key={role} value={role}>
              {ROLE_NAMES[role]}
            </option>
          ))}
      </select>
    </label>
  );
}
