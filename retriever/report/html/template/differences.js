// Plot of all queries by difference between the two selected systems.

const HEIGHT = 220;
const MARGIN = { left: 44, right: 8, top: 22, bottom: 22 };

// `gaps` are [query, value] pairs, largest first; `open` is called with a query.
function drawDifferences(place, gaps, a, b, measure, open) {
  const width = Math.max(place.clientWidth, 240);
  const reach = Math.max(...gaps.map(([, gap]) => Math.abs(gap)), 1e-9);
  const middle = HEIGHT / 2;
  const y = (gap) => middle - (gap / reach) * (middle - MARGIN.top);
  const step = (width - MARGIN.left - MARGIN.right) / Math.max(gaps.length, 1);
  const ahead = gaps.filter(([, gap]) => gap > 0).length;
  const behind = gaps.filter(([, gap]) => gap < 0).length;
  const said = `${a} better on ${ahead}, ${b} better on ${behind}, ` +
    `equal on ${gaps.length - ahead - behind} of ${gaps.length} queries.`;
  const text = (words, x, at, anchor) => draw('text', { x, y: at, 'text-anchor': anchor }, words);
  const line = (at, kind) =>
    draw('line', { x1: MARGIN.left, x2: width - MARGIN.right, y1: at, y2: at, class: kind });
  const bars = gaps.map(([, gap], at) => draw('rect', {
    x: MARGIN.left + at * step, width: Math.max(step - (step > 3 ? 1 : 0), 0.5),
    y: Math.min(y(gap), middle), height: Math.abs(y(gap) - middle), class: gap > 0 ? 'up' : 'down',
  }));
  // A small bar is hard to click, so its full column is clickable and lies on top.
  const columns = gaps.map(([query, gap], at) => draw('rect', {
    x: MARGIN.left + at * step, width: step, y: MARGIN.top, height: HEIGHT - 2 * MARGIN.top,
    class: 'hit', 'data-query': query.id,
  }, draw('title', {}, `${query.text.slice(0, 80)}: ${signed(gap, 3)}`)));
  const svg = draw('svg', {
    viewBox: `0 0 ${width} ${HEIGHT}`, role: 'img', class: 'plot',
    'aria-labelledby': 'bars-title', 'aria-describedby': 'bars-desc',
  },
  draw('title', { id: 'bars-title' }, `${measure} of ${a} minus ${b}, query by query`),
  draw('desc', { id: 'bars-desc' }, said),
  line(y(reach), 'grid'), line(y(-reach), 'grid'),
  bars,
  line(middle, 'base'),
  [reach, 0, -reach].map((gap) =>
    text(gap ? signed(gap, 2) : '0', MARGIN.left - 6, y(gap) + 4, 'end')),
  text(`better on ${ahead}`, MARGIN.left, 12, 'start'),
  text(`worse on ${behind}`, width - MARGIN.right, HEIGHT - 6, 'end'),
  columns);
  svg.addEventListener('click', (event) => {
    const id = event.target.getAttribute && event.target.getAttribute('data-query');
    if (id != null) open(byId.get(id));
  });
  place.replaceChildren(svg);
}
