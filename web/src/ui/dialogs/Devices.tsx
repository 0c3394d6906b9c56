/** Which microphone, camera and speaker to use, while the meeting goes on. */
import type { LocalMedia } from '../../meeting/LocalMedia';
import { Dialog } from '../Dialog';
import { DevicePickers } from './DevicePickers';

export function Devices({ local, onClose }: { local: LocalMedia; onClose(): void }) {
  return (
    <Dialog testId="devices-dialog" title="Devices" onClose={onClose}>
      <DevicePickers local={local} />
      <div className="dialog-actions">
        <button type="button" className="button primary" onClick={onClose}>
          Done
        </button>
      </div>
    </Dialog>
  );
}
