import { describe, expect, it } from 'vitest';
import { arrange } from '../src/ui/stage/arrange';
import { GAP, MOST_PER_PAGE } from '../src/ui/stage/gridLayout';

const SCREEN = { width: 1280, height: 640 };

describe('pages of tiles', () => {
  it('hold 25 at most, and every tile is on exactly one of them', () => {
    for (const count of [1, 2, 25, 26, 60, 101]) {
      const { pages } = arrange(count, 0, SCREEN, false);
      const seen: number[] = [];
      for (let page = 0; page < pages; page += 1) {
        const { from, to } = arrange(count, page, SCREEN, false);
        expect(to - from).toBeLessThanOrEqual(MOST_PER_PAGE);
        for (let tile = from; tile < to; tile += 1) seen.push(tile);
      }
      expect(seen).toEqual(Array.from({ length: count }, (_, index) => index));
    }
  });

  it('are one for 25 people, and two for 26', () => {
    expect(arrange(25, 0, SCREEN, false).pages).toBe(1);
    expect(arrange(26, 0, SCREEN, false).pages).toBe(2);
  });

  it('end with the last one when people have left a later page', () => {
    expect(arrange(30, 7, SCREEN, false)).toMatchObject({ pages: 2, at: 1, from: 25, to: 30 });
  });

  it('leave room for their buttons', () => {
    const { tile } = arrange(60, 0, SCREEN, false);
    const columns = Math.floor((SCREEN.width + GAP) / (tile.width + GAP));
    const rows = Math.ceil(MOST_PER_PAGE / columns);
    expect(rows * (tile.height + GAP) - GAP).toBeLessThanOrEqual(SCREEN.height - 52);
  });

  it('stay inside a strip, lying or upright', () => {
    for (const strip of [
      { width: 900, height: 120 },
      { width: 200, height: 640 },
    ]) {
      const upright = strip.height > strip.width;
      for (const count of [1, 3, 8, 40]) {
        const { from, to, tile } = arrange(count, 0, strip, true);
        const side = upright ? tile.height : tile.width;
        const length = (to - from) * (side + 10) - 10;
        expect(length).toBeLessThanOrEqual(upright ? strip.height : strip.width);
        expect(to).toBeGreaterThan(from);
      }
    }
  });
});
