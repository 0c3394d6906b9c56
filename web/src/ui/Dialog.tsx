/** A modal dialog that is there while it is rendered. */
import { type ReactNode, useEffect, useId, useRef } from 'react';

interface Props {
  testId: string;
  title: string;
  wide?: boolean;
  onClose(): void;
  children: ReactNode;
}

export function Dialog({ testId, title, wide = false, onClose, children }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const titleId = useId();
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog
      ref={dialog}
      className={wide ? 'dialog wide' : 'dialog'}
      data-testid={testId}
      aria-labelledby={titleId}
      onClose={onClose}
    >
      <h2 id={titleId}>{title}</h2>
      {children}
    </dialog>
  );
}

interface ConfirmProps {
  title: string;
  advice: string;
  /** Label of the button that does it. */
  action: string;
  onConfirm(): void;
  onClose(): void;
}

/** Asks before something that cannot be taken back. */
export function Confirm({ title, advice, action, onConfirm, onClose }: ConfirmProps) {
  return (
    <Dialog testId="confirm-dialog" title={title} onClose={onClose}>
      <p className="dialog-words">{advice}</p>
      <div className="dialog-actions">
        <button
          type="button"
          className="button quiet"
          data-testid="confirm-cancel"
          onClick={onClose}
        >
          Cancel
        </button>
        <button
          type="button"
          className="button danger"
          data-testid="confirm-button"
          onClick={() => {
            onConfirm();
            onClose();
          }}
        >
          {action}
        </button>
      </div>
    </Dialog>
  );
}
