/** In the waiting room, until a host lets one in. */
import type { LocalMedia } from '../meeting/LocalMedia';
import type { MeetingClient } from '../meeting/MeetingClient';
import { useShortcuts, useStore, useTrack } from './hooks';
import { Icon } from './icons';
import { MediaButtons } from './MediaButtons';

interface Props {
  client: MeetingClient;
  local: LocalMedia;
}

export function WaitingPage({ client, local }: Props) {
  const { title } = useStore(client);
  const { video } = useStore(local);
  const picture = useTrack<HTMLVideoElement>(video.track);
  const leave = () => void client.leave();
  useShortcuts({
    space: () => void local.toggle('audio'),
    ctrlD: () => void local.toggle('video'),
    ctrlE: leave,
  });
  return (
    <main className="end" data-testid="waiting-page">
      <div className="end-card">
        <div className={video.track ? 'preview-picture' : 'preview-picture off'}>
          <video ref={picture} autoPlay playsInline muted className="mirrored" />
          {!video.track && (
            <p className="preview-off">
              <Icon name="cameraOff" />
              Your camera is off
            </p>
          )}
          <div className="preview-buttons">
            <MediaButtons local={local} onToggle={(kind) => void local.toggle(kind)} />
          </div>
        </div>
        <div className="end-words" role="status" data-testid="status" data-status="waiting">
          <h1>You are in the waiting room</h1>
          <p className="lead">
            {title ? `A host of “${title}” will let you in.` : 'A host will let you in.'} Nobody
            sees or hears you yet.
          </p>
        </div>
        <button type="button" className="button quiet" data-testid="waiting-leave" onClick={leave}>
          Leave
        </button>
      </div>
    </main>
  );
}
