/** Links to meetings: what a person may paste, and what we copy for others. Pure. */

const ID = /^[A-Za-z0-9][A-Za-z0-9_.:@-]{0,63}$/;

export interface MeetingLink {
  meetingId: string;
  /** The invitation's meeting token, where the link carries one. */
  token: string | null;
}

/** Reads a meeting's code, its path, or a whole link; null where it is none of these. */
export function readMeetingLink(text: string): MeetingLink | null {
  const [address = '', fragment = ''] = text.trim().split('#', 2);
  const token = new URLSearchParams(fragment).get('token');
  const path = address.replace(/[?].*$/, '');
  const meetingId = /(?:^|\/)m\/([^/]+)\/?$/.exec(path)?.[1] ?? path;
  return ID.test(meetingId) ? { meetingId, token } : null;
}

export function meetingPath(meetingId: string): string {
  return `/m/${encodeURIComponent(meetingId)}`;
}
