/** After the meeting, or instead of it: what happened and what one can do. */
import type { Problem } from '../meeting/errors';
import icon from './icon.svg';

interface Props {
  phase: 'left' | 'failed';
  problem: Problem | null;
  onAgain(at: 'lobby' | 'room'): void;
  go(path: string): void;
}

export function EndPage({ phase, problem, onAgain, go }: Props) {
  const title = problem?.title ?? 'You left the meeting';
  return (
    <main className="end">
      <div className="end-card">
        <img src={icon} alt="" width="44" height="44" />
        <div className="end-words" role="status" data-testid="status" data-status={phase}>
          <h1>{title}</h1>
          {problem && <p className="lead">{problem.advice}</p>}
        </div>
        <div className="end-actions">
          {!problem && (
            <button type="button" className="button primary" onClick={() => onAgain('lobby')}>
              Join again
            </button>
          )}
          {problem?.retry && (
            <button type="button" className="button primary" onClick={() => onAgain('room')}>
              {problem.retry}
            </button>
          )}
          <button type="button" className="button quiet" onClick={() => go('/')}>
            Start page
          </button>
        </div>
      </div>
    </main>
  );
}
