/** Plays what others say; unseen, except for a button where the browser wants a click first. */
import { useEffect, useState } from 'react';
import type { RemoteTrack } from '../../meeting/Receiver';
import { useTrack } from '../hooks';
import { Icon } from '../icons';

interface Props {
  remote: readonly RemoteTrack[];
  speakerId: string | undefined;
}

export function RemoteAudio({ remote, speakerId }: Props) {
  const [blocked, setBlocked] = useState(false);
  const [attempt, setAttempt] = useState(0);
  const again = () => {
    setBlocked(false);
    setAttempt(attempt + 1);
  };
  return (
    <>
      {remote
        .filter(({ producer }) => producer.kind === 'audio')
        .map(({ producer, track }) => (
          <Sound
            key={`${producer.producer_id}-${attempt}`}
            track={track}
            speakerId={speakerId}
            onBlocked={() => setBlocked(true)}
          />
        ))}
      {blocked && (
        <button type="button" className="button primary sound-button" onClick={again}>
          <Icon name="speaker" />
          Turn sound on
        </button>
      )}
    </>
  );
}

interface SoundProps {
  track: MediaStreamTrack;
  speakerId: string | undefined;
  onBlocked(): void;
}

function Sound({ track, speakerId, onBlocked }: SoundProps) {
  const audio = useTrack<HTMLAudioElement>(track);
  useEffect(() => {
    const element = audio.current;
    if (!element) return;
    // A speaker that is gone: the default one plays.
    if (speakerId && 'setSinkId' in element) element.setSinkId(speakerId).catch(() => undefined);
  }, [audio, speakerId]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: once per track is what is meant.
  useEffect(() => {
    audio.current?.play().catch((error: DOMException) => {
      if (error.name === 'NotAllowedError') onBlocked();
    });
  }, [track]);
  // biome-ignore lint/a11y/useMediaCaption: live speech; captions are not part of it yet.
  return <audio ref={audio} autoPlay />;
}
