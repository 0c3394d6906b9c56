import { describe, expect, it } from 'vitest';
import { GAP, gridFor, MOST_PER_PAGE, perPage } from '../src/ui/stage/gridLayout';

const ROOMS = [
  [1280, 640],
  [1920, 960],
  [390, 640],
  [800, 800],
] as const;

describe('gridFor', () => {
  it('keeps 1 to 25 tiles inside the room', () => {
    for (const [width, height] of ROOMS) {
      for (let count = 1; count <= 25; count += 1) {
        const grid = gridFor(count, width, height);
        expect(grid.columns * grid.rows).toBeGreaterThanOrEqual(count);
        expect(grid.columns * grid.width + (grid.columns - 1) * GAP).toBeLessThanOrEqual(width);
        expect(grid.rows * grid.height + (grid.rows - 1) * GAP).toBeLessThanOrEqual(height);
        expect(grid.width * grid.height).toBeGreaterThan(0);
      }
    }
  });

  it('puts two people side by side in a wide room and one above the other in an upright one', () => {
    expect(gridFor(2, 1280, 640)).toMatchObject({ columns: 2, rows: 1 });
    expect(gridFor(2, 390, 640)).toMatchObject({ columns: 1, rows: 2 });
  });

  it('shows 25 people as five by five on a common screen', () => {
    expect(gridFor(25, 1280, 640)).toMatchObject({ columns: 5, rows: 5 });
  });

  it('gives a single person a widescreen picture that fills the height', () => {
    const { width, height } = gridFor(1, 1280, 640);
    expect(height).toBe(640);
    expect(width / height).toBeCloseTo(16 / 9, 2);
  });

  it('answers no size for a room that has not been measured yet', () => {
    expect(gridFor(3, 0, 0)).toMatchObject({ width: 0, height: 0 });
  });
});

describe('perPage', () => {
  it('holds 25 on a screen, and fewer on a phone so that tiles stay recognisable', () => {
    expect(perPage(1280, 640)).toBe(MOST_PER_PAGE);
    const phone = perPage(370, 620);
    expect(phone).toBeGreaterThanOrEqual(6);
    expect(phone).toBeLessThan(MOST_PER_PAGE);
    expect(gridFor(phone, 370, 620).width).toBeGreaterThanOrEqual(116);
  });
});
