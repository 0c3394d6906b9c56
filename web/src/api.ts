/**
 * The REST calls of the client, and the problem+json errors (RFC 9457) that they answer with.
 *
 * Nothing here remembers anything; `meeting/Credentials` keeps the tokens.
 */
import type { types } from 'mediasoup-client';

export interface ServiceConfig {
  /** Whether anybody may sign in with a name alone (a development setting). */
  dev_login: boolean;
  /** Whether people sign in with a password. */
  local_accounts: boolean;
  /** Whether people sign in with an identity provider. */
  external_login: boolean;
  /** What the installation calls itself. */
  name: string;
}

export interface AccessToken {
  access_token: string;
  /** Seconds for which it is good. */
  expires_in: number;
}

export interface Tokens extends AccessToken {
  refresh_token: string;
}

export interface Meeting {
  id: string;
  display_name: string;
  /** When it was ended for all, ISO 8601; null while it is not over. */
  ended_at: string | null;
}

export interface CreatedMeeting extends Meeting {
  join_url: string;
  meeting_token: string;
}

/** What a device loads before it joins. */
export interface WebRtcConfig {
  rtpCapabilities: types.RtpCapabilities;
}

/** The service refused, or (code `UNREACHABLE`, status 0) could not be reached. */
export class ApiError extends Error {
  constructor(
    readonly code: string,
    readonly status: number,
    message: string,
    /** Seconds after which trying again makes sense, where the server said so. */
    readonly retryAfter?: number,
  ) {
    super(message);
    this.name = 'ApiError';
  }
}

export const api = {
  config: () => call<ServiceConfig>('GET', 'config'),
  devLogin: (userId: string, userName: string) =>
    call<Tokens>('POST', 'auth/token', {
      body: {
        user_id: userId,
        user_name: userName,
        email: `${userId}@example.org`,
        campus_id: 'dev',
      },
    }),
  refresh: (refreshToken: string) =>
    call<Tokens>('POST', 'auth/refresh', { body: { refresh_token: refreshToken } }),
  /** From here on the browser has a session, in a cookie that we cannot read. */
  signIn: (login: string, password: string) =>
    call<AccessToken>('POST', 'auth/session', { body: { login, password } }),
  sessionToken: () => call<AccessToken>('POST', 'auth/session/refresh'),
  signOut: () => call<object>('DELETE', 'auth/session'),
  meeting: (bearer: string, id: string) =>
    call<Meeting>('GET', `meetings/${encodeURIComponent(id)}`, { bearer }),
  /** Needs no token: it is the same for every meeting. */
  webRtcConfig: (id: string) =>
    call<WebRtcConfig>('GET', `/meeting/${encodeURIComponent(id)}/webrtc-config`),
  createMeeting: (bearer: string) => call<CreatedMeeting>('POST', 'meetings', { bearer, body: {} }),
};

interface CallOptions {
  bearer?: string;
  body?: object;
}

async function call<T>(method: string, path: string, options: CallOptions = {}): Promise<T> {
  const headers: Record<string, string> = { Accept: 'application/json' };
  if (options.bearer) headers.Authorization = `Bearer ${options.bearer}`;
  if (options.body) headers['Content-Type'] = 'application/json';
  let response: Response;
  try {
    response = await fetch(path.startsWith('/') ? path : `/api/v1/${path}`, {
      method,
      headers,
      body: options.body ? JSON.stringify(options.body) : null,
      signal: AbortSignal.timeout(10_000),
    });
  } catch (error) {
    throw new ApiError('UNREACHABLE', 0, String(error));
  }
  const data = await response.json().catch(() => ({}));
  if (response.ok) return data as T;
  const code = response.status >= 500 ? 'UNAVAILABLE' : `HTTP_${response.status}`;
  const retryAfter = Number(response.headers.get('Retry-After')) || undefined;
  const message = data.detail ?? response.statusText;
  throw new ApiError(data.code ?? code, response.status, message, retryAfter);
}
