/** Everybody in the meeting, who waits outside, and what one may do with them. */
import { useState } from 'react';
import type { MeetingClient } from '../../meeting/MeetingClient';
import { type Control, controlsFor, may } from '../../meeting/roles';
import { hands, listed, me } from '../../meeting/roster';
import { Confirm } from '../Dialog';
import { useStore } from '../hooks';
import { Icon } from '../icons';
import { AddPeople } from './AddPeople';
import { Panel } from './Panel';
import { PersonRow } from './PersonRow';
import { WaitingList } from './WaitingList';

interface Props {
  client: MeetingClient;
  onMessage(userId: string): void;
  onSettings(): void;
  onClose(): void;
}

export function PeoplePanel({ client, onMessage, onSettings, onClose }: Props) {
  const roster = useStore(client.people);
  const settings = useStore(client.rules);
  const { pinned, spotlight } = useStore(client.view);
  const [removing, setRemoving] = useState<string | null>(null);
  const self = me(roster);
  const situation = { me: self, settings, pinned, spotlight };
  const raised = hands(roster).map(({ user_id }) => user_id);
  const press = (userId: string, control: Control) => {
    if (control === 'message') onMessage(userId);
    else if (control === 'remove') setRemoving(userId);
    else act(client, userId, control);
  };
  return (
    <Panel id="people" title="Participants" closeLabel="Close the list" onClose={onClose}>
      <div className="panel-scroll">
        {may(self?.role, 'let people in from the waiting room') && <WaitingList client={client} />}
        <ul className="people-list">
          {listed(roster).map((person) => (
            <PersonRow
              key={person.user_id}
              person={person}
              self={person.user_id === roster.self}
              hand={raised.indexOf(person.user_id) + 1}
              pinned={pinned === person.user_id}
              spotlit={spotlight === person.user_id}
              controls={controlsFor(person, situation)}
              onControl={(control) => press(person.user_id, control)}
            />
          ))}
        </ul>
      </div>
      <footer className="panel-foot">
        {may(self?.role, 'add people') && <AddPeople client={client} />}
        {may(self?.role, 'lock the meeting') && (
          <button
            type="button"
            className="button quiet small"
            data-testid="lock-button"
            aria-pressed={settings?.locked ?? false}
            onClick={() => void client.rules.lock(!settings?.locked)}
          >
            <Icon name="lock" />
            {settings?.locked ? 'Unlock' : 'Lock'}
          </button>
        )}
        {may(self?.role, "change the meeting's settings") && (
          <button
            type="button"
            className="button quiet small"
            data-testid="meeting-settings-button"
            onClick={onSettings}
          >
            <Icon name="settings" />
            Settings
          </button>
        )}
      </footer>
      {removing && (
        <Confirm
          title={`Remove ${client.people.nameOf(removing)}?`}
          advice="They leave at once and cannot come back, unless a host adds them again."
          action="Remove"
          onConfirm={() => void client.hosting.remove(removing)}
          onClose={() => setRemoving(null)}
        />
      )}
    </Panel>
  );
}

function act(client: MeetingClient, userId: string, control: Control): void {
  const { hosting, people, view } = client;
  const self = userId === people.get().self;
  const acts: Record<Exclude<Control, 'message' | 'remove'>, () => unknown> = {
    pin: () => view.pin(userId),
    unpin: () => view.pin(null),
    spotlight: () => view.light(userId),
    unspotlight: () => view.light(null),
    'lower-hand': () => (self ? people.raiseHand(false) : hosting.lowerHand(userId)),
    mute: () => hosting.mute(userId, 'audio'),
    'let-unmute': () => hosting.letUnmute(userId, 'audio'),
    'stop-camera': () => hosting.mute(userId, 'video'),
    'let-camera': () => hosting.letUnmute(userId, 'video'),
    'stop-screen': () => hosting.stopScreen(userId),
    'make-host': () => hosting.makeRole(userId, 'host'),
    'make-co_host': () => hosting.makeRole(userId, 'co_host'),
    'make-presenter': () => hosting.makeRole(userId, 'presenter'),
    'make-attendee': () => hosting.makeRole(userId, 'attendee'),
    'make-guest': () => hosting.makeRole(userId, 'guest'),
  };
  if (control !== 'message' && control !== 'remove') void acts[control]();
}
