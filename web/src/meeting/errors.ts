/**
 * Every failure that a person can meet, with what happened and what to do.
 *
 * Codes are the server's own where it named one; the rest are ours: `DISCONNECTED` (the socket
 * is down), `TIMEOUT` (no answer), `AUTHENTICATION` (the token was refused), `REPLACED` (the
 * same person joined elsewhere), `REMOVED` and `DENIED` (a host did not want them), `NO_RELAY`
 * (one was asked for, the server offers none).
 */
import type { RoomClosed } from './protocol.generated';

/** A request that the server refused, or that got no answer. */
export class RequestError extends Error {
  constructor(
    readonly code: string,
    message: string,
    /** Seconds after which trying again makes sense, where the server said so. */
    readonly retryAfter?: number,
  ) {
    super(message);
    this.name = 'RequestError';
  }
}

/** What a page shows. */
export interface Problem {
  code: string;
  title: string;
  advice: string;
  /** Label of the button that tries again; none where that cannot help. */
  retry?: string;
}

const PROBLEMS: Record<string, Omit<Problem, 'code'>> = {
  MEETING_NOT_FOUND: {
    title: 'There is no such meeting',
    advice: 'Check the code or the link with the person who sent it.',
  },
  MEETING_ENDED: {
    title: 'This meeting has ended',
    advice: 'You can start a new one at any time.',
  },
  MEETING_FULL: {
    title: 'This meeting is full',
    advice: 'As many people are in it as it holds. Try again when somebody has left.',
    retry: 'Try again',
  },
  MEETING_LOCKED: {
    title: 'This meeting is locked',
    advice: 'Its host lets nobody else in at the moment. Ask them to open it, then try again.',
    retry: 'Try again',
  },
  MEETING_NOT_OPEN: {
    title: 'This meeting is not open yet',
    advice: 'It is planned for later. Come back then.',
    retry: 'Try again',
  },
  ACCESS_DENIED: {
    title: 'You may not join this meeting',
    advice: 'Ask its host for an invitation link of your own.',
  },
  REMOVED: {
    title: 'You were removed from the meeting',
    advice: 'Only a host can let you in again.',
  },
  DENIED: {
    title: 'You were not let in',
    advice: 'A host turned you away. You may ask again.',
    retry: 'Ask again',
  },
  AUTHENTICATION: {
    title: 'Your invitation is no longer valid',
    advice: 'Ask the host for a new link, or open the link that you have once more.',
    retry: 'Try again',
  },
  NO_INVITATION: {
    title: 'An invitation is needed',
    advice: 'Open the meeting by the link in your invitation.',
  },
  SIGN_IN: {
    title: 'Sign in first',
    advice: 'You are not signed in, or not any more.',
  },
  NO_CAPACITY: {
    title: 'All media servers are busy',
    advice: 'There is no room for another meeting at this moment. Try again in a minute.',
    retry: 'Try again',
  },
  NO_RELAY: {
    title: 'There is no media relay here',
    advice: 'This link asks for one (relay=1), but the service has none. Open it without.',
  },
  REPLACED: {
    title: 'You joined from another place',
    advice: 'This meeting now runs in another tab or on another device of yours.',
    retry: 'Take it back here',
  },
  UNSUPPORTED: {
    title: 'This browser cannot join',
    advice: 'Use a current Chrome, Edge, Firefox or Safari.',
  },
};

const UNKNOWN: Omit<Problem, 'code'> = {
  title: 'The meeting could not be joined',
  advice: 'The service does not answer as it should. Try again in a moment.',
  retry: 'Try again',
};

export function problemOf(error: unknown, now = new Date()): Problem {
  const code = codeOf(error);
  const problem = { code, ...(PROBLEMS[code] ?? UNKNOWN) };
  if (code !== 'MEETING_NOT_OPEN' || !(error instanceof RequestError) || !error.retryAfter) {
    return problem;
  }
  const opens = new Date(now.getTime() + error.retryAfter * 1000);
  return { ...problem, advice: `It opens ${moment(opens, now)}.` };
}

/** What a host said, where they said something, beside what we say. */
export function withReason(problem: Problem, reason: string): Problem {
  return reason ? { ...problem, advice: `“${reason}” ${problem.advice}` } : problem;
}

