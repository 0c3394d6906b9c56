/** A round button of the controls: pressed or not, with a label that says what it will do. */
import { Icon, type IconName } from './icons';

interface Props {
  testId?: string;
  label: string;
  icon: IconName;
  onPress(): void;
  /** For things that are on or off. */
  pressed?: boolean;
  look?: 'plain' | 'off' | 'active' | 'danger';
  busy?: boolean;
  shortcut?: string;
}

export function RoundButton(props: Props) {
  const { label, icon, onPress, pressed, look = 'plain', busy, shortcut, testId } = props;
  return (
    <button
      type="button"
      className={`round ${look}`}
      data-testid={testId}
      aria-label={label}
      aria-pressed={pressed}
      aria-busy={busy}
      aria-keyshortcuts={shortcut}
      title={shortcut ? `${label} (${shortcut.replace('Control', 'Ctrl')})` : label}
      onClick={onPress}
    >
      <Icon name={icon} />
    </button>
  );
}
