/** Which microphone, camera and speaker to use. */
import type { DeviceKind } from '../../meeting/devices';
import type { LocalMedia } from '../../meeting/LocalMedia';
import { useStore } from '../hooks';

const KINDS: { kind: DeviceKind; label: string }[] = [
  { kind: 'audioinput', label: 'Microphone' },
  { kind: 'videoinput', label: 'Camera' },
  { kind: 'audiooutput', label: 'Speaker' },
];

export function DevicePickers({ local }: { local: LocalMedia }) {
  const { devices, chosen, audio, video } = useStore(local);
  const inUse: Chosen = {
    audioinput: audio.track?.getSettings().deviceId,
    videoinput: video.track?.getSettings().deviceId,
  };
  return (
    <div className="pickers">
      {KINDS.map(({ kind, label }) => {
        const all = devices.filter((device) => device.kind === kind);
        if (kind === 'audiooutput' && (all.length === 0 || !canChooseSpeaker)) return null;
        return (
          <label key={kind} className="picker">
            <span>{label}</span>
            <select
              className="field"
              value={inUse[kind] ?? chosen[kind] ?? ''}
              disabled={all.length === 0}
              onChange={(event) => void local.choose(kind, event.target.value)}
            >
              {all.length === 0 && <option value="">Not in use</option>}
              {all.map((device, index) => (
                <option key={device.deviceId} value={device.deviceId}>
                  {device.label || `${label} ${index + 1}`}
                </option>
              ))}
            </select>
          </label>
        );
      })}
    </div>
  );
}

type Chosen = Partial<Record<DeviceKind, string | undefined>>;

const canChooseSpeaker = 'setSinkId' in HTMLMediaElement.prototype;
