/** Microphone and camera on and off: the same two buttons in the lobby and in the meeting. */
import type { CaptureKind } from '../meeting/devices';
import type { LocalMedia } from '../meeting/LocalMedia';
import { explain, type Holds } from '../meeting/OwnMedia';
import { useStore } from './hooks';
import type { IconName } from './icons';
import { RoundButton } from './RoundButton';

interface Props {
  local: LocalMedia;
  onToggle(kind: CaptureKind): void;
  /** What hosts keep off. */
  holds?: Holds;
  /** Only these, where the role does not allow both. */
  kinds?: readonly CaptureKind[];
}

const BUTTONS: Record<
  CaptureKind,
  { testId: string; on: string; off: string; icons: [IconName, IconName]; shortcut: string }
> = {
  audio: {
    testId: 'mic-button',
    on: 'Mute',
    off: 'Unmute',
    icons: ['mic', 'micOff'],
    shortcut: 'Space',
  },
  video: {
    testId: 'camera-button',
    on: 'Turn camera off',
    off: 'Turn camera on',
    icons: ['camera', 'cameraOff'],
    shortcut: 'Control+D',
  },
};

const BOTH: readonly CaptureKind[] = ['audio', 'video'];

export function MediaButtons({ local, onToggle, holds, kinds = BOTH }: Props) {
  const state = useStore(local);
  return kinds.map((kind) => {
    const { on, busy } = state[kind];
    const { testId, icons, shortcut, ...labels } = BUTTONS[kind];
    const held = on ? null : (holds?.[kind] ?? null);
    return (
      <RoundButton
        key={kind}
        testId={testId}
        label={on ? labels.on : labels.off}
        explanation={held ? explain(kind, held) : undefined}
        icon={on ? icons[0] : icons[1]}
        look={on ? 'plain' : held ? 'held' : 'off'}
        pressed={on}
        busy={busy}
        shortcut={shortcut}
        onPress={() => onToggle(kind)}
      />
    );
  });
}
