/** Microphone and camera on and off: the same two buttons in the lobby and in the meeting. */
import type { LocalMedia } from '../meeting/LocalMedia';
import { useStore } from './hooks';
import { RoundButton } from './RoundButton';

export function MediaButtons({ local }: { local: LocalMedia }) {
  const { audio, video } = useStore(local);
  return (
    <>
      <RoundButton
        testId="mic-button"
        label={audio.on ? 'Mute' : 'Unmute'}
        icon={audio.on ? 'mic' : 'micOff'}
        look={audio.on ? 'plain' : 'off'}
        pressed={audio.on}
        busy={audio.busy}
        shortcut="Space"
        onPress={() => void local.toggle('audio')}
      />
      <RoundButton
        testId="camera-button"
        label={video.on ? 'Turn camera off' : 'Turn camera on'}
        icon={video.on ? 'camera' : 'cameraOff'}
        look={video.on ? 'plain' : 'off'}
        pressed={video.on}
        busy={video.busy}
        shortcut="Control+D"
        onPress={() => void local.toggle('video')}
      />
    </>
  );
}
