/** The meeting's name, how the connection is, and the panels' buttons. */
import type { MeetingClient, MeetingState } from '../meeting/MeetingClient';
import { useSelected, useStore } from './hooks';
import { Icon } from './icons';
import { meetingPath } from './meetingLink';

export type PanelName = 'people' | 'chat';

interface Props {
  client: MeetingClient;
  panel: PanelName | null;
  onPanel(panel: PanelName | null): void;
}

export function TopBar({ client, panel, onPanel }: Props) {
  const { phase, title } = useStore(client);
  const count = useSelected(client.people, ({ participants }) => Math.max(1, participants.size));
  const waiting = useSelected(client.waitingRoom, (people) => people.length);
  const unread = useSelected(client.chat, (chat) => chat.unread);
  const locked = useSelected(client.rules, (settings) => settings?.locked ?? false);
  const copyLink = async () => {
    const link = location.origin + meetingPath(client.meetingId);
    const copied = await navigator.clipboard?.writeText(link).then(
      () => true,
      () => false,
    );
    client.notices.post(copied ? 'The meeting’s link is copied' : `The meeting’s link: ${link}`);
  };
  const toggle = (name: PanelName) => onPanel(panel === name ? null : name);
  return (
    <header className="room-top">
      <div className="room-title">
        <h1>{title || 'Meeting'}</h1>
        <div className="room-state">
          <Status phase={phase} />
          {locked && (
            <span className="locked" data-testid="locked-mark" title="The meeting is locked">
              <Icon name="lock" />
              <span className="visually-hidden">The meeting is locked</span>
            </span>
          )}
        </div>
      </div>
      <button type="button" className="button quiet small" onClick={() => void copyLink()}>
        <Icon name="link" />
        <span className="wide-only">Copy link</span>
        <span className="visually-hidden narrow-only">Copy link</span>
      </button>
      <button
        type="button"
        className="button quiet small"
        data-testid="chat-button"
        aria-expanded={panel === 'chat'}
        aria-controls="chat"
        onClick={() => toggle('chat')}
      >
        <Icon name="chat" />
        <span className="visually-hidden">Chat</span>
        {unread > 0 && (
          <span className="badge" data-testid="chat-unread">
            {unread > 99 ? '99+' : unread}
            <span className="visually-hidden"> unread</span>
          </span>
        )}
      </button>
      <button
        type="button"
        className="button quiet small"
        data-testid="people-button"
        aria-expanded={panel === 'people'}
        aria-controls="people"
        onClick={() => toggle('people')}
      >
        <Icon name="people" />
        <span data-testid="participant-count">{count}</span>
        <span className="visually-hidden">
          {count === 1 ? 'participant' : 'participants'}, show the list
        </span>
        {waiting > 0 && (
          <span className="badge" data-testid="waiting-count">
            {waiting}
            <span className="visually-hidden"> waiting</span>
          </span>
        )}
      </button>
    </header>
  );
}

const STATUS: Partial<Record<MeetingState['phase'], string>> = {
  joining: 'Joining…',
  joined: 'Connected',
  reconnecting: 'Reconnecting…',
};

function Status({ phase }: { phase: MeetingState['phase'] }) {
  return (
    <p className={`status ${phase}`} role="status" data-testid="status" data-status={phase}>
      {STATUS[phase]}
    </p>
  );
}
