/** A column at the side of the stage; over it on a phone. */
import type { ReactNode } from 'react';
import { RoundButton } from '../RoundButton';

interface Props {
  id: string;
  title: string;
  /** What the closing button says. */
  closeLabel: string;
  onClose(): void;
  children: ReactNode;
}

export function Panel({ id, title, closeLabel, onClose, children }: Props) {
  return (
    <aside className="panel" id={id} data-testid={`${id}-panel`} aria-label={title}>
      <header>
        <h2>{title}</h2>
        <RoundButton testId={`${id}-close`} label={closeLabel} icon="close" onPress={onClose} />
      </header>
      {children}
    </aside>
  );
}
