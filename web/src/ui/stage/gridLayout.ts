/**
 * How tiles fill a room of a given size. Pure.
 *
 * All tiles are equal; the number of columns is the one that makes them largest, their shape
 * gives way between `SHAPES` so that little room is lost.
 */

export interface Grid {
  columns: number;
  rows: number;
  /** Size of one tile in CSS pixels. */
  width: number;
  height: number;
}

export const GAP = 10;
export const MOST_PER_PAGE = 25;
/** A narrower tile shows nobody. */
const NARROWEST = 116;
/** Width to height: from rather square to widescreen; upright rooms allow upright tiles. */
const SHAPES = { lying: { from: 4 / 3, to: 16 / 9 }, upright: { from: 3 / 4, to: 16 / 9 } };

export function gridFor(count: number, width: number, height: number): Grid {
  const shape = width < height ? SHAPES.upright : SHAPES.lying;
  let best: Grid = { columns: 1, rows: 1, width: 0, height: 0 };
  for (let columns = 1; columns <= Math.max(1, count); columns += 1) {
    const rows = Math.max(1, Math.ceil(count / columns));
    const cellWidth = Math.max(0, (width - GAP * (columns - 1)) / columns);
    const cellHeight = Math.max(0, (height - GAP * (rows - 1)) / rows);
    const tileWidth = Math.floor(Math.min(cellWidth, cellHeight * shape.to));
    const tileHeight = Math.floor(Math.min(cellHeight, tileWidth / shape.from));
    if (tileWidth * tileHeight > best.width * best.height) {
      best = { columns, rows, width: tileWidth, height: tileHeight };
    }
  }
  return best;
}

/** How many tiles a page holds: at most 25, and no more than can be recognised. */
export function perPage(width: number, height: number): number {
  let most = MOST_PER_PAGE;
  while (most > 1 && gridFor(most, width, height).width < NARROWEST) most -= 1;
  return most;
}
