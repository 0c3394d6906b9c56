/** Sentences that come and go; screen readers say them. */
import type { NoticeBoard } from '../meeting/NoticeBoard';
import { useStore } from './hooks';

export function Notices({ board }: { board: NoticeBoard }) {
  const notices = useStore(board);
  return (
    <div className="notices" role="log" aria-live="polite" aria-label="Notices">
      {notices.map(({ id, text }) => (
        <p key={id} className="notice" data-testid="notice">
          {text}
        </p>
      ))}
    </div>
  );
}
