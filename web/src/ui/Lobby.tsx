/** Before joining: how one will look and sound, the devices, and a name. */
import { type FormEvent, useState } from 'react';
import type { Account } from '../meeting/Account';
import type { LocalMedia } from '../meeting/LocalMedia';
import { AccountBar } from './AccountBar';
import { DevicePickers } from './dialogs/DevicePickers';
import { useShortcuts, useStore, useTrack } from './hooks';
import icon from './icon.svg';
import { Icon } from './icons';
import { LevelMeter } from './LevelMeter';
import { MediaButtons } from './MediaButtons';

interface Props {
  local: LocalMedia;
  meetingId: string;
  title: string;
  defaultName: string;
  /** Whom one would join as; null: as who was invited. */
  account: Account | null;
  onSignedOut(): void;
  onJoin(name: string): void;
}

export function Lobby(props: Props) {
  const { local, meetingId, title, defaultName, account, onSignedOut, onJoin } = props;
  const { audio, video } = useStore(local);
  const [name, setName] = useState(defaultName);
  const [muted, setMuted] = useState(false);
  const picture = useTrack<HTMLVideoElement>(video.track);
  useShortcuts({
    space: () => void local.toggle('audio'),
    ctrlD: () => void local.toggle('video'),
    ctrlE: () => undefined,
  });

  const join = (event: FormEvent) => {
    event.preventDefault();
    if (muted) void local.turn('audio', false);
    onJoin(name.trim());
  };
  const problems = [audio.problem, video.problem].filter((problem) => problem !== null);

  return (
    <div className="lobby">
      <header className="brand">
        <a href="/" className="brand-link">
          <img src={icon} alt="" width="28" height="28" />
          <span>KCS Meetings</span>
        </a>
        {account && <AccountBar account={account} onSignedOut={onSignedOut} />}
      </header>
      <main className="lobby-main">
        <section className="preview" aria-label="Your camera and microphone">
          <div className={video.track ? 'preview-picture' : 'preview-picture off'}>
            <video
              ref={picture}
              autoPlay
              playsInline
              muted
              className="mirrored"
              data-testid="preview"
            />
            {!video.track && (
              <p className="preview-off">
                <Icon name="cameraOff" />
                {video.busy ? 'Starting your camera…' : 'Your camera is off'}
              </p>
            )}
            <div className="preview-buttons">
              <MediaButtons local={local} onToggle={(kind) => void local.toggle(kind)} />
            </div>
          </div>
          <LevelMeter level={local.level} on={audio.on && audio.track !== null} />
          {problems.map((problem) => (
            <p key={problem} className="device-problem" role="alert">
              {problem} You can join without it.
            </p>
          ))}
        </section>
        <section className="lobby-side">
          <h1>{title || 'Ready to join?'}</h1>
          <p className="lobby-code">
            Code <code>{meetingId}</code>
          </p>
          <form onSubmit={join}>
            <label className="picker">
              <span>Your name</span>
              <input
                className="field"
                data-testid="name-input"
                value={name}
                maxLength={80}
                autoComplete="name"
                placeholder="How others see you"
                required
                onChange={(event) => setName(event.target.value)}
              />
            </label>
            <label className="check">
              <input
                type="checkbox"
                checked={muted}
                onChange={(event) => setMuted(event.target.checked)}
              />
              Join muted
            </label>
            <button
              type="submit"
              className="button primary large wide"
              data-testid="join-button"
              disabled={!name.trim()}
            >
              Join
            </button>
          </form>
        </section>
        <section className="lobby-devices" aria-label="Devices">
          <DevicePickers local={local} />
        </section>
      </main>
      <p className="visually-hidden" data-testid="status" data-status="lobby">
        Not joined yet
      </p>
    </div>
  );
}
