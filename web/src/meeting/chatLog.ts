/**
 * The messages of a chat, whatever way they came: told, answered, or read page by page. Pure.
 *
 * Each message is there once, in order of time; one that is deleted stays deleted, even if an
 * older telling of it comes later.
 */
import type { ChatMessages, Message } from './protocol.generated';

export interface ChatLog {
  /** Oldest first. */
  messages: readonly Message[];
  /** Where the next older page begins; null: there is none; undefined: nobody has asked yet. */
  next: string | null | undefined;
}

export const EMPTY_LOG: ChatLog = { messages: [], next: undefined };

export function merge(messages: readonly Message[], more: readonly Message[]): readonly Message[] {
  const byId = new Map(messages.map((message) => [message.message_id, message]));
  for (const message of more) {
    if (!byId.get(message.message_id)?.deleted) byId.set(message.message_id, message);
  }
  return [...byId.values()].sort(
    (a, b) => a.timestamp.localeCompare(b.timestamp) || a.message_id.localeCompare(b.message_id),
  );
}

/** With a page of older messages. */
export function withOlder(log: ChatLog, page: ChatMessages): ChatLog {
  return { messages: merge(log.messages, page.messages), next: page.next };
}

/**
 * With the newest page, after events may have been lost.
 *
 * Where it does not reach back to what is known, something in between is missing: the log begins
 * anew with the page, and older ones are read again.
 */
export function withNewest(log: ChatLog, page: ChatMessages): ChatLog {
  const known = new Set(log.messages.map((message) => message.message_id));
  const meets = page.next === null || page.messages.some(({ message_id }) => known.has(message_id));
  if (meets && log.messages.length > 0) {
    const next = page.next === null ? null : log.next === undefined ? page.next : log.next;
    return { messages: merge(log.messages, page.messages), next };
  }
  return { messages: merge([], page.messages), next: page.next };
}

export function withoutText(log: ChatLog, messageId: string): ChatLog {
  const gone = (message: Message): Message => ({ ...message, message: '', deleted: true });
  return {
    ...log,
    messages: log.messages.map((each) => (each.message_id === messageId ? gone(each) : each)),
  };
}

/** What others said since then, deleted messages not counted. */
export function unread(messages: readonly Message[], self: string, since: string): number {
  return messages.filter(
    ({ user_id, timestamp, deleted }) => !deleted && user_id !== self && timestamp > since,
  ).length;
}
