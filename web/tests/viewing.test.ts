import { describe, expect, it } from 'vitest';
import { chosen, PLAIN, screensChanged, staged } from '../src/meeting/viewing';

const people = ['me', 'ann', 'ben'];
const seen = { screens: [] as string[], people, speaker: null as string | null };

describe('the stage', () => {
  it('shows everybody alike in the grid', () => {
    expect(staged(PLAIN, seen)).toEqual({ big: null, screens: [], people });
  });

  it('shows who spoke last large in the speaker layout, and somebody else’s face before one’s own', () => {
    const speaker = chosen(PLAIN, 'speaker');
    expect(staged(speaker, { ...seen, speaker: 'ben' })).toEqual({
      big: { kind: 'person', userId: 'ben' },
      screens: [],
      people: ['me', 'ann'],
    });
    expect(staged(speaker, seen).big).toEqual({ kind: 'person', userId: 'ann' });
    expect(staged(speaker, { ...seen, people: ['me'] }).big).toEqual({
      kind: 'person',
      userId: 'me',
    });
  });

  it('shows the newest screen large in the presentation, or the one that was chosen', () => {
    const screens = ['s1', 's2'];
    const layout = chosen(PLAIN, 'presentation');
    const big = (viewing: typeof layout) => staged(viewing, { ...seen, screens }).big;
    expect(big(layout)).toEqual({ kind: 'screen', producerId: 's2' });
    expect(big({ ...layout, screen: 's1' })).toEqual({ kind: 'screen', producerId: 's1' });
    expect(big({ ...layout, screen: 'gone' })).toEqual({ kind: 'screen', producerId: 's2' });
  });

  it('puts a pin before the spotlight, and both before the layout', () => {
    const lit = { ...chosen(PLAIN, 'presentation'), spotlight: 'ann' };
    const screens = ['s1'];
    expect(staged(lit, { ...seen, screens })).toEqual({
      big: { kind: 'person', userId: 'ann' },
      screens,
      people: ['me', 'ben'],
    });
    const pinned = { ...lit, pinned: 'ben' };
    expect(staged(pinned, seen).big).toEqual({ kind: 'person', userId: 'ben' });
    expect(staged({ ...pinned, pinned: 'gone' }, seen).big).toEqual({
      kind: 'person',
      userId: 'ann',
    });
  });
});

describe('a shared screen', () => {
  it('brings the presentation, and gives the layout back that was there before', () => {
    const speaker = chosen(PLAIN, 'speaker');
    const shared = screensChanged(speaker, true);
    expect(shared.layout).toBe('presentation');
    expect(screensChanged(shared, true)).toBe(shared);
    expect(screensChanged(shared, false).layout).toBe('speaker');
  });

  it('leaves the layout alone that a person chose while it was there', () => {
    const grid = chosen(screensChanged(PLAIN, true), 'grid');
    expect(screensChanged(grid, false).layout).toBe('grid');
    const staying = chosen(PLAIN, 'presentation');
    expect(screensChanged(screensChanged(staying, true), false)).toEqual(staying);
  });

  it('does not come back by itself to who chose the grid meanwhile', () => {
    const grid = chosen(screensChanged(PLAIN, true), 'grid');
    expect(screensChanged(grid, true).layout).toBe('grid');
  });
});
