/** Inside the meeting: who is there, the panels beside them, and the controls below. */
import { useState } from 'react';
import { RequestError, refusal } from '../meeting/errors';
import type { LocalMedia } from '../meeting/LocalMedia';
import type { MeetingClient } from '../meeting/MeetingClient';
import { Banners } from './Banners';
import { Controls, type DialogName } from './Controls';
import { BreakoutDialog } from './dialogs/BreakoutDialog';
import { Devices } from './dialogs/Devices';
import { MeetingSettings } from './dialogs/MeetingSettings';
import { useSelected, useShortcuts, useStore } from './hooks';
import { Notices } from './Notices';
import { ChatPanel } from './panels/ChatPanel';
import { PeoplePanel } from './panels/PeoplePanel';
import { RoundButton } from './RoundButton';
import { RemoteAudio } from './stage/RemoteAudio';
import { Stage } from './stage/Stage';
import { type PanelName, TopBar } from './TopBar';

interface Props {
  client: MeetingClient;
  local: LocalMedia;
  /** Our own name. */
  name: string;
}

export function Room({ client, local, name }: Props) {
  const sharing = useSelected(local, ({ screen }) => screen.video !== null);
  const problem = useSelected(local, ({ audio, video }) => audio.problem ?? video.problem);
  const speakerId = useSelected(local, ({ chosen }) => chosen.audiooutput);
  const [panel, showPanel] = useState<PanelName | null>(null);
  const [dialog, showDialog] = useState<DialogName | null>(null);
  const [messageTo, setMessageTo] = useState<string | null>(null);
  // What the lobby has said already need not be said again.
  const [known, setKnown] = useState(problem);
  useShortcuts({
    space: () => client.own.toggle('audio'),
    ctrlD: () => client.own.toggle('video'),
    ctrlE: () => void client.leave(),
  });
  const toPanel = (name: PanelName | null, to: string | null = null) => {
    setMessageTo(to);
    showPanel(name);
  };
  const close = () => showDialog(null);

  return (
    <div className="room">
      <TopBar client={client} panel={panel} onPanel={toPanel} />
      <Banners client={client} />
      <div className="room-middle">
        <Stage client={client} local={local} name={name} />
        {panel === 'people' && (
          <PeoplePanel
            client={client}
            onMessage={(userId) => toPanel('chat', userId)}
            onSettings={() => showDialog('settings')}
            onClose={() => toPanel(null)}
          />
        )}
        {panel === 'chat' && (
          <ChatPanel client={client} to={messageTo} onClose={() => toPanel(null)} />
        )}
      </div>

      {sharing && (
        <p className="presenting" data-testid="sharing-banner">
          You are sharing your screen
          <button
            type="button"
            className="button small quiet"
            data-testid="stop-sharing"
            onClick={() => local.stopScreen()}
          >
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
      <Controls
        client={client}
        local={local}
        onScreen={() => toggleScreen(client, local)}
        onDialog={showDialog}
      />
      {dialog === 'devices' && <Devices local={local} onClose={close} />}
      {dialog === 'settings' && <MeetingSettings client={client} onClose={close} />}
      {dialog === 'breakouts' && <BreakoutDialog client={client} onClose={close} />}
      <Notices board={client.notices} />
      <SpokenReactions client={client} />
      <Sounds client={client} speakerId={speakerId} />
    </div>
  );
}

function toggleScreen(client: MeetingClient, local: LocalMedia): void {
  const { notices } = client;
  if (local.get().screen.video) local.stopScreen();
  else if (client.screensAreTaken())
    notices.post(refusal(new RequestError('SCREEN_SHARE_TAKEN', '')));
  else {
    local.startScreen().catch(() => notices.post('Your screen could not be shared. Try again.'));
  }
}

/** What floats over the tiles, for those who hear the page. */
function SpokenReactions({ client }: { client: MeetingClient }) {
  const reactions = useStore(client.reactions);
  return (
    <div className="visually-hidden" role="log" aria-live="polite" aria-label="Reactions">
      {reactions.map(({ id, name, emoji }) => (
        <p key={id}>
          {name}: {emoji}
        </p>
      ))}
    </div>
  );
}

function Sounds({ client, speakerId }: { client: MeetingClient; speakerId: string | undefined }) {
  return <RemoteAudio remote={useStore(client.flow)} speakerId={speakerId} />;
}
