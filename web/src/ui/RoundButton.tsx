/** A round button of the controls: pressed or not, with a label that says what it will do. */
import { useId } from 'react';
import { Icon, type IconName } from './icons';

interface Props {
  testId?: string;
  label: string;
  icon: IconName;
  onPress(): void;
  /** For things that are on or off. */
  pressed?: boolean;
  /** `held`: a host keeps it off. */
  look?: 'plain' | 'off' | 'held' | 'active' | 'danger';
  busy?: boolean;
  shortcut?: string;
  /** Why it is as it is, where that is not plain. */
  explanation?: string | undefined;
  /** A number at its corner; 0: none. */
  count?: number;
}

export function RoundButton(props: Props) {
  const { label, icon, onPress, pressed, look = 'plain', busy, shortcut, testId } = props;
  const { explanation, count = 0 } = props;
  const explanationId = useId();
  const title = shortcut ? `${label} (${shortcut.replace('Control', 'Ctrl')})` : label;
  return (
    <button
      type="button"
      className={`round ${look}`}
      data-testid={testId}
      aria-label={label}
      aria-pressed={pressed}
      aria-busy={busy}
      aria-keyshortcuts={shortcut}
      aria-describedby={explanation ? explanationId : undefined}
      title={explanation ?? title}
      onClick={onPress}
    >
      <Icon name={icon} />
      {explanation && (
        <span id={explanationId} className="visually-hidden">
          {explanation}
        </span>
      )}
      {count > 0 && <span className="badge">{count}</span>}
    </button>
  );
}