const CLOSED: Record<RoomClosed['reason'], Omit<Problem, 'code'>> = {
  ended_by_host: {
    title: 'This meeting has ended',
    advice: 'Its host ended it for all. You can start a new one at any time.',
  },
  expired: {
    title: 'This meeting has ended',
    advice: 'Its time is over. You can start a new one at any time.',
  },
  idle: {
    title: 'This meeting has ended',
    advice: 'Nobody was there for a while. You can start a new one at any time.',
  },
  deleted: {
    title: 'This meeting was deleted',
    advice: 'Ask the person who made it for a new link.',
  },
  breakout_closed: {
    title: 'This breakout room is closed',
    advice: 'Open the meeting’s link to go on there.',
  },
};

/** Why the room is no more. */
export function closedProblem(reason: RoomClosed['reason']): Problem {
  return { code: 'MEETING_ENDED', ...(CLOSED[reason] ?? CLOSED.ended_by_host) };
}

/** A time as one says it: "at 14:45", and the day if it is another one. */
function moment(date: Date, now: Date): string {
  const time = date.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
  if (date.toDateString() === now.toDateString()) return `at ${time}`;
  const day = date.toLocaleDateString([], {
    weekday: 'long',
    day: 'numeric',
    month: 'long',
    ...(date.getFullYear() !== now.getFullYear() && { year: 'numeric' }),
  });
  return `on ${day} at ${time}`;
}

const REFUSALS: Record<string, string> = {
  ACCESS_DENIED: 'Your role in this meeting does not allow that.',
  NOT_FOUND: 'That is not there any more.',
  SCREEN_SHARE_TAKEN: 'Somebody else shares their screen already. Ask them to stop first.',
  INVALID_REQUEST: 'That did not work. Reload the page, then try again.',
};

/** One sentence for something that a person wanted to do and the server did not. */
export function refusal(error: unknown): string {
  const code = codeOf(error);
  if (code === 'RATE_LIMIT_EXCEEDED') {
    const seconds = error instanceof RequestError ? Math.ceil(error.retryAfter ?? 1) : 1;
    return `That was a bit fast. Try again in ${seconds} s.`;
  }
  return REFUSALS[code] ?? 'The service did not answer. Try again in a moment.';
}

/** One sentence for a password that did not sign anybody in. */
export function signInRefusal(error: unknown): string {
  const { code, status } = error as { code?: string; status?: number };
  if (code === 'RATE_LIMIT_EXCEEDED') return 'There were too many tries. Wait, then try again.';
  if (status === 401 || status === 422) {
    return 'No account has that name and that password. Check both, then try again.';
  }
  if (status === 403) return 'Nobody signs in with a password here any more. Reload the page.';
  return 'The service does not answer. Try again in a moment.';
}

const RETURNS: Record<string, string> = {
  away: 'Your organisation’s sign-in does not answer. Try again in a moment.',
  late: 'That took too long. Try again.',
  refused: 'Your organisation’s sign-in did not let you in. Try again, or ask for help there.',
};

/** One sentence for who comes back from the identity provider and is not signed in. */
export function returnProblem(how: string | null): string {
  return how === null || how === 'done' ? '' : (RETURNS[how] ?? '');
}

/** Whether waiting and trying again by ourselves may help. */
export function passes(error: unknown): boolean {
  return !(codeOf(error) in PROBLEMS) || codeOf(error) === 'NO_CAPACITY';
}

export function codeOf(error: unknown): string {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') {
    return error.code;
  }
  return error instanceof Error && error.name === 'UnsupportedError' ? 'UNSUPPORTED' : 'UNKNOWN';
}

const DEVICE_ADVICE: Record<string, string> = {
  NotAllowedError: 'is blocked. Allow it in the address bar, then switch it on again.',
  SecurityError: 'is blocked by this browser’s settings.',
  NotFoundError: 'was not found. Connect one, then switch it on again.',
  NotReadableError: 'is used by another program. Close that, then switch it on again.',
  AbortError: 'could not be started. Unplug it, plug it in, then try again.',
  InsecureError: 'needs a secure page. Open the meeting by its https:// address.',
  Ended: 'was disconnected.',
};

/** One sentence for a device that could not be opened; `device` such as "Your camera". */
export function deviceAdvice(device: string, error: unknown): string {
  const name = error instanceof Error ? error.name : String(error);
  return `${device} ${DEVICE_ADVICE[name] ?? 'could not be started. Try again.'}`;
}
