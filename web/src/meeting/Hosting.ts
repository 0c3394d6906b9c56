/** What hosts do with people: muting, roles, adding and removing, ending the meeting. */
import type { Line } from './Line';
import type { Invited, MediaKind, Role } from './protocol.generated';

export class Hosting {
  constructor(private readonly line: Line) {}

  mute(userId: string, kind: MediaKind): Promise<unknown> {
    return this.line.order('participant:mute', { target_user_id: userId, kind, muted: true });
  }

  /** They may switch it on again themselves; nobody is unmuted by others. */
  letUnmute(userId: string, kind: MediaKind): Promise<unknown> {
    return this.line.order('participant:mute', { target_user_id: userId, kind, muted: false });
  }

  stopScreen(userId: string): Promise<unknown> {
    return this.line.order('screen:stop', { target_user_id: userId });
  }

  lowerHand(userId: string): Promise<unknown> {
    return this.line.order('hand:lower', { target_user_id: userId });
  }

  makeRole(userId: string, role: Role): Promise<unknown> {
    return this.line.order('participant:role:update', { target_user_id: userId, new_role: role });
  }

  remove(userId: string): Promise<unknown> {
    return this.line.order('participant:remove', { target_user_id: userId });
  }

  /** Empty if it was refused. */
  async invite(email: string): Promise<readonly Invited[]> {
    const added = await this.line.order('participant:add', { emails: [email] });
    return added?.invitations ?? [];
  }

  /** True once it is over for all. */
  async end(): Promise<boolean> {
    return (await this.line.order('room:end', {})) !== null;
  }
}
