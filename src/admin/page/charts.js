/** Columns a minute, stacked, drawn by uPlot; the same numbers as a table for those who do not see them. */
import { sum } from './chart-data.js';
import { h, replace } from './dom.js';
import { minuteOf, number } from './format.js';

/** uPlot comes as a script of its own, before this module runs. */
const plot = () => /** @type {{ uPlot: typeof import('uplot') }} */ (/** @type {unknown} */ (globalThis)).uPlot;

const HEIGHT = 168;
/**
 * A canvas knows no custom property: an element says what it comes to.
 *
 * @param {string} name
 */
const colourOf = (name) => {
  const probe = h('span', { hidden: true });
  probe.style.setProperty('color', `var(${name})`);
  document.body.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
};

/**
 * @param {HTMLElement} figure
 * @param {object} options
 * @param {string} options.title
 * @param {string} options.unit Of the numbers, in the plural.
 * @param {string} options.none
 */
export const createChart = (figure, { title, unit, none }) => {
  const canvas = h('div', { class: 'plot', role: 'img' });
  const legend = h('ul', { class: 'legend' });
  const when = h('span', { class: 'chart-when' });
  const empty = h('p', { class: 'plot-none' }, none);
  const head = h('caption', { class: 'visually-hidden' }, `${title}, minute by minute`);
  const rows = h('tbody');
  const columns = h('tr');
  figure.append(
    h('figcaption', { class: 'chart-head' }, h('h3', {}, title), when),
    legend,
    h('div', { class: 'plot-frame' }, canvas, empty),
    h(
      'details',
      { class: 'as-table' },
      h('summary', {}, 'As a table'),
      h(
        'div',
        { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': `${title} as a table` },
        h('table', {}, head, h('thead', {}, columns), rows),
      ),
    ),
  );
  /** @type {import('uplot') | null} */
  let chart = null;
  /** @type {import('./chart-data.js').Columns} */
  let data = { minutes: [], series: [] };
  let instead = none;

  /** @param {number | null} at The minute under the pointer; null: the whole hour. */
  const showLegend = (at) => {
    when.textContent = at === null ? 'the whole hour' : `at ${minuteOf((data.minutes[at] ?? 0) * 1000)}`;
    replace(
      legend,
      ...data.series.map(({ name, colour, values }) => {
        const dot = h('span', { class: 'dot', 'aria-hidden': 'true' });
        dot.style.setProperty('background', `var(${colour})`);
        return h('li', {}, dot, name, ' ', h('strong', {}, number(at === null ? sum(values) : (values[at] ?? 0))));
      }),
    );
  };

  const draw = () => {
    chart?.destroy();
    chart = new (plot())(optionsFor(data, canvas.clientWidth, showLegend), stacked(data), canvas);
  };
  new ResizeObserver(() => {
    if (chart !== null && canvas.clientWidth > 0 && canvas.clientWidth !== chart.width)
      chart.setSize({ width: canvas.clientWidth, height: HEIGHT });
  }).observe(canvas);
  document.addEventListener('themechange', draw);

  return {
    /**
     * @param {import('./chart-data.js').Columns} next
     * @param {string} [why] What to say where there is nothing, instead of `none`.
     */
    show: (next, why = none) => {
      const same = why === instead && JSON.stringify(next) === JSON.stringify(data);
      data = next;
      instead = why;
      empty.textContent = why;
      if (same) return;
      const total = sum(data.series.map(({ values }) => sum(values)));
      empty.hidden = total > 0;
      canvas.setAttribute(
        'aria-label',
        `${title}: ${data.series.map(({ name, values }) => `${number(sum(values))} ${name}`).join(', ')} ${unit} in the last hour. The numbers are in the table below.`,
      );
      showLegend(null);
      replace(columns, h('th', { scope: 'col' }, 'Minute'), ...data.series.map(({ name }) => h('th', { scope: 'col' }, name)));
      replace(rows, ...tableRows(data, why));
      draw();
    },
  };
};

/** @param {import('./chart-data.js').Columns} data @param {string} none */
const tableRows = ({ minutes, series }, none) => {
  const busy = minutes.flatMap((minute, at) => (series.some(({ values }) => values[at] !== 0) ? [{ minute, at }] : [])).reverse();
  if (busy.length === 0) return [h('tr', {}, h('td', { colspan: series.length + 1 }, none))];
  return busy.map(({ minute, at }) =>
    h('tr', {}, h('th', { scope: 'row' }, minuteOf(minute * 1000)), ...series.map(({ values }) => h('td', {}, number(values[at] ?? 0)))),
  );
};

/**
 * Each series upon those before it, the highest first: what is drawn later covers it from below.
 *
 * @param {import('./chart-data.js').Columns} data
 * @returns {import('uplot').AlignedData}
 */
const stacked = ({ minutes, series }) => {
  const height = minutes.map(() => 0);
  const sums = series.map(({ values }) => values.map((value, at) => (height[at] = (height[at] ?? 0) + value)));
  return /** @type {import('uplot').AlignedData} */ (/** @type {unknown} */ ([minutes, ...sums.reverse()]));
};

/**
 * @param {import('./chart-data.js').Columns} data
 * @param {number} width
 * @param {(at: number | null) => void} onPointer
 * @returns {import('uplot').Options}
 */
const optionsFor = ({ series }, width, onPointer) => {
  const [line, words] = [colourOf('--line'), colourOf('--soft')];
  const bars = plot().paths.bars?.({ size: [0.72, 14], radius: 0.2 });
  const axis = { stroke: words, font: '12px system-ui, sans-serif', ticks: { show: false }, border: { show: false } };
  return {
    width: Math.max(width, 200),
    height: HEIGHT,
    padding: [8, 18, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
    hooks: { setCursor: [(self) => onPointer(self.cursor.left === undefined || self.cursor.left < 0 ? null : (self.cursor.idx ?? null))] },
    scales: { y: { range: (_self, _min, max) => [0, Math.max(4, max * 1.1)] } },
    axes: [
      { ...axis, grid: { show: false }, space: 60, size: 26, values: (_self, ticks) => ticks.map((tick) => minuteOf(tick * 1000)) },
      {
        ...axis,
        grid: { stroke: line, width: 1 },
        size: 44,
        space: 34,
        incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 50_000],
        values: (_self, ticks) => ticks.map(number),
      },
    ],
    series: [
      {},
      ...series.toReversed().map(({ name, colour }) => ({
        label: name,
        fill: colourOf(colour),
        width: 0,
        points: { show: false },
        ...(bars === undefined ? {} : { paths: bars }),
      })),
    ],
  };
};
