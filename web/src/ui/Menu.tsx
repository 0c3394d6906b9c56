/** A round button that opens a small panel above the controls; Escape or a click beside closes it. */
import { type ReactNode, useId, useRef } from 'react';
import { Icon, type IconName } from './icons';

interface Props {
  testId: string;
  label: string;
  icon: IconName;
  look?: 'plain' | 'danger';
  shortcut?: string;
  /** Shown inside; `close` shuts the panel. */
  children(close: () => void): ReactNode;
}

export function Menu({ testId, label, icon, look = 'plain', shortcut, children }: Props) {
  const id = useId();
  const panel = useRef<HTMLDivElement>(null);
  return (
    <>
      <button
        type="button"
        className={`round ${look}`}
        data-testid={testId}
        aria-label={label}
        aria-haspopup="dialog"
        aria-keyshortcuts={shortcut}
        title={shortcut ? `${label} (${shortcut.replace('Control', 'Ctrl')})` : label}
        popoverTarget={id}
      >
        <Icon name={icon} />
      </button>
      <div ref={panel} id={id} className="menu" popover="auto" role="dialog" aria-label={label}>
        {children(() => panel.current?.hidePopover())}
      </div>
    </>
  );
}

interface ItemProps {
  testId: string;
  label: string;
  icon?: IconName;
  /** For choices: whether it is the present one. */
  pressed?: boolean;
  danger?: boolean;
  onPress(): void;
}

export function MenuItem({ testId, label, icon, pressed, danger, onPress }: ItemProps) {
  return (
    <button
      type="button"
      className={danger ? 'menu-item danger' : 'menu-item'}
      data-testid={testId}
      aria-pressed={pressed}
      onClick={onPress}
    >
      {icon && <Icon name={icon} />}
      {label}
    </button>
  );
}
