/** What holds in the meeting, for hosts to change; each switch works at once. */
import type { MeetingClient } from '../../meeting/MeetingClient';
import type { SettingsChange } from '../../meeting/protocol.generated';
import { Dialog } from '../Dialog';
import { useStore } from '../hooks';

const SWITCHES: { name: keyof SettingsChange; label: string; hint: string }[] = [
  {
    name: 'require_host_approval',
    label: 'Waiting room',
    hint: 'People wait until a host lets them in.',
  },
  {
    name: 'allow_unmute_self',
    label: 'Attendees may unmute themselves',
    hint: 'After a host has muted them. Presenters always may.',
  },
  { name: 'guest_chat', label: 'Guests may write in the chat', hint: 'They always may read it.' },
  {
    name: 'several_screens',
    label: 'Two screens at once',
    hint: 'Otherwise one person shares at a time.',
  },
  {
    name: 'chat_history',
    label: 'Who joins later sees the earlier chat',
    hint: 'Otherwise only what is said from then on.',
  },
  {
    name: 'host_succession',
    label: 'Somebody takes over when the host leaves',
    hint: 'A co-host, or who presents longest.',
  },
];

export function MeetingSettings({ client, onClose }: { client: MeetingClient; onClose(): void }) {
  const { rules } = client;
  const settings = useStore(rules);
  if (!settings) return null;
  return (
    <Dialog testId="settings-dialog" title="Meeting settings" onClose={onClose}>
      <div className="switches">
        <Switch
          testId="setting-locked"
          label="Locked"
          hint="Nobody new comes in, except hosts."
          on={settings.locked}
          onSwitch={(on) => void rules.lock(on)}
        />
        {SWITCHES.map(({ name, label, hint }) => (
          <Switch
            key={name}
            testId={`setting-${name}`}
            label={label}
            hint={hint}
            on={settings[name]}
            onSwitch={(on) => void rules.change(name, on)}
          />
        ))}
      </div>
      <div className="dialog-actions">
        <button
          type="button"
          className="button primary"
          data-testid="settings-done"
          onClick={onClose}
        >
          Done
        </button>
      </div>
    </Dialog>
  );
}

interface SwitchProps {
  testId: string;
  label: string;
  hint: string;
  on: boolean;
  onSwitch(on: boolean): void;
}

function Switch({ testId, label, hint, on, onSwitch }: SwitchProps) {
  return (
    <label className="switch">
      <input
        type="checkbox"
        data-testid={testId}
        checked={on}
        onChange={(event) => onSwitch(event.target.checked)}
      />
      <span>
        {label}
        <small>{hint}</small>
      </span>
    </label>
  );
}
