/** Which of the tiles are on the page, and how large one is. Pure. */
import { GAP, gridFor, perPage } from './gridLayout';

export interface Arranged {
  /** From this tile to before that one. */
  from: number;
  to: number;
  pages: number;
  /** The page, where the wanted one does not exist any more. */
  at: number;
  tile: { width: number; height: number };
}

/** Room that the page buttons take, in CSS pixels. */
const PAGER = 52;

/** @param beside in one row or column beside something large. */
export function arrange(
  count: number,
  page: number,
  room: { width: number; height: number },
  beside: boolean,
): Arranged {
  const { most, tile } = beside ? inLine(count, room) : inGrid(count, room);
  const pages = Math.max(1, Math.ceil(count / most));
  const at = Math.min(page, pages - 1);
  return { from: at * most, to: Math.min(count, (at + 1) * most), pages, at, tile };
}

function inGrid(count: number, { width, height }: { width: number; height: number }) {
  let most = perPage(width, height);
  const paged = count > most;
  if (paged) most = perPage(width, height - PAGER);
  const grid = gridFor(Math.min(count, most), width, paged ? height - PAGER : height);
  return { most, tile: { width: grid.width, height: grid.height } };
}

function inLine(count: number, { width, height }: { width: number; height: number }) {
  const upright = height > width;
  const room = upright ? height : width;
  // Rather square tiles than a second page.
  const share = (room - GAP * (count - 1)) / count;
  const narrowed = (from: number, to: number) =>
    Math.floor(share < to ? from : Math.min(from, share));
  const tile = upright
    ? { width, height: Math.round((width * 9) / 16) }
    : { width: narrowed((height * 4) / 3, height), height };
  const side = upright ? tile.height : tile.width;
  const fits = (space: number) => Math.max(1, Math.floor((space + GAP) / (side + GAP)));
  return { most: fits(room) >= count ? Math.max(1, count) : fits(room - PAGER), tile };
}
