/** Outlines on a grid of 24, drawn with the colour of the text. */

export const ICONS = /** @type {const} */ ({
  check: 'M5 12.5l4.5 4.5L19 7.5',
  moving: 'M4 9h14m-4-4 4 4M20 15H6m4 4-4-4',
  person: 'M12 8v5m0 3.5v.01M12 3 2.5 20h19L12 3z',
  paused: 'M9 6v12M15 6v12',
  blocked: 'M5.6 5.6l12.8 12.8M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z',
  waiting: 'M12 7v5l3 2M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z',
  sun: 'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.4 1.4M17.6 17.6 19 19M19 5l-1.4 1.4M6.4 17.6 5 19',
  moon: 'M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5z',
  auto: 'M4 5h16v11H4zM9 20h6M12 16v4',
  key: 'M14.5 3.5a6 6 0 0 1 2 11.7l-.5-.2-2 2h-2v2h-2v2H5v-4l6.2-6.2A6 6 0 0 1 14.5 3.5zM16 8v.01',
  play: 'M8 5.5v13l11-6.5z',
  again: 'M20 11a8 8 0 1 0-1.5 6M20 5v6h-6',
  down: 'M12 5v14m-5-5 5 5 5-5',
  up: 'M12 19V5m-5 5 5-5 5 5',
});
