/**
 * What the person looks at: layout, pin, spotlight; and how that fills the stage. Pure.
 *
 * A shared screen brings the presentation by itself and takes it away again, unless the person
 * chose another layout meanwhile.
 */
import type { Layout } from './protocol.generated';

export interface Viewing {
  layout: Layout;
  /** Whether somebody's screen is there to be seen. */
  shared: boolean;
  /** The layout to go back to when no screen is shared any more. */
  before: Layout | null;
  /** Whom the person pinned for themselves. */
  pinned: string | null;
  /** Whom a host put into the light for everybody. */
  spotlight: string | null;
  /** Which shared screen is wanted, by producer id; null: the newest. */
  screen: string | null;
}

export const PLAIN: Viewing = {
  layout: 'grid',
  shared: false,
  before: null,
  pinned: null,
  spotlight: null,
  screen: null,
};

export function chosen(viewing: Viewing, layout: Layout): Viewing {
  return { ...viewing, layout, before: null };
}

export function screensChanged(viewing: Viewing, shared: boolean): Viewing {
  if (shared === viewing.shared) return viewing;
  const { layout, before } = viewing;
  if (shared) {
    const back = layout === 'presentation' ? null : layout;
    return { ...viewing, shared, layout: 'presentation', before: back };
  }
  return { ...viewing, shared, layout: before ?? layout, before: null };
}

export type Big = { kind: 'screen'; producerId: string } | { kind: 'person'; userId: string };

export interface Seen {
  /** Screens that are received, by producer id, oldest first. */
  screens: readonly string[];
  /** Everybody by user id in the order of tiles, ourselves first. */
  people: readonly string[];
  /** Who spoke last, others only. */
  speaker: string | null;
}

export interface Staged {
  /** What is large; null: all tiles are equal. */
  big: Big | null;
  /** Screens that are tiles like any other. */
  screens: readonly string[];
  /** Whose tiles are shown: beside the large one, or all. */
  people: readonly string[];
}

/** A pin comes first, then the spotlight, then the screen, then who speaks. */
export function staged(viewing: Viewing, { screens, people, speaker }: Seen): Staged {
  const here = (userId: string | null) => (userId && people.includes(userId) ? userId : null);
  const large = here(viewing.pinned) ?? here(viewing.spotlight);
  const screen = screens.find((id) => id === viewing.screen) ?? screens.at(-1) ?? null;
  const person = (userId: string): Staged => ({
    big: { kind: 'person', userId },
    screens,
    people: people.filter((id) => id !== userId),
  });
  if (large) return person(large);
  if (viewing.layout === 'grid') return { big: null, screens, people };
  if (viewing.layout === 'presentation' && screen) {
    // The other screens have their buttons, and no tiles.
    return { big: { kind: 'screen', producerId: screen }, screens: [], people };
  }
  return person(here(speaker) ?? people[1] ?? people[0] ?? '');
}
