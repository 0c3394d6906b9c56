/** Inside the meeting: who is there, the controls, and what happens to the connection. */
import { useRef, useState } from 'react';
import type { LocalMedia } from '../meeting/LocalMedia';
import type { MeetingClient, MeetingState } from '../meeting/MeetingClient';
import { DevicePickers } from './DevicePickers';
import { useSelected, useShortcuts, useStore } from './hooks';
import { Icon } from './icons';
import { MediaButtons } from './MediaButtons';
import { meetingPath } from './meetingLink';
import { Notices } from './Notices';
import { People } from './People';
import { RemoteAudio } from './RemoteAudio';
import { RoundButton } from './RoundButton';
import { Stage } from './Stage';

interface Props {
  client: MeetingClient;
  local: LocalMedia;
  /** Our own name. */
  name: string;
}

export function Room({ client, local, name }: Props) {
  const state = useStore(client);
  const sharing = useSelected(local, ({ screen }) => screen.video !== null);
  const problem = useSelected(local, ({ audio, video }) => audio.problem ?? video.problem);
  const speakerId = useSelected(local, ({ chosen }) => chosen.audiooutput);
  const [peopleShown, showPeople] = useState(false);
  // What the lobby has said already need not be said again.
  const [known, setKnown] = useState(problem);
  const settings = useRef<HTMLDialogElement>(null);
  const leave = () => void client.leave();
  useShortcuts({
    space: () => void local.toggle('audio'),
    ctrlD: () => void local.toggle('video'),
    ctrlE: leave,
  });

  const copyLink = async () => {
    const link = location.origin + meetingPath(client.meetingId);
    const copied = await navigator.clipboard?.writeText(link).then(
      () => true,
      () => false,
    );
    client.notices.post(copied ? 'The meeting’s link is copied' : `The meeting’s link: ${link}`);
  };
  const toggleScreen = () => {
    if (sharing) return local.stopScreen();
    local
      .startScreen()
      .catch(() => client.notices.post('Your screen could not be shared. Try again.'));
  };
  const count = Math.max(1, state.roster.participants.size);

  return (
    <div className="room">
      <header className="room-top">
        <div className="room-title">
          <h1>{state.title || 'Meeting'}</h1>
          <Status phase={state.phase} />
        </div>
        <button type="button" className="button quiet small" onClick={() => void copyLink()}>
          <Icon name="link" />
          <span className="wide-only">Copy link</span>
          <span className="visually-hidden narrow-only">Copy link</span>
        </button>
        <button
          type="button"
          className="button quiet small"
          aria-expanded={peopleShown}
          aria-controls="people"
          onClick={() => showPeople(!peopleShown)}
        >
          <Icon name="people" />
          <span data-testid="participant-count">{count}</span>
          <span className="visually-hidden">
            {count === 1 ? 'participant' : 'participants'}, show the list
          </span>
        </button>
      </header>

      <Banner state={state} />
      <div className="room-middle">
        <Stage client={client} local={local} state={state} name={name} />
        {peopleShown && <People state={state} onClose={() => showPeople(false)} />}
      </div>

      {sharing && (
        <p className="presenting">
          You are sharing your screen
          <button type="button" className="button small quiet" onClick={() => local.stopScreen()}>
            Stop sharing
          </button>
        </p>
      )}
      {problem && problem !== known && (
        <div className="device-problem floating" role="alert">
          {problem}
          <RoundButton label="Close" icon="close" onPress={() => setKnown(problem)} />
        </div>
      )}
      <footer className="controls" role="toolbar" aria-label="Meeting controls">
        <MediaButtons local={local} />
        {canShareScreen && (
          <RoundButton
            testId="screen-button"
            label={sharing ? 'Stop sharing your screen' : 'Share your screen'}
            icon="screen"
            look={sharing ? 'active' : 'plain'}
            pressed={sharing}
            onPress={toggleScreen}
          />
        )}
        <RoundButton
          label="Devices"
          icon="settings"
          onPress={() => settings.current?.showModal()}
        />
        <RoundButton
          testId="leave-button"
          label="Leave"
          icon="leave"
          look="danger"
          shortcut="Control+E"
          onPress={leave}
        />
      </footer>

      <dialog ref={settings} className="dialog" aria-labelledby="devices-title">
        <form method="dialog">
          <h2 id="devices-title">Devices</h2>
          <DevicePickers local={local} />
          <button type="submit" className="button primary">
            Done
          </button>
        </form>
      </dialog>
      <Notices board={client.notices} />
      <RemoteAudio remote={state.remote} speakerId={speakerId} />
    </div>
  );
}

const canShareScreen = Boolean(navigator.mediaDevices?.getDisplayMedia);

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

function Banner({ state }: { state: MeetingState }) {
  const { phase, waitingFor } = state;
  if (phase !== 'reconnecting' && !waitingFor) return null;
  const doing = phase === 'joining' ? 'Joining' : 'Reconnecting';
  return (
    <p className="banner" role="alert">
      <span className="spinner" aria-hidden="true" />
      {waitingFor
        ? `${doing}: waiting for ${waitingFor}…`
        : 'The connection is gone. Reconnecting…'}
    </p>
  );
}
