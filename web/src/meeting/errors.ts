/**
 * Every failure that a person can meet, with what happened and what to do.
 *
 * Codes are the server's own where it named one; the rest are ours: `DISCONNECTED` (the socket
 * is down), `TIMEOUT` (no answer), `AUTHENTICATION` (the token was refused), `REPLACED` (the
 * same person joined elsewhere), `NO_RELAY` (one was asked for, the server offers none).
 */

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
  ACCESS_DENIED: {
    title: 'You may not join this meeting',
    advice: 'Ask its host for an invitation link of your own.',
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

export function problemOf(error: unknown): Problem {
  const code = codeOf(error);
  return { code, ...(PROBLEMS[code] ?? UNKNOWN) };
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
